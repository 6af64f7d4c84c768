package medium

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/bootmenu"
	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// segmentsOf is a folder in segments with these contents of initrds.
func segmentsOf(t *testing.T, args string, initrds ...string) *Medium {
	t.Helper()
	var all []overlay.Entry
	for _, text := range initrds {
		all = append(all, overlay.File("x", 0o644, []byte(text)))
	}
	m, err := NewSegments(overlay.File("vmlinuz", 0o644, tinymirror.VMLinuz(tinymirror.Kernel)), all, args)
	testkit.Must(t, err)
	return m
}

// grow writes a build into a folder, and reads the folder.
func grow(t *testing.T, dir string, initrds ...string) *Medium {
	t.Helper()
	testkit.Must(t, segmentsOf(t, "quiet", initrds...).Write(t.Context(), wholefile.Output{Name: dir}))
	return opened(t, dir)
}

func opened(t *testing.T, dir string) *Medium {
	t.Helper()
	m, err := OpenFolder(dir)
	testkit.Must(t, err)
	if wrong := m.WrongSums(); len(wrong) > 0 || len(m.Others) > 0 || len(m.Doubts) > 0 {
		t.Errorf("%s: wrong %q, others %v, doubts %v", dir, wrong, m.Others, m.Doubts)
	}
	return m
}

func blobOf(text string) string { return fmt.Sprintf("%s/%x", blobDir, sha256.Sum256([]byte(text))) }

// TestSegments: both loaders boot the same blobs, blobs of other builds do not belong to the medium, and only new
// blobs are written.
func TestSegments(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pxe")
	m := grow(t, dir, "base", "odd", "old!")
	want := []string{blobOf("base"), blobOf("odd\x00"), blobOf("old!")}
	if !slices.Equal(m.Initrds, want) || len(m.Entries) != 2 || m.Arguments != "quiet" || m.Segments().Size() != 12 {
		t.Errorf("boots %q with %q by %d entries", m.Initrds, m.Arguments, len(m.Entries))
	}
	before, err := os.Stat(filepath.Join(dir, blobOf("base")))
	testkit.Must(t, err)
	m = grow(t, dir, "base", "new!")
	if now, err := os.Stat(filepath.Join(dir, blobOf("base"))); err != nil || !os.SameFile(before, now) || now.ModTime() != before.ModTime() {
		t.Errorf("a blob that is there was written again: %v", err)
	}
	if m.Files.Get(blobOf("old!")) != nil || m.Files.Get(blobOf("new!")) == nil {
		t.Error("the medium has the blobs of another build")
	}
	for _, text := range []string{"base", "odd\x00", "old!", "new!"} {
		short := filepath.Join(dir, shortOf(BlobDigest(blobOf(text))))
		if got, err := os.ReadFile(short); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", short, got, err)
		}
	}
	edited, err := m.Edit(bootmenu.Edit{Append: "site=1"}, 0)
	testkit.Must(t, err)
	testkit.Must(t, edited.Write(t.Context(), wholefile.Output{Name: dir}))
	if m = opened(t, dir); m.Arguments != "quiet site=1" {
		t.Errorf("arguments %q", m.Arguments)
	}
	whole := folderOf(t, "", "vmlinuz", "core.gz")
	testkit.Must(t, whole.Write(t.Context(), wholefile.Output{Name: dir}))
	if _, err := os.Stat(filepath.Join(dir, "blobs")); !os.IsNotExist(err) {
		t.Errorf("a whole layout in its place keeps blobs: %v", err)
	}
}

