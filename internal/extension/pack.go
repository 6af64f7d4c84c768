package extension

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
)

const (
	zipVersion = 20        // deflate, directories: every unzip has it
	dosDate    = 1<<5 | 1  // 1980-01-01, the first day that a zip can express
	flagUTF8   = 0x800     // name is UTF-8
	typeFile   = 0o100000  // st_mode bits of stat(2)
	typeDir    = 0o040000  //
	typeLink   = 0o120000  //
	packLevel  = 9         // extensions are small and sent to every machine
	packMemory = 256 << 20 // upper bound of what Pack holds, whatever the limits say
)

// RefusedError says that packing would give an archive that the client refuses.
type RefusedError struct{ Refusals []Refusal }

// Error names the first reason.
func (e *RefusedError) Error() string {
	text := e.Refusals[0].Err.Error()
	if n := len(e.Refusals) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}

// Unwrap gives the reasons to [errors.Is] and [errors.As].
func (e *RefusedError) Unwrap() []error {
	out := make([]error, len(e.Refusals))
	for i, r := range e.Refusals {
		out[i] = r.Err
	}
	return out
}

// Pack makes the archive of s. The same tree gives the same bytes, whatever the order of its
// files, the umask and the times: members are sorted, modes are 0755 or 0644, and every time is
// 1980-01-01, since the client compares the server's time of the whole file and never a
// member's. What Pack returns, [Unpack] takes with the same limits.
func Pack(ctx context.Context, s *Source, lim Limits) ([]byte, error) {
	if len(s.Refused) > 0 {
		return nil, &RefusedError{s.Refused}
	}
	if n := s.total(); n > packMemory {
		return nil, &LimitError{What: "total size", Limit: packMemory}
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range s.Files {
		if err := packFile(ctx, w, &s.Files[i]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if _, err := Open(bytes.NewReader(buf.Bytes()), int64(buf.Len()), lim); err != nil {
		return nil, fmt.Errorf("pack %s: %w", s.Name, err)
	}
	return buf.Bytes(), nil
}

// PackDir packs dir and returns the time of its newest file, which a server can hand out as the
// archive's: the client fetches again when it grows.
func PackDir(ctx context.Context, dir string, lim Limits) ([]byte, time.Time, error) {
	s, err := ReadDir(dir, lim)
	if err != nil {
		return nil, time.Time{}, err
	}
	newest, err := newestTime(dir)
	if err != nil {
		return nil, time.Time{}, err
	}
	b, err := Pack(ctx, s, lim)
	return b, newest, err
}

// newestTime looks at directories too: a file that was removed changes nothing else.
func newestTime(dir string) (newest time.Time, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && Skipped(d.Name()) {
			return fs.SkipDir
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil // removed in between: its directory has a new time
		}
		if err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return err
	})
	return newest, err
}

// packFile writes one member. Sizes and CRC stand before its bytes, without a data descriptor,
// so that even simple unzips read it.
func packFile(ctx context.Context, w *zip.Writer, f *File) error {
	content, err := packContent(ctx, f)
	if err != nil {
		return err
	}
	packed, method, err := deflate(content)
	if err != nil {
		return fmt.Errorf("pack %q: %w", f.Path, err)
	}
	h := &zip.FileHeader{
		Name: f.Path, Method: method, ModifiedDate: dosDate, //nolint:staticcheck // Modified would add a second, local time
		CreatorVersion: creatorUnix<<8 | zipVersion, ReaderVersion: zipVersion, ExternalAttrs: unixMode(f) << 16,
		CRC32: crc32.ChecksumIEEE(content), UncompressedSize64: uint64(len(content)), CompressedSize64: uint64(len(packed)),
	}
	if f.IsDir() {
		h.Name += "/"
		h.ExternalAttrs |= 0x10 // MS-DOS directory flag
	}
	if !ascii(h.Name) {
		h.Flags |= flagUTF8
	}
	to, err := w.CreateRaw(h)
	if err != nil {
		return fmt.Errorf("pack %q: %w", f.Path, err)
	}
	if f.IsDir() {
		return nil
	}
	_, err = to.Write(packed)
	return err
}

func packContent(ctx context.Context, f *File) ([]byte, error) {
	switch {
	case f.IsDir():
		return nil, ctx.Err()
	case f.Mode&fs.ModeSymlink != 0:
		return []byte(f.Link), ctx.Err()
	}
	var buf bytes.Buffer
	err := f.copyTo(ctx, &buf)
	if _, changed := errors.AsType[*ChecksumError](err); changed {
		return nil, fmt.Errorf("pack %q: it changed meanwhile", f.Path)
	}
	return buf.Bytes(), err
}

// deflate packs b, or keeps it when that makes it no smaller. The compressor is the module's
// own, so that another Go release gives the same bytes.
func deflate(b []byte) ([]byte, uint16, error) {
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, packLevel)
	if err != nil {
		return nil, 0, err
	}
	if _, err = io.Copy(w, bytes.NewReader(b)); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, 0, err
	}
	if buf.Len() >= len(b) {
		return b, zip.Store, nil
	}
	return buf.Bytes(), zip.Deflate, nil
}

// unixMode is st_mode as stat(2) has it.
func unixMode(f *File) uint32 {
	perm := uint32(f.Mode.Perm())
	switch {
	case f.IsDir():
		return typeDir | perm
	case f.Mode&fs.ModeSymlink != 0:
		return typeLink | perm
	}
	return typeFile | perm
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Copy packs s and unpacks that into the existing, empty directory dir: what a machine would
// have of it.
func Copy(ctx context.Context, s *Source, dir string, lim Limits) error {
	b, err := Pack(ctx, s, lim)
	if err != nil {
		return err
	}
	_, err = Unpack(ctx, bytes.NewReader(b), int64(len(b)), dir, lim)
	return err
}
