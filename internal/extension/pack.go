package extension

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
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
	packMemory = 256 << 20 // upper bound of Pack's memory, regardless of the limits
)

// Pack makes the archive of s. The same tree gives the same bytes, whatever the order of its files, the umask and
// the times: members are sorted, modes are 0755 or 0644, and every time is 1980-01-01, since the client ignores
// members' times. [Unpack] accepts the archive with the same limits.
func Pack(ctx context.Context, s *Source, lim Limits) ([]byte, error) {
	switch err := s.Check(); {
	case err != nil && len(s.Refused) > 1:
		return nil, fmt.Errorf("%w (and %d more)", err, len(s.Refused)-1)
	case err != nil:
		return nil, err
	case s.Total() > packMemory:
		return nil, tooBig("", "total size", packMemory)
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range s.Files {
		if err := packFile(ctx, w, &s.Files[i]); err != nil {
			return nil, fmt.Errorf("pack %q: %w", s.Files[i].Path, err)
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

// PackDir packs dir and returns the time of its newest file, for a server to use as the archive's: the client
// fetches again if it grows.
func PackDir(ctx context.Context, dir string, lim Limits) ([]byte, time.Time, error) {
	s, newest, err := readDir(dir, lim)
	if err != nil {
		return nil, newest, fmt.Errorf("read %s: %w", dir, err)
	}
	b, err := Pack(ctx, s, lim)
	return b, newest, err
}

// packFile writes one member, with sizes and CRC before its bytes and without a data descriptor, so that even
// simple unzips read it.
func packFile(ctx context.Context, w *zip.Writer, f *File) error {
	content, err := packContent(ctx, f)
	if err != nil {
		return err
	}
	packed, method, err := deflate(content)
	if err != nil {
		return err
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
	if strings.ContainsFunc(h.Name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		h.Flags |= flagUTF8
	}
	to, err := w.CreateRaw(h)
	if err != nil || f.IsDir() {
		return err
	}
	_, err = to.Write(packed)
	return err
}

func packContent(ctx context.Context, f *File) ([]byte, error) {
	switch {
	case f.IsDir():
		return nil, ctx.Err()
	case f.IsLink():
		return []byte(f.Link), ctx.Err()
	}
	var buf bytes.Buffer
	err := f.CopyTo(ctx, &buf)
	if why, ok := errors.AsType[*Error](err); ok && why.Kind == Damaged {
		return nil, errors.New("it changed meanwhile")
	}
	return buf.Bytes(), err
}

// deflate packs b, or keeps it if packing does not make it smaller. The compressor is a module, so that another
// Go release gives the same bytes.
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
	case f.IsLink():
		return typeLink | perm
	}
	return typeFile | perm
}

// UnpackNamed unpacks the archive name into dir, or packs the directory name and unpacks that, as a
// client would.
func UnpackNamed(ctx context.Context, name, dir string, lim Limits) error {
	info, err := stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		b, _, err := PackDir(ctx, name, lim)
		if err != nil {
			return err
		}
		return Unpack(ctx, bytes.NewReader(b), int64(len(b)), dir, lim)
	}
	f, err := openZip(name, info)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := Unpack(ctx, f, info.Size(), dir, lim); err != nil {
		return fmt.Errorf("unpack %s: %w", name, errors.Join(err, ctx.Err()))
	}
	return nil
}
