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

// Offsets in the boot header; Documentation/arch/x86/boot.rst of the Linux kernel.
const (
	bootFlagAt      = 0x1fe // u16, 0xaa55
	headerMagicAt   = 0x202 // "HdrS"
	kernelVersionAt = 0x20e // u16, relative to 0x200
	headerSize      = 0x210
	maxVersionText  = 512
	maxSetup        = 64 << 10 // twice the 64 sectors of a boot image's setup part
)

// KernelRelease returns the kernel image's uname -r, such as "3.0.21-tinycore": the first word of the version text
// that the boot header points to. It reads the beginning of the image.
func KernelRelease(vmlinuz io.Reader) (string, error) {
	head, err := io.ReadAll(io.LimitReader(vmlinuz, maxSetup))
	if err != nil {
		return "", fmt.Errorf("read kernel release: %w", err)
	}
	if len(head) < headerSize {
		return "", fmt.Errorf("read kernel release: %w: it has only %d bytes", ErrNotKernel, len(head))
	}
	le := binary.LittleEndian
	if le.Uint16(head[bootFlagAt:]) != 0xaa55 || string(head[headerMagicAt:headerMagicAt+4]) != "HdrS" {
		return "", fmt.Errorf("read kernel release: %w: no boot header", ErrNotKernel)
	}
	pointer := int(le.Uint16(head[kernelVersionAt:]))
	if pointer == 0 || pointer+0x200 >= len(head) {
		return "", fmt.Errorf("read kernel release: %w: it names no version", ErrNotKernel)
	}
	text := head[pointer+0x200:]
	return firstWord(text[:min(len(text), maxVersionText)])
}

// firstWord returns the release from the NUL-terminated text "3.0.21-tinycore (root@box) …". The release becomes
// part of file names, so only their characters are allowed.
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
