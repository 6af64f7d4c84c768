// Package inspect tells what is in an image, an initrd or a lock, whoever made it: what boots, what
// the booted system holds, and whether that is what the image's manifest says and what a
// microkernel should be.
//
// [Open] reads an image as a value, [Image.Report] describes it, [Compare] compares two, and
// [Image.Verify] judges one by named rules. Nothing is mounted, run or unpacked onto the host's
// file system, and no file is trusted: every parser behind it takes limits and fails with one error.
package inspect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// Kinds of what [Open] reads.
const (
	KindISO    = "iso"
	KindInitrd = "initrd"
	KindLock   = "lock"
	KindPXE    = "pxe" // a folder for a network boot server
)

// ErrKind says that a file is nothing that can be inspected.
var ErrKind = errors.New("neither an ISO, an initrd nor a lock")

// Image is a file that was read. What a kind does not have is nil.
type Image struct {
	Name string // as given
	Kind string
	Size int64
	// SHA256 is the digest of the whole file, or of the SHA256SUMS that a PXE folder should have.
	SHA256 string
	// ISO is the medium: for a PXE folder its files alone.
	ISO    *iso9660.Image
	Medium *medium.Medium
	// Kernel is the kernel's release, "" where there is none or it does not say.
	Kernel string
	// Tree is the booted system, nil when nothing boots or for a lock.
	Tree     *overlay.Tree
	Segments []Segment
	Manifest *manifest.Manifest
	// ManifestError says why the manifest that lies in the image could not be read.
	ManifestError error
	Lock          *lock.Lock
	r             io.ReaderAt
	file          *os.File
}

// Segment is a part of an initrd.
type Segment struct {
	initrd.Member
	SHA256 string
	Name   string // by the manifest
}

// Close releases the file that contents are read from.
func (m *Image) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// Open reads a file, or a PXE folder. The caller closes the result.
func Open(name string) (*Image, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return openFolder(name)
	}
	f, err := os.Open(name) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, err
	}
	m, err := open(f, name)
	if err != nil {
		f.Close() //nolint:errcheck,gosec // only read
		return nil, err
	}
	m.file = f
	return m, nil
}

func open(f *os.File, name string) (*Image, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: %w: it is not a file", name, ErrKind)
	}
	return Read(f, info.Size(), name)
}

// Read reads what r has, of size bytes. Contents are read through r when they are asked for. name
// is for people.
func Read(r io.ReaderAt, size int64, name string) (_ *Image, err error) {
	defer recovered(name, &err)
	m := &Image{Name: name, r: r, Size: size}
	if m.SHA256, err = sumOf(m.whole()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	switch m.Kind = m.kind(); m.Kind {
	case KindISO:
		err = m.readISO()
	case KindLock:
		err = m.readLock()
	default:
		err = m.readInitrd(m.whole())
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// recovered turns a panic into an error.
func recovered(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("read %s: %w: the parser gave up: %v", name, ErrKind, p)
	}
}

// whole reads the file from its beginning.
func (m *Image) whole() io.Reader { return io.NewSectionReader(m.r, 0, m.Size) }

func sumOf(r io.Reader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// kind looks at the first bytes: a volume descriptor at sector 16, JSON, or else an initrd.
func (m *Image) kind() string {
	head := make([]byte, 16*2048+6)
	n, _ := m.r.ReadAt(head, 0) // too short a file is no ISO
	head = head[:n]
	switch text := bytes.TrimLeft(head, " \t\r\n"); {
	case len(head) > 16*2048+1 && strings.HasPrefix("CD001", string(head[16*2048+1:])):
		return KindISO
	case bytes.HasPrefix(text, []byte("{")):
		return KindLock
	}
	return KindInitrd
}

func (m *Image) readISO() error {
	var err error
	if m.Medium, err = medium.ReadISO(m.r, m.Size, m.Name); err != nil {
		return err
	}
	m.ISO = m.Medium.ISO
	return m.readBoot()
}

// readBoot reads what the medium boots, and its manifest.
func (m *Image) readBoot() error {
	m.readManifest()
	if m.Medium.Kernel == "" {
		return nil
	}
	var err error
	if m.Kernel, err = m.Medium.KernelRelease(); err != nil {
		m.Kernel = "" // a kernel that does not say is one all the same: memtest, Plan 9
	}
	r, err := m.Medium.Segments().Open()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	return m.readInitrd(r)
}

// readManifest takes the manifest if there is one.
func (m *Image) readManifest() {
	f := m.Medium.Files.Get(m.manifestName())
	if f == nil {
		return
	}
	text, err := f.Content(manifest.MaxSize)
	if err == nil {
		m.Manifest, err = manifest.Parse(text)
	}
	m.ManifestError = err
}

// readInitrd reads all initrds of an image as one stream.
func (m *Image) readInitrd(r io.Reader) error {
	t, members, err := initrd.ReadMembers(r, m.Name, medium.MaxInitrd)
	if err != nil && m.Kind == KindInitrd && errors.Is(err, initrd.ErrNotInitrd) {
		return fmt.Errorf("%w: %w", err, ErrKind)
	}
	if err != nil {
		return err
	}
	m.Tree = t
	for _, x := range members {
		m.Segments = append(m.Segments, Segment{Member: x})
	}
	return m.sumSegments()
}

// sumSegments works out the digest of each segment, and takes its name from the manifest.
func (m *Image) sumSegments() error {
	r, err := m.openInitrd()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	var at int64
	for i := range m.Segments {
		s := &m.Segments[i]
		if _, err := io.CopyN(io.Discard, r, s.Offset-at); err != nil {
			return err
		}
		if s.SHA256, err = sumOf(io.LimitReader(r, s.Size)); err != nil {
			return err
		}
		at = s.Offset + s.Size
		s.Name = m.segmentName(s.Offset)
	}
	return nil
}

// openInitrd reads the initrds once more.
func (m *Image) openInitrd() (io.ReadCloser, error) {
	if m.Medium != nil {
		return m.Medium.Segments().Open()
	}
	return io.NopCloser(m.whole()), nil
}

// segmentName is what the manifest calls the segment that begins at an offset.
func (m *Image) segmentName(at int64) string {
	if m.Manifest == nil {
		return ""
	}
	at -= m.otherInitrds()
	for _, s := range m.Manifest.Segments {
		if s.Offset == at {
			return s.Name
		}
	}
	return ""
}

// otherInitrds is how many bytes come before the last initrd, which is the one that mkbuild makes.
func (m *Image) otherInitrds() int64 {
	var n int64
	if m.Medium == nil {
		return 0
	}
	for i, name := range m.Medium.Initrds {
		if i < len(m.Medium.Initrds)-1 {
			size := m.Medium.Files.Get(name).Size
			n += size + -size&3
		}
	}
	return n
}
