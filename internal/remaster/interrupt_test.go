package remaster

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
	"mkbuild/internal/inputs"
	"mkbuild/internal/overlay"
)

// steps are the steps of a build in order; the last two are WriteISO's, or write is WriteOverlay's.
func steps() []string {
	return []string{"base", "resolve", "fetch", "unpack", "extensions", "pick", "ruby", "mcollective", "profile", "overlay", "check", "initrd", "iso"}
}

// TestInterruptAtEveryStep is not parallel: it checks the process's TMPDIR.
func TestInterruptAtEveryStep(t *testing.T) {
	tmp := filepath.Join(t.TempDir(), "tmp")
	testkit.Must(t, os.Mkdir(tmp, 0o755))
	for _, at := range append(steps(), "write") {
		for _, end := range []bool{false, true} {
			if end && (at == "iso" || at == "write") {
				continue // the image exists
			}
			out := t.TempDir()
			b, _ := builder(t, t.TempDir())
			ctx, cancel := context.WithCancel(t.Context())
			reached := false
			b.Inputs.Step = func(step string) func() {
				if step != at {
					return func() {}
				}
				reached = true
				if !end {
					cancel()
				}
				return cancel
			}
			t.Setenv("TMPDIR", tmp)
			err := interrupted(ctx, t, b, plan(t, pristine, few), filepath.Join(out, "x"), at == "write")
			if !errors.Is(err, context.Canceled) || !reached {
				t.Errorf("interrupt in %s: reached %v, %v", at, reached, err)
			}
			checkEmpty(t, out)
			checkEmpty(t, tmp)
			testkit.CheckCache(t, b.Inputs.Fetch.Store.Dir)
			cancel()
		}
	}
}

// interrupted runs a build under ctx and closes its staged image.
func interrupted(ctx context.Context, t *testing.T, b *Builder, p *inputs.Plan, name string, archive bool) error {
	t.Helper()
	s, err := b.Stage(ctx, p)
	if err != nil {
		return err
	}
	if archive {
		return b.WriteOverlay(ctx, s, name)
	}
	return b.WriteISO(ctx, s, name)
}

// TestInterruptAmidBytes cancels during the writing of contents, not between steps.
func TestInterruptAmidBytes(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine))
	out := t.TempDir()
	for _, write := range []func(context.Context, *Staged, string) error{b.WriteISO, b.WriteOverlay} {
		ctx, cancel := context.WithCancel(t.Context())
		e := overlay.Entry{Path: "zzz", Mode: overlay.TypeRegular | 0o644, Size: 8 << 20, Open: func() (io.ReadCloser, error) {
			cancel()
			return io.NopCloser(io.LimitReader(endless{}, 8<<20)), nil
		}}
		testkit.Must(t, putLast(s, e))
		if err := write(ctx, s, filepath.Join(out, "x")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		cancel()
		checkEmpty(t, out)
	}
}

// endless returns incompressible bytes.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	x := uint32(len(p))
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return len(p), nil
}

func putLast(s *Staged, e overlay.Entry) error {
	layer := &overlay.Tree{}
	if err := layer.Put(e); err != nil {
		return err
	}
	return s.layers.AddLastWins(layer)
}

// TestReadErrorAmidBytes tests an input that fails, shrinks or grows while the image is written.
func TestReadErrorAmidBytes(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine))
	out := t.TempDir()
	broken := errors.New("input/output error")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"cannot be opened": func() (io.ReadCloser, error) { return nil, broken },
		"cannot be read": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("abc"), failingReader{broken})), nil
		},
		"is shorter": overlay.Bytes([]byte("abc")),
		"is longer":  overlay.Bytes([]byte("abcdefghijkl")),
	} {
		testkit.Must(t, putLast(s, overlay.Entry{Path: "zzz", Mode: overlay.TypeRegular | 0o644, Size: 10, Open: open}))
		for _, write := range []func(context.Context, *Staged, string) error{b.WriteISO, b.WriteOverlay} {
			if err := write(t.Context(), s, filepath.Join(out, "x")); err == nil || !strings.Contains(err.Error(), "zzz") {
				t.Errorf("an input that %s: %v", name, err)
			}
			checkEmpty(t, out)
		}
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestUnwritableOutput(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine))
	dir := t.TempDir()
	testkit.Put(t, filepath.Join(dir, "file"), nil)
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	for _, name := range []string{"nowhere/x.iso", "file/x.iso", "folder"} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		for _, write := range []func(context.Context, *Staged, string) error{b.WriteISO, b.WriteOverlay} {
			err := write(t.Context(), s, p)
			if _, ok := errors.AsType[*fs.PathError](err); err == nil || !ok && !isLinkError(err) && fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), p) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	es, err := os.ReadDir(dir)
	if err != nil || len(es) != 2 {
		t.Errorf("left: %v, %v", es, err)
	}
}

func isLinkError(err error) bool { return as[*os.LinkError](err) }

// TestOldOutputStaysWhenABuildFails: an existing image is replaced by a whole one or not at all.
func TestOldOutputStaysWhenABuildFails(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine))
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Put(t, name, []byte("yesterday's image"))
	testkit.Must(t, putLast(s, overlay.Entry{Path: "zzz", Mode: overlay.TypeRegular | 0o644, Size: 10, Open: overlay.Bytes(nil)}))
	if err := b.WriteISO(t.Context(), s, name); err == nil {
		t.Fatal("no error")
	}
	if got := string(testkit.Read(t, name)); got != "yesterday's image" {
		t.Errorf("the old output is now %q", got)
	}
}
