package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"mkbuild/internal/fail"
)

func TestDerive(t *testing.T) {
	t.Parallel()
	s, made := newStore(t), 0
	for i, key := range []string{"k", "k", "other", strings.Repeat("k", 8<<10)} {
		if b := derive(t, s, key, "text", &made); b.Cached != (i == 1) {
			t.Errorf("%.10q: cached %v", key, b.Cached)
		}
		if derive(t, again(s), key, "text", &made); made != max(i, 1) {
			t.Errorf("%.10q: made %d times", key, made)
		}
	}
	if got := files(t, s); len(got) != 4 {
		t.Errorf("one file of content and three entries expected: %q", got)
	}
	if _, err := s.Derive(t.Context(), "tree", "k", nil, func(io.Writer) error { return io.ErrNoProgress }); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("another kind: %v", err)
	}
}

func TestDeriveThatFails(t *testing.T) {
	t.Parallel()
	s, broken := newStore(t), errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		want error
	}{{t.Context(), broken, broken}, {ctx, nil, context.Canceled}, {ctx, nil, context.Canceled}} {
		_, err := s.Derive(tt.ctx, "segment", "k", nil, func(w io.Writer) error {
			cancel()
			_, err := io.WriteString(w, "half")
			return errors.Join(err, tt.err)
		})
		if !errors.Is(err, tt.want) {
			t.Error(err)
		}
	}
	if got := files(t, s); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestDeriveWithAReadOnlyFolder: the result is made even if it cannot be kept. Nobody, including root, can make
// folders in /sys.
func TestDeriveWithAReadOnlyFolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("no /sys")
	}
	s, made := &Store{Dir: "/sys/mkbuild-test"}, 0
	derive(t, s, "k", "text", &made)
	b := derive(t, s, "k", large, &made)
	if made != 2 {
		t.Errorf("made %d times", made)
	}
	s.Close()
	if _, err := io.ReadAll(b.Reader()); err == nil {
		t.Error("it outlives its store")
	}
	if _, err := s.Create(t.Context()); !readOnly(err) {
		t.Errorf("a download: %v", err)
	}
}

// TestPoisonedDerivation: invalid content and entries are ignored.
func TestPoisonedDerivation(t *testing.T) {
	t.Parallel()
	entry := func(change func(e *Entry)) func(t *testing.T, s *Store, b *Blob) {
		return func(t *testing.T, s *Store, b *Blob) {
			e := Entry{Schema: entrySchema, Key: "k", SHA256: b.SHA256}
			change(&e)
			text, err := json.Marshal(e)
			must(t, err)
			name, _ := filepath.Rel(s.Dir, s.entryPath("segment", "k"))
			write(t, s, name, string(text))
		}
	}
	for name, poison := range map[string]func(t *testing.T, s *Store, b *Blob){
		"escaping path":   entry(func(e *Entry) { e.SHA256 = strings.Repeat("../", 21) + "x" }),
		"upper case":      entry(func(e *Entry) { e.SHA256 = strings.ToUpper(e.SHA256) }),
		"no hash":         entry(func(e *Entry) { e.SHA256 = "" }),
		"other schema":    entry(func(e *Entry) { e.Schema = "mkbuild.cache/v1" }),
		"other key":       entry(func(e *Entry) { e.Key = "victim" }),
		"no such content": entry(func(e *Entry) { e.SHA256 = sha("nothing") }),
		"a pipe": func(_ *testing.T, s *Store, _ *Blob) {
			os.Remove(s.entryPath("segment", "k"))
			mkfifo(s.entryPath("segment", "k"))
		},
		"no description": func(t *testing.T, s *Store, _ *Blob) {
			add(t, s, "x", "something else")
			s.Put(t.Context(), "segment", Entry{Key: "k", SHA256: sha("something else")})
		},
		"no description of ours": func(t *testing.T, s *Store, _ *Blob) {
			add(t, s, "x", "null\x00\x00\x00\x00\x00\x00\x00\x04")
			s.Put(t.Context(), "segment", Entry{Key: "k", SHA256: sha("null\x00\x00\x00\x00\x00\x00\x00\x04")})
		},
		"damaged content": func(t *testing.T, s *Store, b *Blob) {
			name, _ := filepath.Rel(s.Dir, s.path(b.SHA256))
			write(t, s, name, "damaged")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, made, warned := newStore(t), 0, ""
			poison(t, s, derive(t, s, "k", "text", &made))
			user := again(s)
			user.Warn = func(kind, text string) { warned += kind + " " + text }
			if derive(t, user, "k", "text", &made); made != 2 {
				t.Errorf("made %d times", made)
			}
			if strings.HasPrefix(warned, "segment its cached copy was damaged") != (name == "damaged content") {
				t.Errorf("warned: %q", warned)
			}
		})
	}
}

func TestDeriversAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b, err := again(s).Derive(t.Context(), "segment", "k", new(string), func(w io.Writer) error {
				_, err := io.WriteString(w, large)
				return err
			})
			if err != nil {
				t.Error(err)
			} else if got, err := io.ReadAll(b.Reader()); err != nil || string(got) != large {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if got := files(t, s); len(got) != 2 {
		t.Errorf("one file of content and one entry expected: %q", got)
	}
}

// TestFullDisk: the error is final and gives the remedy.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	w, err := s.Create(t.Context())
	must(t, err)
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	w.file.File.Close()
	w.file.File = full
	_, err = io.WriteString(w, "content")
	w.Abort()
	if !errors.Is(err, ErrWrite) || !strings.Contains(err.Error(), s.Dir) || !strings.Contains(fail.HintOf(err), "free space") {
		t.Errorf("%T %v", err, err)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(`{"schema":"mkbuild.cache/v2","key":"http://h/x","sha256":"` + strings.Repeat("ab", 32) + `"}`))
	f.Add([]byte(`{"schema":"mkbuild.cache/v2","sha256":"../.."}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseEntry(bytes.NewReader(b)); err == nil && e.SHA256 != "" && (len(e.SHA256) != 64 || strings.Trim(e.SHA256, "0123456789abcdef") != "") {
			t.Errorf("accepted %+v", e)
		}
	})
}

// TestSeals: a sealed store returns only content with a seal of the user's key, and users keep each other's seals.
func TestSeals(t *testing.T) {
	t.Parallel()
	s, made := newStore(t), 0
	user := func(key string) *Store { return &Store{Dir: s.Dir, Key: []byte(key), Sealed: true} }
	derive(t, s, "k", "text", &made)
	for i, tt := range []struct {
		by   *Store
		made int
	}{
		{s, 1}, {user("a"), 2}, {user("a"), 2}, {user("b"), 3}, {user("a"), 3}, {user("b"), 3}, {s, 3},
	} {
		if derive(t, tt.by, "k", "text", &made); made != tt.made {
			t.Errorf("%d: made %d times, want %d", i, made, tt.made)
		}
	}
	for i := range 2 * maxSeals {
		derive(t, user(strings.Repeat("x", i)), "k", "text", &made)
	}
	e, err := s.Entry("segment", "k")
	if err != nil || len(e.Seals) != maxSeals {
		t.Errorf("%d seals, %v", len(e.Seals), err)
	}
	// A seal is for one kind, one key and one content.
	a := user("a")
	must(t, a.Put(t.Context(), "segment", Entry{Key: "x", SHA256: sha("text")}))
	sealed, err := a.Entry("segment", "x")
	if err != nil || !sealed.Trusted {
		t.Fatal(sealed, err)
	}
	for name, change := range map[string]func(e *Entry) (kind string){
		"kind":    func(*Entry) string { return "tree" },
		"key":     func(e *Entry) string { e.Key = "y"; return "segment" },
		"content": func(e *Entry) string { e.SHA256 = sha("other"); return "segment" },
		"about":   func(e *Entry) string { e.About = json.RawMessage(`"x"`); return "segment" },
	} {
		e := sealed
		kind := change(&e)
		must(t, s.Put(t.Context(), kind, e)) // with the old seals
		if got, err := a.Entry(kind, e.Key); err != nil || got.Trusted {
			t.Errorf("another %s: %+v, %v", name, got, err)
		}
	}
}
