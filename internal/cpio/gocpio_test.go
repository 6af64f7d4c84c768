package cpio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	gocpio "github.com/cavaliercoder/go-cpio"

	"mkbuild/e2e/testkit"
)

// listGocpio lists an archive with cavaliercoder/go-cpio.
func listGocpio(t *testing.T, b []byte) string {
	t.Helper()
	r := gocpio.NewReader(bytes.NewReader(b))
	var sb strings.Builder
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return sb.String()
		}
		testkit.Must(t, err)
		data, err := io.ReadAll(r)
		testkit.Must(t, err)
		fmt.Fprintf(&sb, "%s %o %d:%d %d %q\n", h.Name, int64(h.Mode), h.UID, h.GID, h.Links, string(data)+h.Linkname)
	}
}

// go-cpio and this package read our archives alike.
func TestGocpioListsOurs(t *testing.T) {
	in := []member{
		{Header{Name: "bin", Mode: 0o42775, GID: 50}, ""},
		{Header{Name: "bin/su", Mode: 0o104755, MTime: 1, NLink: 2, Ino: 9}, ""},
		{Header{Name: "bin/su2", Mode: 0o104755, MTime: 1, NLink: 2, Ino: 9}, "setuid"},
		{Header{Name: "lib", Mode: 0o120777, UID: 1001}, "usr/lib"},
	}
	want := "bin 42775 0:50 2 \"\"\nbin/su 104755 0:0 2 \"\"\nbin/su2 104755 0:0 2 \"setuid\"\nlib 120777 1001:0 1 \"usr/lib\"\n"
	if got := listGocpio(t, write(t, in)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// fixed is the failure message of the two tests below.
const fixed = "go-cpio has been fixed: reconsider docs/design.md §6, which keeps it out of the product"

// TestGocpioLosesDeviceNumbers documents the first reason against go-cpio: it turns a device node into 0:0, and
// /dev/null in an image does not work.
func TestGocpioLosesDeviceNumbers(t *testing.T) {
	ours := write(t, []member{{Header{Name: "null", Mode: 0o20666, RMajor: 1, RMinor: 3}, ""}})
	h, err := gocpio.NewReader(bytes.NewReader(ours)).Next()
	testkit.Must(t, err)
	var copied bytes.Buffer
	w := gocpio.NewWriter(&copied)
	testkit.Must(t, w.WriteHeader(h))
	testkit.Must(t, w.Close())
	back, err := NewReader(&copied).Next()
	testkit.Must(t, err)
	if back.RMajor != 0 || back.RMinor != 0 {
		t.Errorf("a device node keeps its number %d:%d: %s", back.RMajor, back.RMinor, fixed)
	}
}

// TestGocpioStopsAfterOneArchive documents the second reason: it reads only the first segment of an initrd, so that
// appended segments are invisible.
func TestGocpioStopsAfterOneArchive(t *testing.T) {
	a := write(t, []member{{Header{Name: "a", Mode: 0o100644}, ""}})
	b := write(t, []member{{Header{Name: "b", Mode: 0o100644}, ""}})
	both := append(a, b...)
	if got, err := readAll(bytes.NewReader(both)); err != nil || strings.Count(got, "\n") != 2 {
		t.Fatalf("we ourselves read %q, %v", got, err)
	}
	got := listGocpio(t, both)
	if n := strings.Count(got, "\n"); n != 1 {
		t.Errorf("%d entries of two archives: %s", n, fixed)
	}
}