// TestSegmentsAtOnce: concurrent builds into one folder, and a prune meanwhile, lose none of their blobs.
func TestSegmentsAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pxe")
	var wg sync.WaitGroup
	for n := range 12 {
		m := segmentsOf(t, "", "base", fmt.Sprintf("build %02d", n))
		wg.Go(func() {
			if err := m.Write(t.Context(), wholefile.Output{Name: dir}); err != nil {
				t.Error(err)
			}
			if _, _, err := Prune(dir, time.Now().Add(-time.Hour), false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	opened(t, dir)
	if got := digests(dir); len(got) != 2+12 {
		t.Errorf("%d blobs: %q", len(got), got)
	}
}

// TestDamagedBlob: damage is reported, does not spread to the next build, and is repaired by it.
func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pxe")
	grow(t, dir, "base", "more")
	for _, how := range []func(name string) error{
		func(name string) error { return os.WriteFile(name, []byte("nase"), 0o600) },
		func(name string) error { return os.Truncate(name, 0) },
		os.Remove,
		func(name string) error { return os.Rename(filepath.Join(dir, blobOf("more")), name) },
		func(name string) error { return errors.Join(os.Remove(name), os.Symlink("/dev/zero", name)) },
	} {
		name := filepath.Join(dir, blobOf("base"))
		testkit.Must(t, how(name))
		m, err := OpenFolder(dir)
		testkit.Must(t, err)
		if !slices.Contains(m.WrongSums(), blobOf("base")) {
			t.Errorf("wrong: %q", m.WrongSums())
		}
		grow(t, dir, "base", "more")
	}
	sums := filepath.Join(dir, PXESums)
	text := strings.Replace(string(testkit.Read(t, sums)), BlobDigest(blobOf("base")), fmt.Sprintf("%x", sha256.Sum256([]byte("evil"))), 1)
	testkit.Must(t, os.WriteFile(sums, []byte(text), 0o600))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, blobOf("base")), []byte("evil"), 0o600))
	m, err := OpenFolder(dir)
	testkit.Must(t, err)
	if got := m.WrongSums(); !slices.Equal(got, []string{blobOf("base")}) {
		t.Errorf("a blob whose sum is listed, and not its name: wrong %q", got)
	}
}

// TestShortNames: a short name that points elsewhere is not a name of the blob.
func TestShortNames(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pxe")
	for what, target := range map[string]string{"another blob": "../" + blobOf("more"), "a file of the machine": "/etc/passwd", "nothing": "nowhere"} {
		grow(t, dir, "base", "more")
		short := filepath.Join(dir, shortOf(BlobDigest(blobOf("base"))))
		testkit.Must(t, os.Remove(short))
		testkit.Must(t, os.Symlink(target, short))
		m, err := OpenFolder(dir)
		testkit.Must(t, err)
		if m.Files.Get(shortOf(BlobDigest(blobOf("base")))) != nil || len(m.Entries[0].Missing) != 1 {
			t.Errorf("%s: missing %q", what, m.Entries[0].Missing)
		}
	}
	grow(t, dir, "base", "more")
	for _, f := range []string{"base", "more"} { // on systems without links, such as Windows
		short := filepath.Join(dir, shortOf(BlobDigest(blobOf(f))))
		testkit.Must(t, os.Remove(short))
		testkit.Must(t, os.Link(filepath.Join(dir, blobOf(f)), short))
	}
	if m := opened(t, dir); !slices.Equal(m.Initrds, []string{blobOf("base"), blobOf("more")}) {
		t.Errorf("boots %q", m.Initrds)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pxe")
	grow(t, dir, "base", "one!")
	long := time.Now().Add(-48 * time.Hour)
	testkit.Must(t, os.Chtimes(filepath.Join(dir, blobOf("one!")), long, long))
	grow(t, dir, "base", "two!")
	prune := func(before time.Time) string {
		gone, _, err := Prune(dir, before, false)
		testkit.Must(t, err)
		return strings.Join(gone, " ")
	}
	if got := prune(time.Now().Add(-time.Hour)); got != "" {
		t.Errorf("a blob that was named until now is gone: %s", got)
	}
	if got := prune(time.Now().Add(time.Hour)); got != BlobDigest(blobOf("one!")) {
		t.Errorf("pruned %q", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, shortOf(BlobDigest(blobOf("one!"))))); !os.IsNotExist(err) {
		t.Errorf("its short name: %v", err)
	}
	opened(t, dir)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxText+1), 0o600))
	for name, want := range map[string]string{dir: "large has 1048577 bytes", t.TempDir(): "it has no blobs/sha256", filepath.Join(dir, "none"): "no such file or directory"} {
		if _, _, err := Prune(name, time.Now(), false); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTooManySegments: PXELINUX has one line for all segments.
func TestTooManySegments(t *testing.T) {
	t.Parallel()
	many := func(n int) error {
		var all []overlay.Entry
		for i := range n {
			all = append(all, overlay.File("x", 0o644, []byte(fmt.Sprint(i))))
		}
		_, err := NewSegments(overlay.File("k", 0o644, tinymirror.VMLinuz(tinymirror.Kernel)), all, "quiet")
		return err
	}
	testkit.Must(t, many(128))
	if err := many(130); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), "including the names of its initrds; PXELINUX takes 1951") || !strings.Contains(fail.HintOf(err), "--layout whole") {
		t.Errorf("%v: %s", err, fail.HintOf(err))
	}
}
