package cpio

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// gnuCpio runs GNU cpio with input on stdin.
func gnuCpio(t *testing.T, dir, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, "cpio"), args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cpio %q: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

func TestGNUCpioListsOurs(t *testing.T) {
	in := entries()
	got := gnuCpio(t, "", string(write(t, in[:7])), "-itv", "--numeric-uid-gid")
	for _, want := range []string{
		"drwxr-xr-x   2 0        0               0 Jan  1  1970 .\n",
		"drwxrwsr-x   2 0        50              0 Jan  1  1970 bin\n",
		"-rwsr-xr-x   2 0        0               0 Feb  7  2106 bin/su\n",
		"-rwsr-xr-x   2 0        0               6 Feb  7  2106 bin/su2\n",
		"lrwxrwxrwx   1 0        0               7 Jan  1  1970 lib -> usr/lib\n",
		"1,   3 Jan  1  1970 null\n",
		"7, 524288 Jan  1  1970 loop\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("GNU cpio does not say %q:\n%s", want, got)
		}
	}
}

func TestGNUCpioUnpacksOurHardLinks(t *testing.T) {
	dir := t.TempDir()
	gnuCpio(t, dir, string(write(t, []member{
		{Header{Name: "a", Mode: 0o100644, NLink: 3, Ino: 5}, ""},
		{Header{Name: "b", Mode: 0o100644, NLink: 3, Ino: 5}, ""},
		{Header{Name: "c", Mode: 0o100644, NLink: 3, Ino: 5}, "content"},
		{Header{Name: "d", Mode: 0o100644}, "alone"},
	})), "-id")
	first, err := os.Stat(filepath.Join(dir, "a"))
	testkit.Must(t, err)
	for name, want := range map[string]bool{"b": true, "c": true, "d": false} {
		other, err := os.Stat(filepath.Join(dir, name))
		if err != nil || os.SameFile(first, other) != want {
			t.Errorf("%s is a: %v, want %v (%v)", name, !want, want, err)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "a")); string(b) != "content" {
		t.Errorf("content %q", b)
	}
}

func TestWeReadGNUCpio(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "d"), 0o755),
		os.WriteFile(filepath.Join(dir, "d/f"), []byte("hello"), 0o640),
		os.Link(filepath.Join(dir, "d/f"), filepath.Join(dir, "d/g")),
		os.Symlink("../x", filepath.Join(dir, "l")),
	} {
		testkit.Must(t, err)
	}
	for _, format := range []string{"newc", "crc"} {
		out := gnuCpio(t, dir, "d\nd/f\nd/g\nl\n", "-o", "-H", format, "-R", "7:8")
		d := NewReader(strings.NewReader(out))
		var inos []uint32
		for _, want := range []member{
			{Header{Name: "d", Mode: 0o40755}, ""},
			{Header{Name: "d/f", Mode: 0o100640}, ""},
			{Header{Name: "d/g", Mode: 0o100640}, "hello"},
			{Header{Name: "l", Mode: 0o120777}, "../x"},
		} {
			got := next(t, d)
			if want.Name == "l" || got.Name == "l" { // GNU cpio writes deferred links last
				inos = append(inos, got.Ino)
				continue
			}
			if got.Name != want.Name || got.Mode != want.Mode || got.data != want.data || got.UID != 7 || got.GID != 8 {
				t.Errorf("%s: got %+v, want %+v", format, got, want)
			}
			inos = append(inos, got.Ino)
		}
		if inos[1] != inos[2] {
			t.Errorf("%s: inodes %v", format, inos)
		}
		if _, err := d.Next(); err == nil || d.Archives() != 1 {
			t.Errorf("%s: %v after %d archives", format, err, d.Archives())
		}
	}
}

func next(t *testing.T, d *Reader) member {
	t.Helper()
	h, err := d.Next()
	testkit.Must(t, err)
	var sb strings.Builder
	var buf [3]byte // odd, to test reading in pieces
	for {
		n, err := d.Read(buf[:])
		sb.Write(buf[:n])
		if err != nil {
			return member{*h, sb.String()}
		}
	}
}
