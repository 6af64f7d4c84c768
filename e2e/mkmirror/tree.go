package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"mkbuild/internal/overlay"
)

// builder fills a tree and keeps the first error, so that long lists of files stay readable.
type builder struct {
	tree *overlay.Tree
	pool *pool
	err  error
}

func newBuilder(p *pool) *builder { return &builder{tree: &overlay.Tree{}, pool: p} }

// put adds an entry with the build's time.
func (b *builder) put(e overlay.Entry) {
	if b.err == nil {
		e.MTime = buildTime
		b.err = b.tree.Put(e)
	}
}

// text adds a file with content.
func (b *builder) text(name string, perm uint32, content string) {
	b.put(overlay.File(name, perm, []byte(content)))
}

// embedded adds a file of files/.
func (b *builder) embedded(from, to string, perm uint32) {
	text, err := embedded.ReadFile(from)
	if err != nil {
		b.fail(fmt.Errorf("read embedded files: %w", err))
		return
	}
	b.text(to, perm, string(text))
}

// edit adds a package's text file, changed by change.
func (b *builder) edit(pkg, from, to string, perm uint32, change func(string) (string, error)) {
	if b.err != nil {
		return
	}
	e, err := b.pool.file(pkg, from, to, perm)
	if err != nil {
		b.fail(err)
		return
	}
	text, err := e.Content(8 << 20)
	if err != nil {
		b.fail(err)
		return
	}
	changed, err := change(string(text))
	if err != nil {
		b.fail(err)
		return
	}
	b.text(to, perm, changed)
}

// own changes the owner of existing entries.
func (b *builder) own(uid, gid uint32, names ...string) {
	for _, n := range names {
		e := b.tree.Get(n)
		if e == nil {
			b.fail(fmt.Errorf("own %s: no such entry", n))
			return
		}
		e.UID, e.GID = uid, gid
	}
}

// take adds a package's file.
func (b *builder) take(pkg, from, to string, perm uint32) {
	if b.err != nil {
		return
	}
	e, err := b.pool.file(pkg, from, to, perm)
	if err != nil {
		b.fail(err)
		return
	}
	b.put(e)
}

// takeTree adds all files below a package's directory that keep accepts (nil: all), below the directory to. Files
// keep their execute bit.
func (b *builder) takeTree(pkg, from, to string, keep func(name string) bool) {
	if b.err != nil {
		return
	}
	names, err := b.pool.files(pkg, from)
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("take %s out of %s: nothing there", from, pkg)
	}
	if err != nil {
		b.fail(err)
		return
	}
	for _, n := range names {
		if keep != nil && !keep(n) {
			continue
		}
		perm := uint32(0o644)
		if b.pool.executable(pkg, path.Join(from, n)) {
			perm = 0o755
		}
		b.take(pkg, path.Join(from, n), path.Join(to, n), perm)
	}
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// done adds the implied directories (0755 root:root) and returns the tree.
func (b *builder) done() (*overlay.Tree, error) {
	if b.err != nil {
		return nil, b.err
	}
	for _, e := range b.tree.Entries() {
		for d := path.Dir(e.Path); d != "."; d = path.Dir(d) {
			if b.tree.Get(d) == nil {
				b.put(overlay.Dir(d, 0o755))
			}
		}
	}
	if b.tree.Get(".") == nil {
		b.put(overlay.Dir(".", 0o755))
	}
	return b.tree, b.err
}

// stage writes t into a new directory on the host, for programs that pack directories. These programs set owners,
// permissions and times: the host's are those of the user who runs mkmirror.
func stage(t *overlay.Tree, dir string) error {
	for _, e := range t.Entries() {
		name := filepath.Join(dir, filepath.FromSlash(e.Path))
		var err error
		switch {
		case e.IsDir():
			err = os.MkdirAll(name, 0o755)
		case e.IsLink():
			err = os.Symlink(e.Link, name)
		default:
			err = writeFile(name, func(w io.Writer) error { return copyContent(w, e) })
		}
		if err != nil {
			return fmt.Errorf("stage %s: %w", e.Path, err)
		}
	}
	return nil
}

// writeFile creates a new file of the mirror.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// copyContent writes a regular file's bytes.
func copyContent(w io.Writer, e *overlay.Entry) error {
	if !e.IsRegular() || e.Open == nil {
		return nil
	}
	r, err := e.Open()
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Path, err)
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, r)
	if err == nil && n != e.Size {
		err = fmt.Errorf("%d bytes instead of %d", n, e.Size)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Path, err)
	}
	return nil
}

// bytesOf returns the output of a writer function.
func bytesOf(write func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	err := write(&b)
	return b.Bytes(), err
}
