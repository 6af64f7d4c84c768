package tcz

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/internal/overlay"
	"mkbuild/internal/squashfs"
)

// fixture is an extension with the entries of real ones, and also devices and setuid bits.
func fixture() []byte {
	return sqfs.Image([]sqfs.File{
		{Path: ".", Mode: sqfs.TypeDir | 0o777, UID: 1001, GID: 50},
		{Path: "usr/local/tce.installed", Mode: sqfs.TypeDir | 0o775, GID: 50},
		{Path: "usr/local/tce.installed/bash", Mode: sqfs.TypeRegular | 0o755, UID: 1001, GID: 50, Data: []byte("#!/bin/sh\n")},
		{Path: "usr/local/bin/bash", Mode: sqfs.TypeRegular | 0o4755, MTime: 1234, Data: bytes.Repeat([]byte("ELF and more "), 5000)},
		{Path: "usr/local/bin/rbash", HardLink: "usr/local/bin/bash"},
		sqfs.Symlink("usr/local/bin/sh", "/usr/local/bin/bash"),
		{Path: "dev/kvm", Mode: sqfs.TypeChar | 0o660, GID: 50, Major: 10, Minor: 232},
		sqfs.Reg("usr/local/lib/modules/3.0.21-tinycore/kernel/a.ko.gz", 0o644, "module"),
	})
}

func readTree(b []byte) (*overlay.Tree, error) {
	t, _, err := ReadTree(bytes.NewReader(b), int64(len(b)), "bash.tcz")
	return t, err
}

func TestReadTree(t *testing.T) {
	t.Parallel()
	tree, err := readTree(fixture())
	testkit.Must(t, err)
	if tree.Get(".") != nil {
		t.Error("the root of the extension came along")
	}
	for _, e := range tree.Entries() {
		if e.Origin != "bash.tcz" {
			t.Errorf("%s: origin %q", e.Path, e.Origin)
		}
	}
	bash, rbash := tree.Get("usr/local/bin/bash"), tree.Get("usr/local/bin/rbash")
	if bash == nil || rbash == nil {
		t.Fatal("files are missing")
	}
	if bash.Mode != overlay.TypeRegular|0o4755 || bash.MTime != 1234 || bash.Size != 65000 {
		t.Errorf("bash: %+v", bash)
	}
	if bash.HardLink == "" || bash.HardLink != rbash.HardLink || !strings.HasPrefix(bash.HardLink, "bash.tcz#") {
		t.Errorf("hard links %q and %q", bash.HardLink, rbash.HardLink)
	}
	for range 2 {
		got, err := rbash.Content(1 << 20)
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("ELF and more "), 5000)) {
			t.Errorf("content: %d bytes, %v", len(got), err)
		}
	}
	if e := tree.Get("usr/local/bin/sh"); e == nil || e.Link != "/usr/local/bin/bash" || e.HardLink != "" {
		t.Errorf("symlink: %+v", e)
	}
	if e := tree.Get("dev/kvm"); e == nil || e.Mode != overlay.TypeChar|0o660 || e.GID != 50 || e.Major != 10 || e.Minor != 232 {
		t.Errorf("device: %+v", e)
	}
	if e := tree.Get("usr/local/tce.installed"); e == nil || e.Mode != overlay.TypeDir|0o775 || e.GID != 50 || e.HardLink != "" {
		t.Errorf("directory: %+v", e)
	}
}

func TestReadTreeNamesTheFile(t *testing.T) {
	t.Parallel()
	truncated := bytes.TrimRight(fixture(), "\x00")
	tests := []struct {
		name string
		data []byte
		is   error
	}{
		{"web page", []byte("<html>404"), squashfs.ErrNotSquashfs},
		{"empty", nil, squashfs.ErrNotSquashfs},
		{"truncated", truncated[:len(truncated)/2], squashfs.ErrCorrupt},
	}
	for _, tt := range tests {
		if _, err := readTree(tt.data); !errors.Is(err, tt.is) || !strings.Contains(err.Error(), "bash.tcz") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

// panicking is a file that panics when byte at or a later byte is read.
type panicking struct {
	*bytes.Reader
	at int64
}

func (p panicking) ReadAt(b []byte, off int64) (int, error) {
	if p.at >= 0 && off >= p.at {
		panic("boom")
	}
	return p.Reader.ReadAt(b, off)
}

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	b := fixture()
	_, _, err := ReadTree(panicking{bytes.NewReader(b), 1}, int64(len(b)), "bash.tcz")
	if err == nil || !strings.Contains(err.Error(), "bash.tcz: panic: boom") {
		t.Errorf("got %v", err)
	}
	r := &panicking{bytes.NewReader(b), -1}
	tree, _, err := ReadTree(r, int64(len(b)), "bash.tcz")
	testkit.Must(t, err)
	for _, stream := range []bool{true, false} {
		f, err := tree.Get("usr/local/bin/bash").Open()
		testkit.Must(t, err)
		r.at = 0
		var src io.Reader = f
		if stream {
			src = struct{ io.Reader }{f} // hides WriteTo
		}
		_, err = io.Copy(io.Discard, src)
		r.at = -1
		if err == nil || !strings.Contains(err.Error(), "bash.tcz/usr/local/bin/bash: panic: boom") {
			t.Errorf("got %v", err)
		}
	}
}

// full is a writer without space.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterErrorIsNotTheExtensions(t *testing.T) {
	t.Parallel()
	tree, err := readTree(fixture())
	testkit.Must(t, err)
	f, err := tree.Get("usr/local/bin/bash").Open()
	testkit.Must(t, err)
	defer f.Close()
	if _, err := io.Copy(full{}, f); !errors.Is(err, errFull) || strings.Contains(err.Error(), "bash") {
		t.Errorf("got %v", err)
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	tree, err := readTree(fixture())
	testkit.Must(t, err)
	if !StartupScript(tree, "bash.tcz") || !StartupScript(tree, "bash") {
		t.Error("the startup script was not seen")
	}
	if StartupScript(tree, "ncurses") {
		t.Error("an extension without a file has no startup script")
	}
	marker := overlay.File(Marker("bash.tcz"), 0o644, nil)
	if err := tree.Put(marker); err != nil || StartupScript(tree, "bash") {
		t.Errorf("an empty marker is not a startup script (%v)", err)
	}
	for kernel, want := range map[string]bool{"3.0.21-tinycore": true, "": false, "3.0.3-tinycore": false} {
		if got := HasModules(tree, kernel); got != want {
			t.Errorf("HasModules(%q) = %v", kernel, got)
		}
	}
	if got := ModuleKernels(tree); !slices.Equal(got, []string{"3.0.21-tinycore"}) || ModuleKernels(&overlay.Tree{}) != nil {
		t.Errorf("modules for %q", got)
	}
	if got := Marker("scsi-3.0.21-tinycore.tcz"); got != "usr/local/tce.installed/scsi-3.0.21-tinycore" {
		t.Errorf("marker %q", got)
	}
}
