// Package extension reads, packs and unpacks mk-extension.zip, the runtime extension that adds executables,
// libraries, external facts and Ruby code to a running microkernel. It runs nothing; package lint finds mistakes.
//
// An archive is hostile until [Open] has checked it. It refuses the whole archive for names or links out of the
// target directory, special files, duplicate or overlapping members, encryption, and anything beyond [Limits].
// setuid, setgid and sticky bits are never set. Start reading at [Source].
package extension

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"mkbuild/internal/fail"
)

// Source is an extension in a directory or an archive, with all its faults. [ReadDir] and [ReadZip] make one.
type Source struct {
	Name    string
	Files   []File // sorted by path
	Size    int64  // bytes of the archive; 0 for a directory
	IsZip   bool
	NoModes bool     // no member of the archive has a Unix mode
	Refused []*Error // why the client refuses it, in the order found; empty if it does not
	Limits  Limits   // that it was read with
}

// File is one entry of an extension.
type File struct {
	Path    string      // slash-separated, without a trailing slash; unsafe if Refused says so
	Mode    fs.FileMode // type bits and its mode on a microkernel
	Raw     fs.FileMode // type bits and the mode that the directory or the archive has
	Size    int64       // unpacked bytes; of a link the length of its target, in an archive
	Link    string      // target of a symlink
	End     string      // a symlink's final target, which may be missing
	Refused string      // why the client refuses it, and so the whole archive; "" if it does not
	open    func() (io.ReadCloser, error)
	member  *zip.File // nil in a directory
}

// IsDir reports whether f is a directory.
func (f *File) IsDir() bool { return f.Mode.IsDir() }

// IsLink reports whether f is a symlink.
func (f *File) IsLink() bool { return f.Mode&fs.ModeSymlink != 0 }

// IsRegular reports whether f is a regular file that the client accepts.
func (f *File) IsRegular() bool { return f.Mode.IsRegular() && f.Refused == "" }

// Executable reports whether f is executable on a microkernel.
func (f *File) Executable() bool { return f.IsRegular() && f.Mode&0o111 != 0 }

// CopyTo copies the content, which must have the announced length and checksum.
func (f *File) CopyTo(ctx context.Context, w io.Writer) error {
	r, err := f.open()
	if err != nil {
		return f.fault(err)
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, io.LimitReader(&ctxReader{ctx, r}, f.Size+1))
	if err == nil && n != f.Size {
		err = zip.ErrChecksum
	}
	return f.fault(err)
}

// fault distinguishes faults of an archive from errors of the disk and of a context.
func (f *File) fault(err error) error {
	var ofTheDisk *fs.PathError
	switch {
	case errors.Is(err, zip.ErrChecksum):
		return &Error{Kind: Damaged, Member: f.Path, Reason: "checksum mismatch"}
	case err == nil, f.member == nil, errors.As(err, &ofTheDisk), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &Error{Kind: NotZip, Member: f.Path, Reason: notZip, Err: err}
}

// ctxReader ends a long copy when its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Total is the sum of all files' unpacked bytes.
func (s *Source) Total() (n int64) {
	for i := range s.Files {
		n += s.Files[i].Size
	}
	return n
}

// refuse records why the client refuses f.
func (s *Source) refuse(f *File, kind Kind, reason string) {
	f.Refused = reason
	s.Refused = append(s.Refused, &Error{Kind: kind, Member: f.Path, Reason: reason})
}

// Unreadable records that reading f failed, and returns the reason in words.
func (s *Source) Unreadable(f *File, err error) string {
	why, ok := errors.AsType[*Error](err)
	if !ok {
		why = &Error{Kind: Damaged, Member: f.Path, Reason: "it cannot be read", Err: err}
	}
	f.Refused = why.Why()
	s.judge(why)
	return f.Refused
}

// judge records an error of a check, if there is one.
func (s *Source) judge(err *Error) {
	if err != nil {
		s.Refused = append(s.Refused, err)
	}
}

// Check returns the first reason why the client refuses s, or nil.
func (s *Source) Check() error {
	if len(s.Refused) > 0 {
		return s.Refused[0]
	}
	return nil
}

// Skipped reports whether packing leaves out entries of that name: the traces of version
// control and file managers.
func Skipped(name string) bool {
	return slices.Contains([]string{".git", ".hg", ".svn", ".DS_Store", "__MACOSX", "Thumbs.db"}, name)
}

// Limits bounds the cost of an archive. Sizes are in bytes.
type Limits struct {
	Compressed int64 // size of the archive itself
	Total      int64 // sum of all members, unpacked
	File       int64 // one member, unpacked
	Count      int   // members
	Ratio      int64 // unpacked to packed, for members over 1 MiB
	Depth      int   // path components
}

// DefaultLimits fits a microkernel in RAM: far above real extensions, far below the memory of a machine of 512
// MiB.
func DefaultLimits() Limits {
	return Limits{
		Compressed: 64 << 20, Total: 192 << 20, File: 128 << 20,
		Count: 10000, Ratio: 250, Depth: 16,
	}
}

// Kind is the kind of an archive's fault, which decides the hint.
type Kind int

// The kinds. The transfer may cause NotZip and Damaged; all others are the archive's own.
const (
	NotZip    Kind = iota // not a readable zip archive: garbage, cut off, empty
	Damaged               // a member's bytes do not match the archive's checksum or length
	Wrapped               // the whole content is in one directory, where nothing reads it
	Limit                 // larger than the limits
	Name                  // a path that no system should unpack
	Link                  // a symlink that leads outside
	Special               // neither a file nor a directory nor a symlink
	Signature             // not signed, signed by another key, or changed afterwards
	Format                // never written by packing: encryption, duplicate or overlapping members
)

const notZip = "not a zip archive"

// Error is one reason why the client refuses an archive.
type Error struct {
	Kind   Kind
	Member string // path in the archive; "" for the whole archive
	Reason string
	Err    error // the cause, if another package found it
}

// Error names the member quoted, since its name may hold anything.
func (e *Error) Error() string {
	if e.Member == "" {
		return e.Why()
	}
	return fmt.Sprintf("member %q: %s", e.Member, e.Why())
}

// Why is the error's text without the member.
func (e *Error) Why() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Class returns the class of a wrong input file.
func (e *Error) Class() fail.Class { return fail.Usage }

func tooBig(member, what string, limit int64) *Error {
	return &Error{Kind: Limit, Member: member, Reason: fmt.Sprintf("%s exceeds %d", what, limit)}
}
