package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/wholefile"
)

// FileName is what a lock is called, beside the configuration that it belongs to.
const FileName = "mkbuild.lock"

// maxFile bounds a lock's text, in bytes: that of the largest closure that package tcz allows.
const maxFile = 16 << 20

// Load reads a lock. It fails with [ErrMissing] where there is none and with [ErrInvalid] where
// it cannot be read or is none, and refuses what this version does not know: a member that is passed over
// could be the one that matters.
func Load(name string) (*Lock, error) {
	f, err := os.Open(name) //nolint:gosec // the user's own choice
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingError{File: name}
	}
	if err != nil {
		return nil, &InvalidError{File: name, Err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &InvalidError{File: name, Err: err}
	}
	l, err := Parse(text)
	if err != nil {
		return nil, &InvalidError{File: name, Err: err}
	}
	l.File = name
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("read lock: %w", err)
	}
	for i := range l.Inputs {
		if u := &l.Inputs[i].URL; isPath(*u) && !filepath.IsAbs(*u) {
			*u = filepath.Join(dir, filepath.FromSlash(*u))
		}
	}
	return l, nil
}

func isPath(url string) bool { return url != "" && !strings.Contains(url, "://") }

// Parse reads the text of a lock. Paths among the URLs stay as they are.
func Parse(text []byte) (*Lock, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is over %d bytes", maxFile)
	}
	var l Lock
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text behind its end")
	}
	if err := l.validate(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(l.Inputs, compare)
	for i := range l.Inputs[:max(len(l.Inputs)-1, 0)] {
		if compare(l.Inputs[i], l.Inputs[i+1]) == 0 {
			return nil, fmt.Errorf("%s is listed twice", l.Inputs[i].Name)
		}
	}
	return &l, nil
}

// Text renders a lock: indented JSON that ends with a line break, the same for the same lock.
func (l *Lock) Text() ([]byte, error) {
	out := *l
	out.Schema, out.Inputs = Schema, slices.Clone(l.Inputs)
	slices.SortFunc(out.Inputs, compare)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(&out)
	return b.Bytes(), err
}

// Save writes a lock whole or not at all, paths among its URLs relative to its folder. It reports
// whether the file has changed: one that has the same text already is left alone.
func (l *Lock) Save(name string) (changed bool, err error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return false, fmt.Errorf("write lock: %w", err)
	}
	out := *l
	out.Inputs = slices.Clone(l.Inputs)
	for i := range out.Inputs {
		out.Inputs[i].URL = relative(dir, out.Inputs[i].URL)
	}
	text, err := out.Text()
	if err != nil {
		return false, fmt.Errorf("write lock: %w", err)
	}
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) { //nolint:gosec // the user's own choice
		return false, nil
	}
	return true, wholefile.Write(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// relative makes the path of an input one that holds wherever the lock and its mirror are moved to
// together. What cannot be relative (another drive) stays.
func relative(dir, url string) string {
	if !isPath(url) || !filepath.IsAbs(url) {
		return url
	}
	rel, err := filepath.Rel(dir, url)
	if err != nil {
		return url
	}
	return filepath.ToSlash(rel)
}
