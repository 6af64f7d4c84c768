package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/lock"
	"mkbuild/internal/store"
)

// TestPlantedMD5IsNotLocked: someone who writes to the cache says that other content is what an address gave,
// and has the MD5 that is published. What a lock pins is the real file.
func TestPlantedMD5IsNotLocked(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	b := m.builder(t)
	address := func(name string) string { return m.good + "/4.x/x86/tcz/" + name }
	entry := func(s *store.Store, name string) store.Entry {
		e, err := s.Entry(store.KindDownload, address(name))
		testkit.Must(t, err)
		return e
	}
	if code := b.iso("--mirror", m.good); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	s := &store.Store{Dir: b.cache}
	ruby, bash := entry(s, "ruby.tcz"), entry(s, "bash.tcz")
	planted := ruby
	planted.SHA256 = bash.SHA256
	testkit.Must(t, s.Put(t.Context(), store.KindDownload, planted))
	s.Close()
	name := filepath.Join(filepath.Dir(b.config), "x.lock")
	if code := b.run("lock", "--mirror", m.good, "--lockfile", name); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	l, err := lock.Load(name, "")
	testkit.Must(t, err)
	if in := l.Find(lock.TCZ, "ruby.tcz"); in == nil || in.SHA256 != ruby.SHA256 {
		t.Errorf("locked: %+v, want %s", in, ruby.SHA256)
	}
	if !bytes.Contains(ruby.About, []byte(`"md5":"`+l.Find(lock.TCZ, "ruby.tcz").MD5)) {
		t.Errorf("this test cannot fail: %s", ruby.About)
	}
}
