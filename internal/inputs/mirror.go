package inputs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/lock"
	"mkbuild/internal/tcz"
	"mkbuild/internal/wholefile"
)

// mirrorConfig is the configuration in a mirror that mkbuild wrote; mirrorMark is its first line.
const (
	mirrorConfig = "mkbuild.yaml"
	mirrorMark   = "# Written by `mkbuild mirror`"
)

// ErrOccupied is returned for a folder with files that a mirror would replace.
var ErrOccupied = fail.New(fail.Usage, "not part of a mirror that mkbuild wrote", "name a folder of its own: mkbuild mirror DIR")

// MirrorPlace is the folder of a mirror. An existing one must not hold somebody's own configuration, or anything
// but files and folders at the paths of a mirror.
func MirrorPlace(dir string) hostfile.Place {
	return hostfile.Tree(dir, "mkbuild mirror DIR", isMirror)
}

func isMirror(files fs.FS) error {
	series, err := fs.Glob(files, "*.x")
	if err != nil {
		return err
	}
	for _, top := range append(series, "archives", mirrorConfig, lock.FileName) {
		err := fs.WalkDir(files, top, func(name string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err == nil && d.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0:
				return fmt.Errorf("%s is %s, and %w", name, hostfile.Kind(d.Type()), ErrOccupied)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	info, err := fs.Stat(files, mirrorConfig)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := fs.Stat(files, lock.FileName); err == nil { // a mirror's configuration is written before its lock
			return fmt.Errorf("%s is %w", lock.FileName, ErrOccupied)
		}
		return nil
	}
	if err != nil {
		return err
	}
	var text []byte
	if info.Mode().IsRegular() && info.Size() <= hostfile.MaxText {
		if text, err = fs.ReadFile(files, mirrorConfig); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(text, []byte(mirrorMark)) {
		return fmt.Errorf("%s is %w", mirrorConfig, ErrOccupied)
	}
	return nil
}

// WriteMirror writes the lock's inputs into dir, as a Tiny Core mirror with its small files, then a configuration
// and a lock for it. Existing files stay; each file appears whole. notes names the user's files that the mirror
// lacks.
func (r *Resolved) WriteMirror(ctx context.Context, dir string) (notes []string, err error) {
	if err := hostfile.Look(dir, isMirror); err != nil {
		return nil, fmt.Errorf("write mirror %s: %w", dir, err)
	}
	if err := hostfile.MakeTree(dir); err != nil {
		return nil, fmt.Errorf("write mirror: %w", err)
	}
	folders, err := newMirror(dir, &r.plan.Config)
	if err != nil {
		return nil, err
	}
	l := *r.Lock
	l.Config = lock.Digest(&r.plan.Config) // after the Ruby's decisions
	l.Inputs = slices.Clone(l.Inputs)
	for i := range l.Inputs {
		in := &l.Inputs[i]
		if in.URL, err = r.writeInput(ctx, folders, *in); err != nil {
			return nil, err
		}
	}
	text, notes, err := config.Mirrored(&r.plan.Config, dir)
	if err != nil {
		return nil, err
	}
	head := mirrorMark + ": every source is in this folder.\n"
	if _, err := wholefile.Update(filepath.Join(dir, mirrorConfig), append([]byte(head), text...)); err != nil {
		return nil, err
	}
	_, err = l.Save(filepath.Join(dir, lock.FileName))
	return notes, err
}

// writeInput writes one input and its small files, and returns its place.
func (r *Resolved) writeInput(ctx context.Context, folders Mirror, in lock.Input) (string, error) {
	folder := folders.Archives
	switch in.Kind {
	case lock.ISO:
		if r.plan.Config.ISO == nil {
			folder = folders.Release
		}
	case lock.TCZ:
		folder = folders.TCZ
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("write mirror: %w", err)
	}
	name := filepath.Join(folder, in.Name)
	if err := r.copyTo(ctx, name, in); err != nil {
		return "", err
	}
	return name, writeSidecars(name, in)
}

// copyTo writes an input's content, unless the file exists.
func (r *Resolved) copyTo(ctx context.Context, name string, in lock.Input) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if sum, err := sha256Of(ctx, name); err == nil && sum == in.SHA256 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("write mirror: %w", err)
	}
	return wholefile.Write(name, func(out io.Writer) error {
		_, err := io.Copy(wholefile.Interruptible(ctx, out), r.Blob(in.Kind, in.Name).Reader())
		return err
	})
}

// writeSidecars writes the small files next to an input, and removes outdated ones of an earlier run. They are
// made from the lock alone, so that the mirror's bytes depend on nothing else.
func writeSidecars(name string, in lock.Input) error {
	var md5, dep, info string
	if in.MD5 != "" {
		md5 = in.MD5 + "  " + in.Name + "\n"
	}
	if len(in.Needs) > 0 {
		dep = strings.Join(in.Needs, "\n") + "\n"
	}
	if in.Kind == lock.TCZ && in.Licence != "" {
		info = fmt.Sprintf("Title:          %s\nCopying-policy: %s\nSize:           %d\n", tcz.Base(in.Name), in.Licence, in.Size)
	}
	for suffix, text := range map[string]string{".md5.txt": md5, ".dep": dep, ".info": info} {
		if text != "" {
			if _, err := wholefile.Update(name+suffix, []byte(text)); err != nil {
				return err
			}
		} else if err := os.Remove(name + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write mirror: %w", err)
		}
	}
	return nil
}

func sha256Of(ctx context.Context, name string) (string, error) {
	f, _, err := hostfile.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	sum := sha256.New()
	_, err = io.Copy(wholefile.Interruptible(ctx, sum), f)
	return hex.EncodeToString(sum.Sum(nil)), err
}
