package fetch

import (
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
	"time"
)

// derive makes a segment of the given text and counts how often it is really made.
func derive(t *testing.T, c *Client, key, text string, made *int) *Blob {
	t.Helper()
	b, err := c.Derive(t.Context(), "segment", key, func(w io.Writer) error {
		*made++
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.ReadAll(1 << 20)
	if err != nil || string(got) != text || b.SHA256 != sha(text) || b.Size != int64(len(text)) || b.Source != -1 {
		t.Fatalf("%q, %v, %+v", got, err, b)
	}
	return b
}

func TestDerive(t *testing.T) {
	t.Parallel()
	c, made := newClient(t), 0
	if _, err := c.Derived("segment", "k"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if b := derive(t, c, "k", "text", &made); b.Cached {
		t.Error("made and cached at once")
	}
	if b := derive(t, c, "k", "text", &made); !b.Cached || made != 1 {
		t.Errorf("made %d times", made)
	}
	derive(t, c, "other", "text", &made)
	other := &Client{CacheDir: c.CacheDir}
	b, err := other.Derived("segment", "k")
	if err != nil || !b.Cached || b.SHA256 != sha("text") {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := other.Derived("tree", "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another kind: %v", err)
	}
	if made != 2 || len(files(t, c.CacheDir)) != 3 {
		t.Errorf("made %d times; two entries and one blob expected: %q", made, files(t, c.CacheDir))
	}
}

// TestDerivedOfFetchedContent: the same bytes are one blob, whose MD5 is known when it is asked for.
func TestDerivedOfFetchedContent(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("right"))
	c, made := newClient(t), 0
	derive(t, c, "k", "right", &made)
	want(t, c, Request{Name: "x", URLs: []string{url}}, "right")
	derive(t, c, "k", "right", &made)
	want(t, c, Request{Name: "x", URLs: []string{url}, MD5: md5hex("right")}, "right")
	if count() != 1 || made != 1 {
		t.Errorf("%d requests, made %d times", count(), made)
	}
}

func TestDeriveThatFails(t *testing.T) {
	t.Parallel()
	c, broken := newClient(t), errors.New("broken")
	_, err := c.Derive(t.Context(), "segment", "k", func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = c.Derive(ctx, "segment", "k", func(w io.Writer) error {
		cancel()
		_, err := io.WriteString(w, "half")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := files(t, c.CacheDir); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestDeriveBesideAReadOnlyCache: what cannot be stored is made all the same. Nobody, root included,
// makes folders in /sys.
func TestDeriveBesideAReadOnlyCache(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("no /sys")
	}
	c, made := &Client{CacheDir: "/sys/mkbuild-test"}, 0
	for range 2 {
		derive(t, c, "k", "text", &made)
	}
	broken := errors.New("broken")
	if _, err := c.Derive(t.Context(), "segment", "k", func(io.Writer) error { return broken }); !errors.Is(err, broken) || made != 2 {
		t.Errorf("%v, made %d times", err, made)
	}
	b := derive(t, c, "k", "text", &made)
	c.Close()
	if _, err := b.Open(); err == nil {
		t.Error("it outlives its client")
	}
}

func TestDamagedDerived(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(name string) error{
		"changed":   func(n string) error { return os.WriteFile(n, []byte("teXt"), 0o644) },
		"truncated": func(n string) error { return os.Truncate(n, 2) },
		"removed":   os.Remove,
	} {
		c, made := newClient(t), 0
		derive(t, c, "k", "text", &made)
		blob := blobOf(t, c)
		if err := errors.Join(spoil(blob), age(blob)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Derived("segment", "k"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if derive(t, c, "k", "text", &made); made != 2 {
			t.Errorf("%s: made %d times", name, made)
		}
	}
}

// age gives a file another time: the clock of the file system may be too coarse to tell.
func age(name string) error {
	err := os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func TestPoisonedDerivation(t *testing.T) {
	t.Parallel()
	good := derivation{derivedSchema, "segment", "k", sha("text"), 4}
	for name, poison := range map[string]func(d *derivation){
		"escaping path": func(d *derivation) { d.SHA256 = strings.Repeat("../", 21) + "x" },
		"upper case":    func(d *derivation) { d.SHA256 = strings.ToUpper(d.SHA256) },
		"no hash":       func(d *derivation) { d.SHA256 = "" },
		"wrong size":    func(d *derivation) { d.Size = 5 },
		"negative size": func(d *derivation) { d.Size = -4 },
		"other schema":  func(d *derivation) { d.Schema = "mkbuild.derived/v9" },
		"other key":     func(d *derivation) { d.Key = "victim" },
		"other kind":    func(d *derivation) { d.Kind = "tree" },
		"no such blob":  func(d *derivation) { d.SHA256 = sha("nothing") },
	} {
		c, made := newClient(t), 0
		derive(t, c, "k", "text", &made)
		d := good
		poison(&d)
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := cacheOf(c).writeFile(cacheOf(c).derivationPath("segment", "k"), b); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Derived("segment", "k"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if derive(t, c, "k", "text", &made); made != 2 {
			t.Errorf("%s: made %d times", name, made)
		}
	}
}

func TestDerivedNames(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, n := range [][2]string{{"", "k"}, {"../x", "k"}, {"a/b", "k"}, {"segment", ""}, {"segment", strings.Repeat("k", keyLimit+1)}, {"segment", "\xff"}} {
		_, err := c.Derive(t.Context(), n[0], n[1], func(io.Writer) error { return nil })
		if err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", n, err)
		}
	}
	if _, err := (&Client{}).Derived("segment", "k"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("no cache: %v", err)
	}
	made := 0
	derive(t, c, strings.Repeat("\x00", keyLimit), "x", &made)
	if derive(t, c, strings.Repeat("\x00", keyLimit), "x", &made); made != 1 {
		t.Error("a long key is not found again")
	}
}

func TestDeriversAtOnce(t *testing.T) {
	t.Parallel()
	dir, text := filepath.Join(t.TempDir(), "cache"), noise(300_000)
	var wg sync.WaitGroup
	for range 8 {
		c := &Client{CacheDir: dir}
		wg.Go(func() {
			b, err := c.Derive(t.Context(), "segment", "k", func(w io.Writer) error {
				_, err := io.WriteString(w, text)
				return err
			})
			if err != nil {
				t.Error(err)
			} else if got, err := b.ReadAll(1 << 20); err != nil || string(got) != text {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("one blob and one entry expected: %q", got)
	}
}

func FuzzParseDerivation(f *testing.F) {
	f.Add([]byte(`{"schema":"mkbuild.derived/v1","kind":"segment","key":"k","sha256":"` + strings.Repeat("ab", 32) + `","size":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDerivation(b)
		if err == nil && (len(d.SHA256) != 64 || strings.Trim(d.SHA256, "0123456789abcdef") != "" || d.Size < 0) {
			t.Errorf("accepted %+v", d)
		}
	})
}

// BenchmarkVerify is what each run pays for each byte that it has from the cache.
func BenchmarkVerify(b *testing.B) {
	for name, withMD5 := range map[string]bool{"sha256": false, "sha256 and md5": true} {
		b.Run(name, func(b *testing.B) {
			c := &Client{CacheDir: b.TempDir()}
			blob, err := c.Derive(b.Context(), "segment", "k", func(w io.Writer) error {
				_, err := io.WriteString(w, noise(8<<20))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(blob.Size)
			for b.Loop() {
				if _, err := (cache{dir: c.CacheDir, session: &session{}}).verify(blob.SHA256, withMD5); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
