package squashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/anchore/go-lzo"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"
)

// codec decodes src into dst and returns the decoded length. Data longer than dst is an error. It is safe for
// concurrent use.
type codec func(dst, src []byte) (int, error)

// metaSize is the decoded length of every metadata block except the last of its table.
const metaSize = 8192

// Compressor numbers of the superblock.
const (
	compGzip = 1 + iota
	compLZMA
	compLZO
	compXZ
	compLZ4
	compZstd
)

// errTooLong is returned for a block that decodes to more than the allowed length.
var errTooLong = errors.New("decoded data is too long")

func newCodec(id uint16, blockSize uint32) (string, codec, error) {
	switch id {
	case compGzip:
		return "gzip", pooled(resetZlib), nil
	case compLZMA:
		return "", nil, fmt.Errorf("%w: lzma compression, which kernels never read", ErrUnsupported)
	case compLZO:
		return "lzo", lzoCodec, nil
	case compXZ:
		return "xz", pooled(resetXZ(max(blockSize, metaSize))), nil
	case compLZ4:
		return "lz4", lz4Codec, nil
	case compZstd:
		c, err := zstdCodec()
		return "zstd", c, err
	}
	return "", nil, fmt.Errorf("%w: compressor number %d", ErrUnsupported, id)
}

// decompress runs c and turns a panic into an error: decompressors read untrusted bytes.
func decompress(c codec, dst, src []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fmt.Errorf("decompressor panicked: %v", p)
		}
	}()
	n, err = c(dst, src)
	if err == nil && (n < 0 || n > len(dst)) {
		return 0, errTooLong
	}
	return n, err
}

// stream is a reusable streaming decompressor.
type stream struct {
	src bytes.Reader
	dec io.Reader
}

// drain reads z to its end, so that checksums are verified, and returns an error beyond len(dst) bytes.
func drain(dst []byte, z io.Reader) (int, error) {
	n := 0
	for n < len(dst) {
		k, err := z.Read(dst[n:])
		n += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	var more [1]byte
	for {
		k, err := z.Read(more[:])
		switch {
		case k > 0:
			return n, errTooLong
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
	}
}

// pooled returns a codec that reuses streaming decompressors; reset prepares one for its src.
func pooled(reset func(*stream) error) codec {
	var pool sync.Pool // of *stream; a failed stream is not put back
	return func(dst, src []byte) (int, error) {
		s, ok := pool.Get().(*stream)
		if !ok {
			s = &stream{}
		}
		s.src.Reset(src)
		if err := reset(s); err != nil {
			return 0, err
		}
		n, err := drain(dst, s.dec)
		if err == nil {
			pool.Put(s)
		}
		return n, err
	}
}

func resetZlib(s *stream) (err error) {
	if z, ok := s.dec.(zlib.Resetter); ok {
		return z.Reset(&s.src, nil)
	}
	s.dec, err = zlib.NewReader(&s.src)
	return err
}

// resetXZ accepts blocks with a dictionary of at most dict bytes: mksquashfs never uses a dictionary larger than
// the block.
func resetXZ(dict uint32) func(*stream) error {
	return func(s *stream) (err error) {
		if z, ok := s.dec.(*xz.Reader); ok {
			return z.Reset(&s.src)
		}
		s.dec, err = xz.NewReader(&s.src, dict)
		return err
	}
}

func lzoCodec(dst, src []byte) (int, error) { return lzo.Decompress(src, dst) }

// lz4Codec uses the block format: squashfs stores no lz4 frames.
func lz4Codec(dst, src []byte) (int, error) { return lz4.UncompressBlock(src, dst) }

func zstdCodec() (codec, error) {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(1<<maxBlockLog),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return func(dst, src []byte) (int, error) {
		out, err := d.DecodeAll(src, dst[:0:len(dst)])
		return len(out), err
	}, nil
}
