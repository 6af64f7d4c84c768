// Package inspect reports on an image of any tool, or on one that is not written yet: what boots, what the booted
// system holds, and whether it matches its manifest and the rules of a microkernel. It reads initrds and locks,
// too.
//
// [Open] reads an image as a value, an [Image]. [Image.Report] describes it, [Compare] compares two, and
// [Image.Verify] checks named rules. [Plan] reports on an image before a build writes it. Nothing is mounted, run
// or unpacked onto the host's file system. No file is trusted: every parser has limits and fails with an error.
//
// Start reading at [Image].
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

	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// Kinds of input of [Open].
const (
	KindISO    = "iso"
	KindInitrd = "initrd"
	KindLock   = "lock"
	KindPXE    = "pxe" // a folder for a network boot server
)

// maxLock bounds a lock's text; a lock of hundreds of extensions has some 100 kB.
const maxLock = 16 << 20

// ErrKind is returned for a file that cannot be inspected.
var ErrKind = fail.New(fail.Verification, "not an ISO, an initrd or a lock", "check the name; mkbuild iso makes images, mkbuild lock makes locks")

// Image is an image, an initrd or a lock. Parts that a kind lacks are nil.
type Image struct {
	Name string // as given
	Kind string
	Size int64
	// SHA256 is the digest of the whole file, or of a PXE folder's SHA256SUMS as computed from its files.
	SHA256 string
	// Medium is an ISO or a PXE folder.
	Medium *medium.Medium
	// Kernel is the kernel's release, "" if unknown.
	Kernel string
	// Tree is the booted system, nil if nothing boots or for a lock. Base is the source image's initrd unpacked,
	// without the additions; nil if unknown.
	Tree, Base *overlay.Tree

	Segments []Segment
	Manifest *manifest.Manifest
	// ManifestError says why the image's manifest is unreadable.
	ManifestError error
	Lock          *lock.Lock
	r             io.ReaderAt
	file          *os.File
	sums          map[string]string // digests of files of an unwritten medium
}

// Segment is a part of an initrd.
type Segment struct {
	Name string `json:"name,omitempty"` // by the manifest
	initrd.Member
	SHA256 string `json:"sha256"`
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
	f, info, err := medium.OpenFile(name)
	if err != nil {
		return nil, err
	}
	m, err := Read(f, info.Size(), name)
	if err != nil {
		f.Close() //nolint:errcheck,gosec // only read
		return nil, err
	}
	m.file = f
	return m, nil
}

// openFolder reads a PXE folder.
func openFolder(name string) (_ *Image, err error) {
	defer fail.Recover(name, &err)
	md, err := medium.OpenFolder(name)
	if err != nil {
		return nil, err
	}
	m := &Image{Name: name, Kind: KindPXE, Medium: md}
	sums := sha256.New()
	for _, f := range md.Files.Entries() {
		m.Size += f.Size
		if f.Path == medium.PXESums {
			continue
		}
		sum, err := md.Sum(f.Path)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sums, "%s  %s\n", sum, f.Path)
	}
	m.SHA256 = hex.EncodeToString(sums.Sum(nil))
	return m, m.readMedium()
}

