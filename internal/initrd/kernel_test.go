package initrd

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/adler32"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"mkbuild/e2e/testkit"
)

// bzImage is a kernel whose payload is packed.
func bzImage(packed []byte) []byte {
	b := make([]byte, 5*512, 5*512+20+len(packed)+4)
	copy(b[0x202:], "HdrS")
	b[0x1f1] = 4
	binary.LittleEndian.PutUint16(b[0x206:], 0x20a)
	binary.LittleEndian.PutUint32(b[0x248:], 20)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(packed)+4))
	b = append(append(b, make([]byte, 20)...), packed...)
	return append(b, 0, 0, 0x40, 1) // the unpacked size, after the packed data
}

// vmlinux has the words of one decompressor across the border of two reads.
func vmlinux(words string) []byte {
	b := make([]byte, 3<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b[:64<<10])
	copy(b[1<<20-3:], words)
	return b
}

// storedLZO is an lzop file of incompressible blocks.
func storedLZO(plain []byte) []byte {
	head, _ := hex.DecodeString("894c5a4f000d0a1a0a" + "1030" + "20a0" + "0940" + "02" + "01" + "00000001" + "000081a4" + "00000000" + "00000000" + "00")
	out := append(head, 0, 0, 0, 0)
	for part := range slices.Chunk(plain, 256<<10) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = binary.BigEndian.AppendUint32(out, adler32.Checksum(part))
		out = append(out, part...)
	}
	return append(out, 0, 0, 0, 0)
}

// packedBy returns content packed by a program of the host.
func packedBy(t *testing.T, content []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, args[0]), args[1:]...)
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	testkit.Must(t, err)
	return out
}

// TestKernelUnpacks: a kernel contains the names of its decompressors, whatever its own packing.
func TestKernelUnpacks(t *testing.T) {
	for name, pack := range map[string]func([]byte) []byte{
		"gzip":  func(b []byte) []byte { return packedBy(t, b, "gzip", "-9") },
		"xz":    func(b []byte) []byte { return packedBy(t, b, "xz", "--check=crc32", "--x86", "--lzma2=dict=32MiB") },
		"bzip2": func(b []byte) []byte { return packedBy(t, b, "bzip2", "-9") },
		"lz4":   func(b []byte) []byte { return packedBy(t, b, "lz4", "-l", "-9") },
		"zstd":  func(b []byte) []byte { return packedBy(t, b, "zstd", "-19") },
		"lzo":   storedLZO,
	} {
		t.Run(name, func(t *testing.T) {
			for packing, words := range complaints() {
				with, without := bzImage(pack(vmlinux(words))), bzImage(pack(vmlinux("gzip")))
				if ok, err := KernelUnpacks(bytes.NewReader(with), packing); !ok || err != nil {
					t.Errorf("%s: %t, %v", packing, ok, err)
				}
				if ok, err := KernelUnpacks(bytes.NewReader(without), packing); ok || err != nil {
					t.Errorf("without %s: %t, %v", packing, ok, err)
				}
				if _, err := KernelUnpacks(bytes.NewReader(with[:4000]), packing); !errors.Is(err, ErrKernel) {
					t.Errorf("cut off: %v", err)
				}
			}
		})
	}
	for _, bad := range [][]byte{nil, bzImage([]byte("\x5d\x00\x00\x80\x00")), bzImage([]byte("\x1f\x8bx")), make([]byte, 9000)} {
		if _, err := KernelUnpacks(bytes.NewReader(bad), "xz"); !errors.Is(err, ErrKernel) {
			t.Errorf("%.8q: %v", bad, err)
		}
		if ok, err := KernelUnpacks(bytes.NewReader(bad), "gzip"); !ok || err != nil {
			t.Errorf("gzip: %t, %v", ok, err)
		}
	}
}
