package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// stocked has two downloads, a segment and a remembered absence.
func stocked(t *testing.T) *Store {
	t.Helper()
	s, made := newStore(t), 0
	add(t, s, "http://h/a.tcz", "content of a")
	add(t, s, "http://h/b.tcz", "content of b")
	must(t, s.Put(t.Context(), KindDownload, Entry{Key: "http://h/a.tcz.dep"}))
	derive(t, s, "k", "a segment", &made)
	s.Close()
	return s
}

// segment is the digest of stocked's segment, with its description.
var segment = sha("a segment\"about a segment\"\x00\x00\x00\x00\x00\x00\x00\x11")

// hashes lists the content of the store.
func hashes(t *testing.T, s *Store) map[string]Item {
	t.Helper()
	items, err := s.Items(t.Context())
	must(t, err)
	out := map[string]Item{}
	for _, i := range items {
		out[i.SHA256] = i
	}
	return out
}

func TestItems(t *testing.T) {
	t.Parallel()
	s := stocked(t)
	items, err := s.Items(t.Context())
	if err != nil || len(items) != 3 {
		t.Fatalf("%+v, %v", items, err)
	}
	if i := items[0]; i.Kind != KindDownload || len(i.Names) != 1 || i.Names[0] != "http://h/a.tcz" || i.Size != 12 || i.SHA256 != sha("content of a") || time.Since(i.Used) > time.Hour {
		t.Errorf("%+v", i)
	}
	if i := items[2]; i.Kind != "segment" || i.Names[0] != "k" {
		t.Errorf("%+v", i)
	}
	// The same bytes, also fetched: now a download. Content without an entry: an orphan.
	must(t, s.Put(t.Context(), KindDownload, Entry{Key: "http://h/s", SHA256: segment}))
	must(t, os.Remove(s.entryPath(KindDownload, "http://h/a.tcz")))
	got := hashes(t, s)
	if got[segment].Kind != KindDownload || len(got[segment].Names) != 2 || got[items[0].SHA256].Kind != KindOrphan {
		t.Errorf("%+v", got)
	}
}

// TestNoFolder: an unused store is empty and clean, and is not created.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	items, err := s.Items(t.Context())
	gone, perr := s.Prune(t.Context(), PruneOptions{})
	h, verr := s.Verify(t.Context())
	if errors.Join(err, perr, verr) != nil || len(items)+len(gone) != 0 || !h.Clean() {
		t.Errorf("%v, %v, %+v, %v, %v, %v", items, gone, h, err, perr, verr)
	}
	if _, err := os.Stat(s.Dir); err == nil {
		t.Error("it was made")
	}
}

