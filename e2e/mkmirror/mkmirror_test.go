package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string // the folders of the series, or "error"
	}{
		{"all", []string{"m"}, "4.x 8.x 15.x"},
		{"no directory", nil, "error"},
		{"two directories", []string{"a", "b"}, "error"},
		{"empty directory", []string{""}, "error"},
		{"one series", []string{"--only", "8.x", "m"}, "8.x"},
		{"an architecture", []string{"-only=x86", "m"}, "4.x 8.x"},
		{"the other architecture", []string{"--only", "x86_64", "m"}, "15.x"},
		{"no such series", []string{"--only", "arm", "m"}, "error"},
		{"unknown flag", []string{"--nope", "m"}, "error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := parseArgs(tc.args)
			var got []string
			for _, s := range matching(o.only) {
				got = append(got, s.folder())
			}
			switch {
			case (err != nil) != (tc.want == "error"):
				t.Fatalf("error %v, want %q", err, tc.want)
			case err == nil && (strings.Join(got, " ") != tc.want || o.work == "" || o.out == ""):
				t.Errorf("got %q, %+v, want %q", got, o, tc.want)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	for _, tc := range []struct {
		have, want string
		ok         bool
	}{
		{"ab 4.x 8.x 15.x\n", "ab 4.x\n", true},
		{"ab 4.x\n", "ab 4.x\n", true},
		{"ab 4.x\n", "ab 4.x 8.x 15.x\n", false},
		{"ab 15.x\n", "ab 4.x\n", false},
		{"cd 4.x 8.x 15.x\n", "ab 4.x\n", false},
		{"", "ab 4.x\n", false},
	} {
		if got := holds(tc.have, tc.want); got != tc.ok {
			t.Errorf("%q holds %q: %v", tc.have, tc.want, got)
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
