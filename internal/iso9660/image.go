// Package iso9660 reads and writes ISO 9660 images as boot media use them: Rock Ridge and
// Joliet names, El Torito boot catalogs with all their entries, and the system area that makes
// an image bootable from a USB stick.
//
// [Open] turns an image into an [Image], a value whose files and fields can be changed;
// [Image.Write] writes it as a new image in one forward pass: the same value gives the same
// bytes, since no clock, owner or file system of the host goes in. Contents are openers, so
// neither direction holds more than one small file in memory.
//
// The package follows ECMA-119 (ISO 9660), IEEE P1281/P1282 drafts 1.10 (SUSP, Rock Ridge), the
// Joliet specification of 1995 and El Torito 1.0. It refuses what those cannot express in a
// boot medium: files of 4 GiB and more, interleaved files, zisofs compression.
package iso9660

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// Errors of this package. Every error of [Open] about the input wraps ErrNotISO or ErrCorrupt.
var (
	// ErrNotISO says that the input has no ISO 9660 volume descriptor.
	ErrNotISO = errors.New("not an ISO 9660 image")
	// ErrCorrupt says that the input is an ISO 9660 image whose structures contradict themselves.
	ErrCorrupt = errors.New("corrupt ISO 9660 image")
	// ErrTooLarge says that something does not fit into the format.
	ErrTooLarge = errors.New("too large for ISO 9660")
	// ErrInvalid says that an edited Image cannot be written as it is.
	ErrInvalid = errors.New("cannot be an ISO 9660 image")
)

// TruncatedError says that an image ends before its volume does. It wraps [ErrCorrupt].
type TruncatedError struct {
	Want int64 // bytes, by the primary volume descriptor
	Got  int64 // bytes there are
}

// Error names both sizes.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("truncated ISO 9660 image: it describes %d bytes and has %d", e.Want, e.Got)
}

// Unwrap returns [ErrCorrupt].
func (e *TruncatedError) Unwrap() error { return ErrCorrupt }

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Image is one ISO 9660 volume. The zero value is an empty volume that is not bootable.
type Image struct {
	// VolumeID is the label, up to 32 bytes; it is written as given, lower case and spaces too.
	VolumeID string
	// SystemID is up to 32 bytes: "LINUX" for mkisofs.
	SystemID string
	// VolumeSetID, Publisher, Preparer and ApplicationID are up to 128 bytes each.
	VolumeSetID, Publisher, Preparer, ApplicationID string
	// Copyright, Abstract and Bibliography name files in the root, up to 37 bytes each.
	Copyright, Abstract, Bibliography string
	// Created and Modified are in seconds since 1970-01-01 UTC. GRUB's "search --fs-uuid"
	// takes Modified and ModifiedCentis for the volume's UUID.
	Created, Modified             int64
	CreatedCentis, ModifiedCentis uint8

	// System is the system area, the first 32 KiB: zeros, or the boot code and partition
	// tables of a hybrid image. Shorter ones are filled up with zeros.
	System []byte

	// Files are the entries sorted by path; "." is the root. A directory without an entry of
	// its own is written as 0755, owned by root.
	Files []File

	// RockRidge and Joliet report what the source had. Written images always have both.
	RockRidge, Joliet bool

	// Boot holds the entries of the boot catalog in order; the first is the default entry.
	Boot []BootEntry
	// CatalogPath is the boot catalog's own name in the tree; "" when it has none.
	CatalogPath string
	// CatalogID is the validation entry's text, up to 24 bytes: who made the catalog.
	CatalogID string

	// Notes say what Write will leave out of the source, such as a partition that points to
	// data outside of the tree. They are meant for people.
	Notes []string

	sectors uint32 // the source's volume size in sectors; 0 for a new image
}

// File is one entry of the tree. Its fields mean the same as those of an overlay entry.
type File struct {
	// Path is relative, slash-separated and clean.
	Path string
	// Mode is st_mode: file type and the twelve permission bits.
	Mode uint32
	// UID and GID are numeric owners.
	UID, GID uint32
	// Major and Minor number a device node.
	Major, Minor uint32
	// Link is the target of a symlink.
	Link string
	// MTime is in seconds since 1970-01-01 UTC.
	MTime int64
	// Size is the length in bytes of a regular file.
	Size int64
	// Open gives the content of a regular file; it can be called more than once. Nil means empty.
	Open func() (io.ReadCloser, error)
	// HardLink groups the names of one file: regular files with the same non-empty HardLink
	// share their data. [Open] sets it for files that share an extent in the source.
	HardLink string
}

// File types of st_mode.
const (
	typeMask    = 0o170000
	typeLink    = 0o120000
	typeRegular = 0o100000
	typeBlock   = 0o060000
	typeDir     = 0o040000
	typeChar    = 0o020000
	permMask    = 0o007777
)

// IsDir reports whether f is a directory.
func (f *File) IsDir() bool { return f.Mode&typeMask == typeDir }

// IsRegular reports whether f is a regular file.
func (f *File) IsRegular() bool { return f.Mode&typeMask == typeRegular }

func (f *File) isLink() bool { return f.Mode&typeMask == typeLink }

func (f *File) isDevice() bool {
	t := f.Mode & typeMask
	return t == typeBlock || t == typeChar
}

// Content reads a whole regular file of at most limit bytes. A file that turns out shorter or
// longer than Size is an error.
func (f *File) Content(limit int64) ([]byte, error) {
	if !f.IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", f.Path)
	}
	return readAll(f.Path, f.Open, f.Size, limit)
}

func readAll(name string, open func() (io.ReadCloser, error), size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, the limit is %d", name, size, limit)
	}
	if open == nil {
		return nil, nil
	}
	r, err := open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer r.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) != size {
		return nil, fmt.Errorf("read %s: got %d bytes or more, want %d", name, len(b), size)
	}
	return b, nil
}

// Lookup returns the entry at a clean path, or nil. It follows no symlinks.
func (img *Image) Lookup(path string) *File {
	for i := range img.Files {
		if img.Files[i].Path == path {
			return &img.Files[i]
		}
	}
	return nil
}

// LookupFold is [Image.Lookup] without regard to case, as a boot loader that reads plain ISO
// 9660 names looks files up. An exact match wins; then the first in order.
func (img *Image) LookupFold(path string) *File {
	if f := img.Lookup(path); f != nil {
		return f
	}
	for i := range img.Files {
		if strings.EqualFold(img.Files[i].Path, path) {
			return &img.Files[i]
		}
	}
	return nil
}

// Put adds f, or replaces the entry that has its path, and keeps Files sorted.
func (img *Image) Put(f File) {
	if old := img.Lookup(f.Path); old != nil {
		*old = f
		return
	}
	i := sort.Search(len(img.Files), func(i int) bool { return img.Files[i].Path >= f.Path })
	img.Files = append(img.Files, File{})
	copy(img.Files[i+1:], img.Files[i:])
	img.Files[i] = f
}

// Remove drops the entry at path and, when it is a directory, everything below it.
func (img *Image) Remove(path string) {
	kept := img.Files[:0:0]
	for _, f := range img.Files {
		if f.Path != path && !strings.HasPrefix(f.Path, path+"/") {
			kept = append(kept, f)
		}
	}
	img.Files = kept
}
