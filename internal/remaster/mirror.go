package remaster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/lock"
	"mkbuild/internal/tcz"
	"mkbuild/internal/wholefile"
)

// Names in a mirror that mkbuild writes, and the line that its configuration begins with.
const (
	mirrorConfig = "mkbuild.yaml"
	mirrorMark   = "# Written by `mkbuild mirror`"
)

// OccupiedError says that a mirror cannot be written into a folder that holds somebody's own
// configuration.
type OccupiedError struct{ File string }

func (e *OccupiedError) Error() string {
	return fmt.Sprintf("write mirror: %s is there and not of a mirror that mkbuild wrote", e.File)
}

// Hint says what to do instead.
func (*OccupiedError) Hint() string { return "name a folder of its own: mkbuild mirror DIR" }

// CheckMirror refuses a folder whose mkbuild.yaml is not that of a mirror.
func CheckMirror(dir string) error {
	name := filepath.Join(dir, mirrorConfig)
	text, err := os.ReadFile(name) //nolint:gosec // the user's own choice
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("write mirror: %w", err)
	case !bytes.HasPrefix(text, []byte(mirrorMark)):
		return &OccupiedError{name}
	}
	return nil
}

// mirrorWriter is a mirror under way.
type mirrorWriter struct {
	ctx  context.Context
	dir  string
	plan *Plan // with dir as its one mirror
}

// WriteMirror writes everything of the lock into dir, as a mirror of Tiny Core with the small files
// that belong to it, then a configuration and a lock for it. What is there already stays; each file
// appears whole. notes says what the mirror does not hold.
func (r *Resolved) WriteMirror(ctx context.Context, dir string, p *Plan) (notes []string, err error) {
	if err := CheckMirror(dir); err != nil {
		return nil, err
	}
	c := p.Config
	c.Mirrors = config.URLs{dir}
	plan, err := New(c)
	if err != nil {
		return nil, err
	}
	w := &mirrorWriter{ctx, dir, plan}
	l := *r.Lock
	l.Inputs = append([]lock.Input(nil), l.Inputs...)
	for i := range l.Inputs {
		in := &l.Inputs[i]
		if in.URL, err = w.input(r, *in); err != nil {
			return nil, err
		}
	}
	text, notes, err := p.Config.Mirrored(dir)
	if err != nil {
		return nil, err
	}
	head := mirrorMark + ": every source is in this folder.\n"
	if err := w.put(filepath.Join(dir, mirrorConfig), append([]byte(head), text...)); err != nil {
		return nil, err
	}
	_, err = l.Save(filepath.Join(dir, lock.FileName))
	return notes, err
}

// input writes one input and the small files beside it, and returns its place.
func (w *mirrorWriter) input(r *Resolved, in lock.Input) (string, error) {
	folder := w.plan.ArchiveDirs[0]
	switch in.Kind {
	case lock.ISO:
		folder = w.plan.ISODirs[0]
	case lock.TCZ:
		folder = w.plan.TCZDirs[0]
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("write mirror: %w", err)
	}
	name := filepath.Join(folder, in.Name)
	if err := w.copy(name, r, in); err != nil {
		return "", err
	}
	return name, w.beside(name, in)
}

// beside writes the small files beside an input, and removes those of an earlier run that it has no
// more.
func (w *mirrorWriter) beside(name string, in lock.Input) error {
	files := beside(in)
	for _, ending := range []string{".md5.txt", ".dep", ".info"} {
		text, ok := files[ending]
		if !ok {
			if err := os.Remove(name + ending); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("write mirror: %w", err)
			}
			continue
		}
		if err := w.put(name+ending, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// beside are the small files that a mirror has beside an input, by their endings. They say what the
// lock says, so that a mirror has the same bytes whenever it is written.
func beside(in lock.Input) map[string]string {
	out := map[string]string{}
	if in.MD5 != "" {
		out[".md5.txt"] = in.MD5 + "  " + in.Name + "\n"
	}
	if in.Kind != lock.TCZ {
		return out
	}
	if len(in.Needs) > 0 {
		out[".dep"] = strings.Join(in.Needs, "\n") + "\n"
	}
	if in.Licence != "" {
		out[".info"] = fmt.Sprintf("Title:          %s\nCopying-policy: %s\nSize:           %d\n", tcz.Base(in.Name), in.Licence, in.Size)
	}
	return out
}

// copy writes an input's content, unless it is there.
func (w *mirrorWriter) copy(name string, r *Resolved, in lock.Input) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if sum, err := w.sum(name); err == nil && sum == in.SHA256 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write mirror: %w", err)
	}
	return wholefile.Write(name, func(out io.Writer) error {
		_, err := io.Copy(interruptible{w.ctx, out}, r.Blob(in).Reader())
		return err
	})
}

// put writes a small file, unless it is there as it is.
func (w *mirrorWriter) put(name string, text []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) { //nolint:gosec // inside the mirror
		return nil
	}
	return wholefile.Write(name, func(out io.Writer) error {
		_, err := out.Write(text)
		return err
	})
}

func (w *mirrorWriter) sum(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // inside the mirror
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	return digest(w.ctx, func(out io.Writer) error {
		_, err := io.Copy(out, f)
		return err
	})
}
