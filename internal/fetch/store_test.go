package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stocked is a cache with two downloads, a segment and a remembered absence.
func stocked(t *testing.T) (*Client, Store) {
	t.Helper()
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".dep") {
			w.WriteHeader(404)
			return
		}
		w.Write([]byte("content of " + r.URL.Path))
	})
	c, made := newClient(t), 0
	for _, n := range []string{"/a.tcz", "/b.tcz"} {
		want(t, c, Request{Name: n, URLs: []string{url + n}}, "content of "+n)
	}
	if _, err := c.Get(t.Context(), Request{Name: "dep", URLs: []string{url + "/a.tcz.dep"}, Optional: true}); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	derive(t, c, "k", "a segment", &made)
	c.Close()
	return c, Store{Dir: c.CacheDir}
}

// hashes lists what is there.
func hashes(t *testing.T, s Store) map[string]Item {
	t.Helper()
	items, err := s.Items(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Item{}
	for _, i := range items {
		out[i.SHA256] = i
	}
	return out
}

func TestItems(t *testing.T) {
	t.Parallel()
	c, s := stocked(t)
	items, err := s.Items(t.Context())
	if err != nil || len(items) != 3 {
		t.Fatalf("%+v, %v", items, err)
	}
	if i := items[0]; i.Kind != KindDownload || len(i.Names) != 1 || !strings.HasSuffix(i.Names[0], "/a.tcz") || i.Size != 17 || i.SHA256 != sha("content of /a.tcz") || time.Since(i.Used) > time.Hour {
		t.Errorf("%+v", i)
	}
	if i := items[2]; i.Kind != "segment" || i.Names[0] != "k" {
		t.Errorf("%+v", i)
	}
	// The same bytes, fetched too: a download from then on. Content that nothing leads to: an orphan.
	url, _ := serve(t, static("a segment"))
	want(t, c, Request{Name: "s", URLs: []string{url}}, "a segment")
	if err := os.RemoveAll(filepath.Join(s.Dir, indexDir, hashText(items[0].Names[0])[:2])); err != nil {
		t.Fatal(err)
	}
	got := hashes(t, s)
	if got[sha("a segment")].Kind != KindDownload || len(got[sha("a segment")].Names) != 2 || got[items[0].SHA256].Kind != KindOrphan {
		t.Errorf("%+v", got)
	}
	if items, err := (Store{Dir: filepath.Join(t.TempDir(), "none")}).Items(t.Context()); err != nil || len(items) != 0 {
		t.Errorf("%v, %v", items, err)
	}
}

func TestVerifyFindsACacheClean(t *testing.T) {
	t.Parallel()
	_, s := stocked(t)
	h, err := s.Verify(t.Context())
	if err != nil || !h.Clean() || h.Blobs != 3 || h.Size != 17+17+9 {
		t.Errorf("%+v, %v", h, err)
	}
	h, err = Store{Dir: filepath.Join(t.TempDir(), "none")}.Verify(t.Context())
	if err != nil || !h.Clean() {
		t.Errorf("%+v, %v", h, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestVerifyRemovesWhatIsWrong, and says what it was; what is not mkbuild's own stays.
func TestVerifyRemovesWhatIsWrong(t *testing.T) {
	t.Parallel()
	c, s := stocked(t)
	put := func(name, text string) {
		p := filepath.Join(s.Dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	other := sha("something else")
	put(blobDir+"/"+other[:2]+"/"+other, "damaged")                         // nothing leads there
	put(blobDir+"/"+sha("a segment")[:2]+"/"+sha("a segment"), "a sEgment") // with an entry
	put(indexDir+"/"+other[:2]+"/"+other+".json", "{half an ent")
	put(blobDir+"/123.part", "of an earlier version")
	put(tmpDir+"/.mkbuild-tmp-7", "of a killed process")
	foreign := []string{"notes.txt", blobDir + "/README", blobDir + "/zz/" + other, indexDir + "/x.json", tmpDir + "/mine"}
	for _, f := range foreign {
		put(f, "the user's")
	}
	if err := os.Remove(cacheOf(c).blobPath(sha("content of /b.tcz"))); err != nil {
		t.Fatal(err)
	}
	h, err := s.Verify(t.Context())
	if err != nil || len(h.Damaged) != 2 || len(h.Dangling) != 3 || len(h.Stray) != 2 || len(h.Foreign) != 4 || h.Clean() {
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
}

func TestPrune(t *testing.T) {
	t.Parallel()
	a, b, segment := sha("content of /a.tcz"), sha("content of /b.tcz"), sha("a segment")
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
			c, s := stocked(t)
			old := time.Now().Add(-month - time.Hour)
			if err := os.Chtimes(cacheOf(c).blobPath(a), old, old); err != nil {
				t.Fatal(err)
			}
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
	if gone, err := (Store{Dir: filepath.Join(t.TempDir(), "none")}).Prune(t.Context(), PruneOptions{}); err != nil || len(gone) != 0 {
		t.Errorf("%v, %v", gone, err)
	}
}

// TestUseIsNoted: what a build has from the cache is young again, if it was not already.
func TestUseIsNoted(t *testing.T) {
	t.Parallel()
	c, s := stocked(t)
	p := cacheOf(c).blobPath(sha("a segment"))
	old, made := time.Now().Add(-48*time.Hour), 0
	if err := os.Chtimes(p, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used := hashes(t, s)[sha("a segment")].Used; time.Since(used) < 47*time.Hour {
		t.Error("to verify is not to use")
	}
	user := &Client{CacheDir: c.CacheDir}
	derive(t, user, "k", "a segment", &made)
	if used := hashes(t, s)[sha("a segment")].Used; time.Since(used) > time.Hour || made != 0 {
		t.Errorf("last use %v, made %d times", used, made)
	}
}

// TestPruneWaitsForBuilds: what a build has verified stays until it has read it.
func TestPruneWaitsForBuilds(t *testing.T) {
	t.Parallel()
	c, s := stocked(t)
	build := &Client{CacheDir: c.CacheDir}
	b, err := build.Derived("segment", "k")
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 3*lockPause)
	defer cancel()
	if _, err := s.Prune(short, PruneOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	if text, err := b.ReadAll(100); err != nil || string(text) != "a segment" {
		t.Errorf("%q, %v", text, err)
	}
	done := make(chan error)
	go func() {
		_, err := s.Prune(t.Context(), PruneOptions{})
		done <- err
	}()
	build.Close()
	if err := <-done; err != nil || len(hashes(t, s)) != 0 {
		t.Errorf("%v", err)
	}
	// The other way round: a build waits for prune, and may be interrupted meanwhile.
	err = s.alone(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*lockPause)
		defer cancel()
		_, err := build.Derive(ctx, "segment", "k", func(io.Writer) error { return nil })
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
