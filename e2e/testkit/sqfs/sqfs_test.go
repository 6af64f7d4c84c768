package sqfs_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
)

func sample() []sqfs.File {
	return []sqfs.File{
		{Path: ".", Mode: sqfs.TypeDir | 0o777, UID: 1001, GID: 50, MTime: 9},
		sqfs.Reg("usr/local/bin/tool", 0o4755, strings.Repeat("some content ", 2000)),
		sqfs.Symlink("usr/local/bin/alias", "/usr/local/bin/tool"),
		{Path: "usr/local/bin/again", HardLink: "usr/local/bin/tool"},
		sqfs.Dir("opt/empty", 0o2775),
		{Path: "dev/null", Mode: sqfs.TypeChar | 0o666, Major: 1, Minor: 3},
		{Path: "etc/owned", Mode: sqfs.TypeRegular | 0o640, UID: 1001, GID: 50, Data: []byte("x")},
		sqfs.Reg("etc/nothing", 0o600, ""),
	}
}

func TestImageListedByUnsquashfs(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "sample.tcz")
	testkit.Must(t, os.WriteFile(image, sqfs.Image(sample()), 0o600))
	list := testkit.Run(t, "unsquashfs", "-UTC", "-lln", image)
	for _, want := range []string{
		"drwxrwxrwx 1001/50 ",
		"-rwsr-xr-x 0/0 26000 1970-01-01 00:00 squashfs-root/usr/local/bin/tool",
		"lrwxrwxrwx 0/0 19 1970-01-01 00:00 squashfs-root/usr/local/bin/alias -> /usr/local/bin/tool",
		"-rwsr-xr-x 0/0 26000 1970-01-01 00:00 squashfs-root/usr/local/bin/again",
		"drwxrwsr-x 0/0 3 1970-01-01 00:00 squashfs-root/opt/empty",
		"crw-rw-rw- 0/0 1, 3 1970-01-01 00:00 squashfs-root/dev/null",
		"-rw-r----- 1001/50 1 1970-01-01 00:00 squashfs-root/etc/owned",
	} {
		if !strings.Contains(squeeze(list), want) {
			t.Errorf("no line %q in\n%s", want, list)
		}
	}
	if got, want := testkit.Run(t, "unsquashfs", "-cat", image, "usr/local/bin/again"), string(sample()[1].Data); got != want {
		t.Errorf("content of a hard link: got %d bytes, want %d", len(got), len(want))
	}
}

// squeeze replaces runs of blanks with one blank.
func squeeze(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestImageManyFilesByUnsquashfs(t *testing.T) {
	t.Parallel()
	var files []sqfs.File
	for i := range 1500 {
		files = append(files, sqfs.Reg(fmt.Sprintf("d%d/a-name-of-some-length-%04d", i%2, i), 0o644, fmt.Sprint(i)))
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "many.tcz")
	testkit.Must(t, os.WriteFile(image, sqfs.Image(files), 0o600))
	testkit.Run(t, "unsquashfs", "-q", "-n", "-d", filepath.Join(dir, "out"), image)
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, "out", f.Path))
		testkit.Must(t, err)
		if !bytes.Equal(got, f.Data) {
			t.Errorf("%s: got %q, want %q", f.Path, got, f.Data)
		}
	}
}

func TestImageIsDeterministic(t *testing.T) {
	t.Parallel()
	files := sample()
	first := sqfs.Image(files)
	slices.Reverse(files)
	if !bytes.Equal(first, sqfs.Image(files)) {
		t.Error("the order of the files changed the image")
	}
	if len(first)%4096 != 0 {
		t.Errorf("length %d is not padded to 4096", len(first))
	}
}
