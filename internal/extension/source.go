// Package extension reads, packs and unpacks mk-extension.zip, the runtime extension that adds
// executables, libraries, external facts and Ruby code to a running microkernel. It never runs what is
// in one; package lint next to it says what will not work.
//
// An archive is hostile until [Open] has checked it: names that leave the target directory, links that
// lead out of it, special files, duplicate and overlapping members, encryption, and anything beyond
// [Limits] refuse all of it. setuid, setgid and sticky bits are never set. Start reading at [Source].
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

// Source is an extension as a directory or an archive holds it, with everything that is wrong with
// it. [ReadDir] and [ReadZip] make one.
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
	Mode    fs.FileMode // type bits and the mode that it gets on a microkernel
	Raw     fs.FileMode // type bits and the mode that the directory or the archive has
	Size    int64       // unpacked bytes; of a link the length of its target, in an archive
	Link    string      // target of a symlink
	End     string      // where a symlink leads in the end, whether the extension has that or not
	Refused string      // why the client refuses it and with it the whole archive; "" if it does not
	open    func() (io.ReadCloser, error)
	member  *zip.File // nil in a directory
}

// IsDir reports whether f is a directory.
func (f *File) IsDir() bool { return f.Mode.IsDir() }

// IsLink reports whether f is a symlink.
func (f *File) IsLink() bool { return f.Mode&fs.ModeSymlink != 0 }

// IsRegular reports whether f is a regular file that the client takes.
func (f *File) IsRegular() bool { return f.Mode.IsRegular() && f.Refused == "" }

// Executable reports whether f can be run on a microkernel.
func (f *File) Executable() bool { return f.IsRegular() && f.Mode&0o111 != 0 }

// CopyTo copies the content, which must be as long as promised and have the archive's checksum.
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

// fault tells what is wrong with an archive from errors of the disk and of a context.
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

// refuse records why the client does not take f.
func (s *Source) refuse(f *File, kind Kind, reason string) {
	f.Refused = reason
	s.Refused = append(s.Refused, &Error{Kind: kind, Member: f.Path, Reason: reason})
}

// Unreadable records that reading f has failed, and returns the reason in words.
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

// Limits bounds what an archive may cost. Sizes are in bytes.
type Limits struct {
	Compressed int64 // size of the archive itself
	Total      int64 // sum of all members, unpacked
	File       int64 // one member, unpacked
	Count      int   // members
	Ratio      int64 // unpacked to packed, for members over 1 MiB
	Depth      int   // path components
}

// DefaultLimits fits a microkernel that lives in RAM: far above real extensions, far below
// what would starve a machine of 512 MiB.
func DefaultLimits() Limits {
	return Limits{
		Compressed: 64 << 20, Total: 192 << 20, File: 128 << 20,
		Count: 10000, Ratio: 250, Depth: 16,
	}
}

// Kind says what is wrong with an archive, and so what helps.
type Kind int

// The kinds. NotZip and Damaged may be trouble of the way that it came; all others are the archive's own.
const (
	NotZip    Kind = iota // no zip archive that can be read: garbage, cut off, empty
	Damaged               // a member's bytes are not those that the archive promises
	Wrapped               // the whole content lies in one directory, where nothing looks for it
	Limit                 // larger than the limits
	Name                  // a path that no system should unpack
	Link                  // a symlink that leads outside
	Special               // neither a file nor a directory nor a symlink
	Signature             // not signed, or not by a key that counts, or not as it is
	Format                // what packing never writes: encryption, members that are there twice or overlap
)

const notZip = "not a zip archive"

// Error is one reason why the client refuses an archive, which it does as a whole.
type Error struct {
	Kind   Kind
	Member string // path in the archive; "" if all of it is meant
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

// Class makes it the fault of the archive that somebody named.
func (e *Error) Class() fail.Class { return fail.Usage }

func tooBig(member, what string, limit int64) *Error {
	return &Error{Kind: Limit, Member: member, Reason: fmt.Sprintf("%s exceeds %d", what, limit)}
}
