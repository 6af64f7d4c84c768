package tcz

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"

	"mkbuild/internal/overlay"
	"mkbuild/internal/squashfs"
)

// InstalledDir has a file for each loaded extension.
const InstalledDir = "usr/local/tce.installed"

// Marker returns the path of the file that marks an extension as loaded. name may end in ".tcz".
func Marker(name string) string { return path.Join(InstalledDir, Base(name)) }

// StartupScript reports whether t's marker of an extension is executable. Tiny Core then runs it as root after
// everything is loaded.
func StartupScript(t *overlay.Tree, name string) bool {
	e, err := t.Lookup(Marker(name))
	return err == nil && e.IsRegular() && e.Perm()&0o111 != 0
}

// moduleDirs contain a folder of kernel modules for each kernel: the first on x86, the second in some of the ARM
// ports.
var moduleDirs = []string{"usr/local/lib/modules", "lib/modules"}

// HasModules reports whether t has modules for the kernel release. The image then needs a new module index.
func HasModules(t *overlay.Tree, kernel string) bool {
	return slices.Contains(ModuleKernels(t), kernel)
}

// ModuleKernels returns the kernel releases of t's modules, sorted.
func ModuleKernels(t *overlay.Tree) []string {
	var out []string
	for _, dir := range moduleDirs {
		for _, e := range t.Children(dir) {
			if e.IsDir() && len(t.Children(e.Path)) > 0 {
				out = append(out, path.Base(e.Path))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// maxContent bounds the unpacked size of an extension: an initrd lives in memory, and cpio newc has 32-bit sizes.
const maxContent = 4 << 30

// ReadTree reads the names and metadata of an extension of size bytes. It returns them with the time of packing.
// Contents stay in r, which must remain open as long as the tree is used: each is read when its entry is opened.
// origin is the extension's file name: it becomes the Origin of every entry and is in every error.
//
// The root directory is dropped: it is often 1001:50 or even mode 0777, which would become the mode of the image's
// "/". A panic while reading is returned as an error of the extension.
func ReadTree(r io.ReaderAt, size int64, origin string) (tree *overlay.Tree, modTime int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			tree, modTime, err = nil, 0, fmt.Errorf("read %s: %w", origin, err)
		}
	}()
	image, err := squashfs.Open(r, size)
	if err != nil {
		return nil, 0, err
	}
	b := builder{image: image, origin: origin, tree: &overlay.Tree{}}
	if err := image.Walk(b.add); err != nil {
		return nil, 0, err
	}
	return b.tree, image.ModTime, nil
}

type builder struct {
	image   *squashfs.FS
	origin  string
	tree    *overlay.Tree
	content int64
}

func (b *builder) add(p string, in *squashfs.Inode) error {
	if p == "." {
		return nil
	}
	e := overlay.Entry{
		Path:   p,
		Mode:   in.Mode, // both packages use the bits of stat(2)
		UID:    in.UID,
		GID:    in.GID,
		Major:  in.Major,
		Minor:  in.Minor,
		Link:   in.Target,
		MTime:  in.MTime,
		Size:   in.Size,
		Origin: b.origin,
	}
	if in.Nlink > 1 && !in.IsDir() {
		e.HardLink = b.origin + "#" + strconv.FormatUint(in.ID, 16)
	}
	if in.IsRegular() {
		if b.content += in.Size; in.Size > maxContent || b.content > maxContent {
			return fmt.Errorf("/%s: %w: unpacks to more than %d bytes", p, squashfs.ErrCorrupt, int64(maxContent))
		}
		e.Open = b.opener(p, in)
	}
	return b.tree.Put(e)
}

// opener returns the Open of an entry. Errors and panics of its reader name the extension and the file.
func (b *builder) opener(p string, in *squashfs.Inode) func() (io.ReadCloser, error) {
	name := path.Join(b.origin, p)
	return func() (io.ReadCloser, error) {
		r, err := b.image.OpenFile(in)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return &content{ReadCloser: r, name: name}, nil
	}
}

// content names the file in the errors of the wrapped reader.
type content struct {
	io.ReadCloser
	name string
}

var _ io.WriterTo = (*content)(nil)

func (c *content) Read(p []byte) (n int, err error) {
	defer c.guard(&err)
	return c.ReadCloser.Read(p)
}

// WriteTo implements [io.WriterTo], so that io.Copy uses the decoder's own buffers. An error of w is
// returned unchanged: the extension did not cause it.
func (c *content) WriteTo(w io.Writer) (int64, error) {
	dst := &sink{w: w}
	n, err := c.copyTo(dst)
	if dst.err != nil {
		return n, dst.err
	}
	return n, err
}

func (c *content) copyTo(w io.Writer) (n int64, err error) {
	defer c.guard(&err)
	return io.Copy(w, c.ReadCloser)
}

// sink remembers the error of a writer.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

// guard names the file in an error and turns a panic into an error. It must be deferred directly: recover works
// nowhere else.
func (c *content) guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
	if *err != nil && *err != io.EOF { //nolint:errorlint // readers return io.EOF bare
		*err = fmt.Errorf("read %s: %w", c.name, *err)
	}
}
