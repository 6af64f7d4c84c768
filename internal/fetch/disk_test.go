package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mkbuild/internal/wholefile"
)

func TestUnwritableCache(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, static("right"))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(file, "cache")
	c := &Client{CacheDir: dir, HTTP: quick}
	_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{url, url}})
	e, ok := errors.AsType[*CacheError](err)
	if !ok || e.Dir != dir || !strings.Contains(err.Error(), dir) || !strings.Contains(e.Hint(), "--cache-dir") {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	defer full.Close()
	c := newClient(t)
	j, err := c.newJob(Request{Name: "x", URLs: []string{"/x"}})
	if err != nil {
		t.Fatal(err)
	}
	in := intake{job: j, part: &part{hasher: newHasher(true), f: &wholefile.File{File: full}, cache: c.CacheDir}, meter: j.meter(0)}
	err = in.copy(t.Context(), strings.NewReader("content"))
	e, ok := errors.AsType[*CacheError](err)
	if !ok || !errors.Is(err, syscall.ENOSPC) || e.Dir != c.CacheDir || !strings.Contains(e.Hint(), "free space") {
		t.Fatalf("%T %v", err, err)
	}
	if !lasting(err) {
		t.Error("a full disk is no reason to try again")
	}
}

func TestReadOnlyCacheStillServes(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, static("right"))
	c := newClient(t)
	r := Request{Name: "x", URLs: []string{url}}
	want(t, c, r, "right")
	for _, dir := range []string{blobDir, indexDir} {
		if err := os.Chmod(filepath.Join(c.CacheDir, dir), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // so that the directory can be removed
		os.Chmod(filepath.Join(c.CacheDir, blobDir), 0o755)
		os.Chmod(filepath.Join(c.CacheDir, indexDir), 0o755)
	})
	want(t, &Client{CacheDir: c.CacheDir, HTTP: quick}, r, "right")
	if os.Getuid() == 0 {
		return // root may write anywhere
	}
	_, err := c.Get(t.Context(), Request{Name: "y", URLs: []string{url + "/y"}})
	if e, ok := errors.AsType[*CacheError](err); !ok || !strings.Contains(e.Hint(), "writable") {
		t.Errorf("%v", err)
	}
}
