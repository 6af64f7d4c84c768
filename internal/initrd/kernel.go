package initrd

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/anchore/go-lzo"

	"mkbuild/internal/fail"
)

// ErrKernel is returned for a kernel whose decompressors cannot be determined.
var ErrKernel = fail.New(fail.Verification, "mkbuild cannot tell what the kernel unpacks", "")

// complaints maps the packing of a [Member] to an error text of the kernel's decompressor. A kernel contains the
// text of lib/decompress_un*.c only if it was configured with that decompressor. All Tiny Core kernels have gzip.
func complaints() map[string]string {
	return map[string]string{"xz": "XZ-compressed data is corrupt", "zstd": "ZSTD-compressed data is corrupt", "lz4": "chunk length is longer than allocated"}
}

// maxKernel bounds an unpacked kernel; real ones have 5 to 60 MB.
const maxKernel = 512 << 20

// KernelUnpacks reports whether a kernel (a bzImage) can unpack an initrd with the given packing of a [Member]. It
// unpacks the kernel and searches it for the decompressor's error text. It fails with [ErrKernel] for a kernel that
// is packed with lzma, or is not a bzImage of Linux 2.6.26 or newer.
func KernelUnpacks(bzImage io.Reader, packing string) (ok bool, err error) {
	words, special := complaints()[packing]
	if !special {
		return true, nil
	}
	defer func() {
		if p := recover(); p != nil { // the decompressors are third-party code
			err = fmt.Errorf("%w: %v", ErrKernel, p)
		}
	}()
	plain, err := payload(bufio.NewReaderSize(bzImage, window))
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrKernel, err)
	}
	return contains(plain, []byte(words))
}

// payload opens the packed kernel inside a bzImage (Documentation/arch/x86/boot.rst: payload_offset).
func payload(in *bufio.Reader) (io.Reader, error) {
	head := make([]byte, 0x250)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	at, size := int64(le.Uint32(head[0x248:])), int64(le.Uint32(head[0x24c:]))
	if string(head[0x202:0x206]) != "HdrS" || le.Uint16(head[0x206:]) < 0x208 || size == 0 {
		return nil, errors.New("its header does not say where it is packed")
	}
	setup := int64(head[0x1f1])
	if setup == 0 {
		setup = 4
	}
	if _, err := io.CopyN(io.Discard, in, (setup+1)*512+at-int64(len(head))); err != nil {
		return nil, noEOF(err)
	}
	packed := bufio.NewReaderSize(io.LimitReader(in, size), window)
	start, _ := packed.Peek(8)
	switch {
	case bytes.HasPrefix(start, []byte("BZh")):
		return bzip2.NewReader(packed), nil
	case bytes.HasPrefix(start, []byte("\x89LZO")):
		return lzopReader(packed)
	}
	plain, _, err := openMember(sniff(start), packed)
	return plain, err
}

// contains searches a stream for words. It stops at the first error, because the kernel's size follows the stream.
func contains(r io.Reader, words []byte) (bool, error) {
	buf := make([]byte, 0, 1<<20)
	for total := 0; total < maxKernel; {
		keep := min(len(buf), len(words)-1)
		copy(buf[:keep], buf[len(buf)-keep:])
		n, err := io.ReadFull(r, buf[keep:cap(buf)])
		buf, total = buf[:keep+n], total+n
		if bytes.Contains(buf, words) {
			return true, nil
		}
		if err != nil && total < 1<<20 {
			return false, fmt.Errorf("%w: %w", ErrKernel, err) // it broke off
		}
		if err != nil {
			return false, nil
		}
	}
	return false, fmt.Errorf("%w: it is too large", ErrKernel)
}

// lzop reads the blocks of an lzop file (lib/decompress_unlzo.c): two lengths, the checksums that the flags name,
// and the bytes.
type lzop struct {
	in    *bufio.Reader
	flags uint32
	rest  []byte
}

const (
	lzopSums       = 0x1 | 0x100 // a checksum of the plain bytes, Adler-32 or CRC-32
	lzopPackedSums = 0x2 | 0x200 // a checksum of the packed bytes, if they are fewer
	lzopFilter     = 0x800
	maxLZOBlock    = 64 << 20
)

// lzopReader skips the header: nine bytes of magic, three versions, method, level, flags, a filter, mode, two
// times, a name and a checksum. Files older than lzop 0.94 lack some fields; kernels contain no such files.
func lzopReader(in *bufio.Reader) (io.Reader, error) {
	head := make([]byte, 9+2+2+2+1+1+4)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	z := &lzop{in: in, flags: binary.BigEndian.Uint32(head[17:])}
	rest := 4 + 4 + 4
	if z.flags&lzopFilter != 0 {
		rest += 4
	}
	_, err := in.Discard(rest)
	name, nameErr := in.ReadByte()
	if err = errors.Join(err, nameErr); err == nil {
		_, err = in.Discard(int(name) + 4)
	}
	return z, err
}

func (z *lzop) Read(p []byte) (int, error) {
	for len(z.rest) == 0 {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

// next unpacks a block; an empty block is the end.
func (z *lzop) next() error {
	var sizes [2]uint32
	if err := binary.Read(z.in, binary.BigEndian, &sizes[0]); err != nil || sizes[0] == 0 {
		return errors.Join(err, io.EOF)
	}
	if err := binary.Read(z.in, binary.BigEndian, &sizes[1]); err != nil {
		return noEOF(err)
	}
	plain, packed := sizes[0], sizes[1]
	if plain > maxLZOBlock || packed > plain {
		return errFrame
	}
	sums := 4 * bits.OnesCount32(z.flags&lzopSums)
	if packed < plain {
		sums += 4 * bits.OnesCount32(z.flags&lzopPackedSums)
	}
	b := make([]byte, packed)
	_, err := z.in.Discard(sums)
	if err == nil {
		_, err = io.ReadFull(z.in, b)
	}
	if z.rest = b; err != nil || packed == plain {
		return noEOF(err)
	}
	z.rest = make([]byte, plain)
	n, err := lzo.Decompress(b, z.rest)
	z.rest = z.rest[:n]
	return err
}