// TestVerifyRemovesWhatIsWrong, and names it; foreign files stay.
func TestVerifyRemovesWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := stocked(t)
	if h, err := s.Verify(t.Context()); err != nil || !h.Clean() || h.Blobs != 3 || h.Size != 12+12+34 {
		t.Fatalf("%+v, %v", h, err)
	}
	other := sha("something else")
	write(t, s, "sha256/"+other[:2]+"/"+other, "damaged")                                // no entry points there
	write(t, s, "sha256/"+segment[:2]+"/"+segment, "a sEgment")                          // with an entry
	write(t, s, "index/"+KindDownload+"/"+other[:2]+"/"+other+".json", "{half an entry") // broken
	write(t, s, "index/"+other[:2]+"/"+other+".json", `{"schema":"mkbuild.cache/v1"}`)   // of an earlier version
	write(t, s, "tmp/.mkbuild-tmp-7", "of a killed process")
	foreign := []string{"notes.txt", "sha256/README", "sha256/zz/" + other, "index/x.json", "tmp/mine"}
	for _, f := range foreign {
		write(t, s, f, "the user's")
	}
	must(t, os.Remove(s.path(sha("content of b"))))
	h, err := s.Verify(t.Context())
	if err != nil || len(h.Damaged) != 2 || len(h.Dangling) != 4 || len(h.Stray) != 1 || len(h.Foreign) != 4 || h.Clean() {
		t.Fatalf("%+v, %v", h, err)
	}
	for _, f := range foreign {
		if _, err := os.Stat(filepath.Join(s.Dir, filepath.FromSlash(f))); err != nil {
			t.Error(err)
		}
	}
	h, err = s.Verify(t.Context())
	if err != nil || h.Blobs != 1 || len(h.Damaged)+len(h.Dangling)+len(h.Stray) != 0 {
		t.Errorf("again: %+v, %v", h, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	a, b := sha("content of a"), sha("content of b")
	const month = 30 * 24 * time.Hour
	for name, tt := range map[string]struct {
		o    PruneOptions
		gone []string
	}{
		"everything":      {PruneOptions{}, []string{a, b, segment}},
		"nothing is old":  {PruneOptions{Downloads: 2 * month, Derived: 2 * month}, nil},
		"by age":          {PruneOptions{Downloads: month, Derived: month}, []string{a}},
		"derived alone":   {PruneOptions{KeepDownloads: true}, []string{segment}},
		"what a lock has": {PruneOptions{Derived: month, Keep: map[string]bool{a: true}}, []string{b}},
		"dry":             {PruneOptions{DryRun: true}, []string{a, b, segment}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stocked(t)
			old := time.Now().Add(-month - time.Hour)
			must(t, os.Chtimes(s.path(a), old, old))
			gone, err := s.Prune(t.Context(), tt.o)
			if err != nil || len(gone) != len(tt.gone) {
				t.Fatalf("%+v, %v", gone, err)
			}
			left := hashes(t, s)
			for _, sha := range tt.gone {
				if _, there := left[sha]; there != tt.o.DryRun {
					t.Errorf("%s: there %v", sha, there)
				}
			}
			if h, err := s.Verify(t.Context()); err != nil || !h.Clean() || !tt.o.DryRun && len(left) != 3-len(tt.gone) {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
}

// TestUseIsNoted: content that a build uses becomes young again, if it was old.
func TestUseIsNoted(t *testing.T) {
	t.Parallel()
	s, made := stocked(t), 0
	old := time.Now().Add(-48 * time.Hour)
	must(t, os.Chtimes(s.path(segment), old, old))
	if _, err := s.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used := hashes(t, s)[segment].Used; time.Since(used) < 47*time.Hour {
		t.Error("to verify is not to use")
	}
	derive(t, again(s), "k", "a segment", &made)
	if used := hashes(t, s)[segment].Used; time.Since(used) > time.Hour || made != 0 {
		t.Errorf("last use %v, made %d times", used, made)
	}
}

// TestPruneWaitsForBuilds: builds also wait for prune.
func TestPruneWaitsForBuilds(t *testing.T) {
	t.Parallel()
	s := stocked(t)
	build, waited := again(s), make(chan bool, 1)
	if _, err := build.Get(t.Context(), segment, nil); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 3*lockPause)
	defer cancel()
	if _, err := s.Prune(short, PruneOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	done := make(chan error)
	s.Waiting = func() { waited <- true }
	go func() {
		_, err := s.Prune(t.Context(), PruneOptions{})
		done <- err
	}()
	<-waited
	build.Close()
	if err := <-done; err != nil || len(hashes(t, s)) != 0 {
		t.Errorf("%v", err)
	}
	err := s.alone(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*lockPause)
		defer cancel()
		_, err := build.Derive(ctx, "segment", "k", nil, func(io.Writer) error { return nil })
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestDeadFilesAreSwept by the first writer.
func TestDeadFilesAreSwept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	write(t, s, "tmp/.mkbuild-tmp-1", "half")
	if add(t, s, "k", "text"); len(files(t, s)) != 2 {
		t.Errorf("left: %q", files(t, s))
	}
}