// Read reads an image of size bytes. Contents are read through r on demand. name is for messages.
func Read(r io.ReaderAt, size int64, name string) (_ *Image, err error) {
	defer fail.Recover(name, &err)
	m := &Image{Name: name, Kind: kindOf(r), Size: size, r: r}
	if m.SHA256, err = sumOf(m.whole()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	switch m.Kind {
	case KindISO:
		if m.Medium, err = medium.ReadISO(r, size, name); err == nil {
			err = m.readMedium()
		}
	case KindLock:
		m.Lock, err = readLock(m.whole(), name)
	default:
		err = m.readInitrd(func() (io.ReadCloser, error) { return io.NopCloser(m.whole()), nil })
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// ReadMedium reads the boot files and the manifest of an open or unwritten ISO, without its size and digest.
func ReadMedium(md *medium.Medium) (_ *Image, err error) {
	defer fail.Recover(md.Name, &err)
	m := &Image{Name: md.Name, Kind: KindISO, Medium: md}
	return m, m.readMedium()
}

// whole reads the file from its beginning.
func (m *Image) whole() io.Reader { return io.NewSectionReader(m.r, 0, m.Size) }

// kindOf recognises the first bytes: a volume descriptor at sector 16, JSON, or else an initrd.
func kindOf(r io.ReaderAt) string {
	head := make([]byte, 16*2048+6)
	n, _ := r.ReadAt(head, 0) // too short a file is not an ISO
	head = head[:n]
	switch text := bytes.TrimLeft(head, " \t\r\n"); {
	case len(head) > 16*2048+1 && strings.HasPrefix("CD001", string(head[16*2048+1:])):
		return KindISO
	case bytes.HasPrefix(text, []byte("{")):
		return KindLock
	}
	return KindInitrd
}

func readLock(r io.Reader, name string) (*lock.Lock, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxLock+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	l, err := lock.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: not a lock: %w", name, ErrKind, err)
	}
	return l, nil
}

// readMedium reads the boot files of a medium, and its manifest, if it has one.
func (m *Image) readMedium() error {
	m.Manifest, _, m.ManifestError = m.Medium.Manifest()
	if m.Medium.Kernel == "" {
		return nil
	}
	if name, err := m.Medium.KernelRelease(); err == nil {
		m.Kernel = name // a kernel without a release is a kernel, too: memtest, Plan 9
	}
	return m.readInitrd(m.Medium.Segments().Open)
}

// readInitrd reads all initrds of an image as one stream, and again for the digests of its segments.
func (m *Image) readInitrd(open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	end := m.baseEnd()
	t, members, err := initrd.ReadMembers(r, m.Name, medium.MaxInitrd, func(offset int64, t *overlay.Tree) {
		if m.Base == nil && offset >= end && t.Len() > 0 {
			m.Base = t.Clone()
		}
	})
	if err != nil && m.Kind == KindInitrd && errors.Is(err, initrd.ErrNotInitrd) {
		return fmt.Errorf("%w: %w", err, ErrKind)
	}
	if err != nil {
		return err
	}
	m.Tree = t
	again, err := open()
	if err != nil {
		return err
	}
	defer again.Close() //nolint:errcheck // only read
	sums := &sections{r: again}
	names := m.segmentNames()
	for _, x := range members {
		sum, err := sums.sum(x.Offset, x.Size)
		if err != nil {
			return fmt.Errorf("read %s: %w", m.Name, err)
		}
		m.Segments = append(m.Segments, Segment{names[x.Offset], x, sum})
	}
	return nil
}

// baseEnd is the end of the source image's initrds: the manifest's second segment. Without a manifest the first
// archive counts as the base.
func (m *Image) baseEnd() int64 {
	if m.Manifest == nil || len(m.Manifest.Segments) == 0 {
		return 1
	}
	first := m.Manifest.Segments[0]
	return m.madeAt() + first.Offset + first.Size
}

// madeAt is the offset of the initrd that mkbuild makes, which is the last.
func (m *Image) madeAt() int64 {
	return m.Medium.Segments().Size() - m.Medium.Made(len(m.Manifest.Segments)).Size()
}

// segmentNames are the manifest's names of segments, by offset.
func (m *Image) segmentNames() map[int64]string {
	out := map[int64]string{}
	if m.Manifest == nil {
		return out
	}
	for _, s := range m.Manifest.Segments {
		out[m.madeAt()+s.Offset] = s.Name
	}
	return out
}

// sections reads sections of a stream, in their order.
type sections struct {
	r  io.Reader
	at int64
}

// sum is the digest of the section of size bytes that begins at an offset.
func (s *sections) sum(offset, size int64) (string, error) {
	if _, err := io.CopyN(io.Discard, s.r, offset-s.at); err != nil {
		return "", err
	}
	s.at = offset + size
	return sumOf(io.LimitReader(s.r, size))
}

func sumOf(r io.Reader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// sumWithoutTables is the manifest's digest of a file of the medium: without the tables that hold its position.
func sumWithoutTables(md *medium.Medium, f *overlay.Entry) (string, error) {
	if !md.ISO.HasTables(f.Path) {
		return md.Sum(f.Path)
	}
	b, err := md.ISO.WithoutTables(f)
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", f.Path, md.Name, err)
	}
	return sumOf(bytes.NewReader(b))
}

// sum is the digest of a file of the medium.
func (m *Image) sum(name string) (string, error) {
	if s := m.sums[name]; s != "" {
		return s, nil
	}
	return m.Medium.Sum(name)
}

func sumEntry(e *overlay.Entry) (string, error) {
	sum := sha256.New()
	if err := e.CopyTo(sum); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
