package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestGet(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "small": "text", "at the limit": large[:inMemory], "large": large} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			if _, err := s.Get(t.Context(), sha(text), nil); !errors.Is(err, ErrMissing) {
				t.Fatal(err)
			}
			fresh := add(t, s, "k", text)
			kept, err := again(s).Get(t.Context(), sha(text), nil)
			must(t, err)
			for _, b := range []*Blob{fresh, kept} {
				if b.SHA256 != sha(text) || b.Size != int64(len(text)) || b.Cached != (b == kept) {
					t.Errorf("%+v", b)
				}
				if err := iotest.TestReader(b.Reader(), []byte(text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, err := newStore(t).Get(t.Context(), strings.Repeat("../", 21)+"x", nil); !errors.Is(err, ErrMissing) {
		t.Errorf("a path for a digest: %v", err)
	}
	if _, err := (&Store{}).Get(t.Context(), sha("x"), nil); !errors.Is(err, errNoDir) {
		t.Error(err)
	}
}

// TestWriter: the way of writing does not matter, and a further digest covers the same bytes.
func TestWriter(t *testing.T) {
	t.Parallel()
	s, r := newStore(t), rand.New(rand.NewPCG(1, 2))
	w, err := s.Create(t.Context())
	must(t, err)
	io.WriteString(w, "what a broken transfer has brought")
	if err := w.Reset(); err != nil || w.Size() != 0 {
		t.Fatal(err)
	}
	for rest := []byte(large); len(rest) > 0; {
		n := min(len(rest), r.IntN(2*pieceSize))
		w.Write(rest[:n])
		rest = rest[n:]
	}
	first, second := sha256.New(), sha256.New()
	if _, text, err := w.Finish(first); err != nil || iotest.TestReader(text, []byte(large)) != nil {
		t.Fatal(err)
	}
	b, err := w.Commit(true)
	if err != nil || b.SHA256 != sha(large) || read(t, b) != large {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := s.Get(t.Context(), sha(large), second); err != nil {
		t.Fatal(err)
	}
	third := sha256.New()
	if _, err := again(s).Get(t.Context(), sha(large), third); err != nil {
		t.Fatal(err)
	}
	for _, h := range []hash.Hash{first, second, third} {
		if hex.EncodeToString(h.Sum(nil)) != sha(large) {
			t.Error("the other digest is of something else")
		}
	}
}

// swaps are changes of content after hashing, by somebody who can write to the folder.
func swaps() map[string]func(name string) error {
	evil := []byte(strings.ReplaceAll(large, "5", "6"))
	return map[string]func(name string) error{
		"replaced": func(n string) error {
			return errors.Join(os.WriteFile(n+".new", evil, 0o644), os.Rename(n+".new", n))
		},
		"written in place": func(n string) error { return os.WriteFile(n, evil, 0o644) },
		"written in place, times put back": func(n string) error {
			st, err := os.Stat(n)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(n, evil, 0o644), os.Chtimes(n, st.ModTime(), st.ModTime()))
		},
		"a byte changed": func(n string) error {
			f, err := os.OpenFile(n, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("x"), int64(len(large)-1))
			return errors.Join(err, f.Close())
		},
		"cut off":   func(n string) error { return os.Truncate(n, pieceSize) },
		"emptied":   func(n string) error { return os.Truncate(n, 0) },
		"removed":   os.Remove,
		"made long": func(n string) error { return os.Truncate(n, int64(len(large)+1)) },
	}
}

// TestWhatIsReadIsWhatWasHashed: a swap between hashing and reading causes an error at most.
func TestWhatIsReadIsWhatWasHashed(t *testing.T) {
	t.Parallel()
	for name, swap := range swaps() {
		for _, size := range []int{100, len(large)} {
			text := large[len(large)-size:]
			s := newStore(t)
			add(t, s, "k", text)
			user := again(s)
			b, err := user.Get(t.Context(), sha(text), nil)
			must(t, err)
			must(t, swap(s.path(sha(text))))
			for _, r := range []io.Reader{b.Reader(), iotest.OneByteReader(b.Reader())} {
				got, err := io.ReadAll(r)
				if !strings.HasPrefix(text, string(got)) || err == nil && string(got) != text {
					t.Errorf("%s, %d bytes: other content was read, %v", name, size, err)
				}
				if err != nil && (size <= inMemory || !errors.Is(err, errChanged) && !strings.Contains(err.Error(), s.Dir)) {
					t.Errorf("%s, %d bytes: %v", name, size, err)
				}
			}
			if name != "removed" && name != "replaced" && size > inMemory && name != "made long" {
				if _, err := io.ReadAll(b.Reader()); !errors.Is(err, errChanged) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// TestDamagedIsRemoved: anything in place of the content is removed, and nobody waits for a pipe.
func TestDamagedIsRemoved(t *testing.T) {
	t.Parallel()
	other := filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(other, []byte("text"), 0o644))
	for name, spoil := range map[string]func(n string) error{
		"changed":     func(n string) error { return os.WriteFile(n, []byte("teXt"), 0o644) },
		"cut off":     func(n string) error { return os.Truncate(n, 2) },
		"a pipe":      func(n string) error { return errors.Join(os.Remove(n), mkfifo(n)) },
		"a link":      func(n string) error { return errors.Join(os.Remove(n), os.Symlink(other, n)) },
		"a folder":    func(n string) error { return errors.Join(os.Remove(n), os.Mkdir(n, 0o755)) },
		"dead a link": func(n string) error { return errors.Join(os.Remove(n), os.Symlink("nowhere", n)) },
	} {
		s := newStore(t)
		add(t, s, "k", "text")
		if err := spoil(s.path(sha("text"))); err != nil {
			t.Skip(name, err)
		}
		if _, err := again(s).Get(t.Context(), sha("text"), nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := again(s).Get(t.Context(), sha("text"), nil); !errors.Is(err, ErrMissing) {
			t.Errorf("%s, again: %v", name, err)
		}
		if b := add(t, s, "k", "text"); read(t, b) != "text" {
			t.Errorf("%s: not healed", name)
		}
	}
	if b, err := os.ReadFile(other); string(b) != "text" {
		t.Errorf("the file behind a link: %q, %v", b, err)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	add(t, s, "k", "text").Discard()
	if _, err := s.Get(t.Context(), sha("text"), nil); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
}

// BenchmarkGet measures the cost per byte read from the store.
func BenchmarkGet(b *testing.B) {
	s, text := newStore(b), strings.Repeat(large, 100)
	b.SetBytes(add(b, s, "k", text).Size)
	for b.Loop() {
		if _, err := again(s).Get(b.Context(), sha(text), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzReadAbout(f *testing.F) {
	for _, text := range []string{"", "1234567", "x{}\x00\x00\x00\x00\x00\x00\x00\x02", "{}\xff\xff\xff\xff\xff\xff\xff\xff", "[]\x00\x00\x00\x00\x00\x00\x00\x02", "{\x00\x00\x00\x00\x00\x00\x00\x01", "{}\x80\x00\x00\x00\x00\x00\x00\x02"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var about struct{ Name string }
		n, err := readAbout(&content{size: int64(len(b)), text: b}, &about)
		if err == nil && (n < 0 || n > int64(len(b))-aboutTail || bytes.HasPrefix(b[n:], []byte("["))) {
			t.Errorf("content of %d bytes in %d", n, len(b))
		}
	})
}
