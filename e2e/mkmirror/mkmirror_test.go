package main

import (
	"slices"
	"testing"
)

func TestParseArgs(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string // part of options.release, or "error"
	}{
		{"default release", []string{"m"}, "4.5.2"},
		{"release", []string{"--release", "4.7", "m"}, "4.7"},
		{"no directory", nil, "error"},
		{"two directories", []string{"a", "b"}, "error"},
		{"empty directory", []string{""}, "error"},
		{"release is a path", []string{"--release", "../4.5", "m"}, "error"},
		{"one line", []string{"--only", "x86_64", "m"}, "4.5.2"},
		{"no such line", []string{"--only", "arm", "m"}, "error"},
		{"release64 is a path", []string{"--release64", "../15.0", "m"}, "error"},
		{"unknown flag", []string{"--nope", "m"}, "error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := parseArgs(tc.args)
			switch {
			case (err != nil) != (tc.want == "error"):
				t.Fatalf("error %v, want %q", err, tc.want)
			case err == nil && (o.release != tc.want || o.work == "" || o.out == ""):
				t.Errorf("got %+v, want release %q", o, tc.want)
			}
		})
	}
}

func TestOlderRelease(t *testing.T) {
	for in, want := range map[string]string{"4.5.2": "4.5.1", "4.0": "4.0.0", "4.10": "4.9"} {
		if got := olderRelease(in); got != want {
			t.Errorf("olderRelease(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestMajorOf(t *testing.T) {
	if n, err := majorOf("4.5.2"); n != 4 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	for _, bad := range []string{"", "4", "4.", "x.1", "4.5/..", "4.5.2\n"} {
		if _, err := majorOf(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestApplets(t *testing.T) {
	program := []byte("junk\x00[\x00awk\x00cat\x00sh\x00")
	if got, want := applets("awk catx cat ls [", program), []string{"awk", "cat", "["}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReducePCIIDs(t *testing.T) {
	const in = "# head\n\n8086  Intel\n\t1237  440FX\n\t\t1af4 1100  Qemu\nffff  Other\n\t0001  thing\nC 01  Mass storage\n\t00  SCSI\n"
	const want = "# A part of pci.ids, chosen by mkmirror.\n8086  Intel\n\t1237  440FX\n\t\t1af4 1100  Qemu\nC 01  Mass storage\n\t00  SCSI\n"
	if got := reducePCIIDs(in, "8086"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
