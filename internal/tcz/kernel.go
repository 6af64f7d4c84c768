package tcz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"mkbuild/internal/fail"
)

// ErrNotKernel is returned for a file that is not a Linux/x86 boot image (bzImage) with a version.
var ErrNotKernel = fail.New(fail.Verification, "not a Linux x86 kernel image", "")

// Places in the boot header; Documentation/arch/x86/boot.rst of the Linux kernel.
const (
	bootFlagAt      = 0x1fe // u16, 0xaa55
	headerMagicAt   = 0x202 // "HdrS"
	kernelVersionAt = 0x20e // u16, relative to 0x200
	headerSize      = 0x210
	maxVersionText  = 512
)

// KernelRelease returns what uname -r prints once the kernel image of size bytes has booted,
// such as "3.0.21-tinycore": the first word of the version text that the boot header points to.
func KernelRelease(vmlinuz io.ReaderAt, size int64) (string, error) {
	head := make([]byte, headerSize)
	if err := readFull(vmlinuz, head, 0, size); err != nil {
		return "", fmt.Errorf("read kernel release: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint16(head[bootFlagAt:]) != 0xaa55 || string(head[headerMagicAt:headerMagicAt+4]) != "HdrS" {
		return "", fmt.Errorf("read kernel release: %w: no boot header", ErrNotKernel)
	}
	pointer := int64(le.Uint16(head[kernelVersionAt:]))
	if pointer == 0 {
		return "", fmt.Errorf("read kernel release: %w: it names no version", ErrNotKernel)
	}
	text := make([]byte, min(maxVersionText, max(0, size-pointer-0x200)))
	if err := readFull(vmlinuz, text, pointer+0x200, size); err != nil {
		return "", fmt.Errorf("read kernel release: %w", err)
	}
	return firstWord(text)
}

// readFull fills b from offset off of a file of size bytes.
func readFull(r io.ReaderAt, b []byte, off, size int64) error {
	if off+int64(len(b)) > size {
		return fmt.Errorf("%w: it has only %d bytes", ErrNotKernel, size)
	}
	if n, err := r.ReadAt(b, off); n < len(b) {
		return fmt.Errorf("read %d bytes at %d, got %d: %w", len(b), off, n, err)
	}
	return nil
}

// firstWord returns the release from the NUL-terminated text "3.0.21-tinycore (root@box) …".
// It becomes part of file names, so it may only have their characters.
func firstWord(text []byte) (string, error) {
	text, _, ended := bytes.Cut(text, []byte{0})
	words := strings.Fields(string(text))
	if !ended || len(words) == 0 {
		return "", fmt.Errorf("read kernel release: %w: no version text", ErrNotKernel)
	}
	release := words[0]
	if !isName(release) || release[0] < '0' || release[0] > '9' {
		return "", fmt.Errorf("read kernel release: %w: version text %.40q", ErrNotKernel, release)
	}
	return release, nil
}
