package initrd

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// kind is the packing of a member.
type kind int

const (
	kindUnknown kind = iota
	kindRaw
	kindGzip
	kindXZ
	kindZstd
	kindLZ4
	kindUnsupported
)

// String returns the name of a packing.
func (k kind) String() string {
	return [...]string{"unknown", "none", "gzip", "xz", "zstd", "lz4", "unsupported"}[k]
}

// sniffLen is the number of bytes that sniff needs.
const sniffLen = 512

// sniff detects the packing by its magic number (lib/decompress.c of the kernel).
func sniff(b []byte) kind {
	for _, m := range []struct {
		magic string
		kind  kind
	}{
		{"07070", kindRaw},
		{"\x1f\x8b", kindGzip},
		{"\xfd7zXZ\x00", kindXZ},
		{"\x28\xb5\x2f\xfd", kindZstd},
		{"\x02\x21\x4c\x18", kindLZ4},
		{"\x04\x22\x4d\x18", kindUnsupported}, // lz4 frame: the kernel refuses it, too
		{"BZh", kindUnsupported},
		{"\x5d\x00\x00", kindUnsupported}, // lzma alone
		{"\x89LZO", kindUnsupported},
	} {
		if bytes.HasPrefix(b, []byte(m.magic)) {
			return m.kind
		}
	}
	return kindUnknown
}

// errUnsupported is returned for a packing that some kernels support and this package does not.
var errUnsupported = errors.New("packed with bzip2, lzma, lzo or lz4 frames: only gzip, xz, zstd and lz4 (legacy) can be read")

const (
	maxXZDict     = 64 << 20  // xz -9
	maxZstdWindow = 128 << 20 // zstd --ultra -22
)

// openMember returns the content of the member at the beginning of in. Reading it to its end leaves in right after
// the member. done releases the decompressor's resources.
func openMember(k kind, in *bufio.Reader) (plain io.Reader, done func(), err error) {
	done = func() {}
	switch k {
	case kindRaw:
		return in, done, nil
	case kindGzip:
		z, err := gzip.NewReader(in) // reads a bufio.Reader no further than the member
		if err != nil {
			return nil, nil, err
		}
		z.Multistream(false)
		return z, done, nil
	case kindXZ:
		z, err := xz.NewReader(&xzStream{in: in}, maxXZDict)
		return z, done, err
	case kindZstd:
		z, err := zstd.NewReader(&zstdFrame{in: in}, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	case kindLZ4:
		return &lz4Legacy{in: in}, done, nil
	}
	return nil, nil, errUnsupported
}
