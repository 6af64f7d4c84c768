package tcz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// bzImage makes the head of a kernel image with its version text at byte 0x400.
func bzImage(text string) []byte {
	b := make([]byte, 0x800)
	binary.LittleEndian.PutUint16(b[bootFlagAt:], 0xaa55)
	copy(b[headerMagicAt:], "HdrS")
	binary.LittleEndian.PutUint16(b[kernelVersionAt:], 0x200)
	copy(b[0x400:], text)
	return b
}

func TestKernelRelease(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"3.0.21-tinycore (tc@box) #3021 SMP Sat Feb 18 11:54:11 EET 2012\x00": "3.0.21-tinycore",
		"6.1.0-45-686 (debian-kernel@lists.debian.org) #1\x00":                "6.1.0-45-686",
		"4.9.22-piCore-v7+\x00": "4.9.22-piCore-v7+",
	} {
		b := bzImage(text)
		if got, err := KernelRelease(bytes.NewReader(b)); got != want || err != nil {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func TestKernelReleaseRefuses(t *testing.T) {
	t.Parallel()
	changed := func(off int, v ...byte) []byte {
		b := bzImage("3.0.21-tinycore\x00")
		copy(b[off:], v)
		return b
	}
	for name, b := range map[string][]byte{
		"empty":               nil,
		"short":               bzImage("x")[:0x20f],
		"text":                bytes.Repeat([]byte("kernel "), 200),
		"no magic":            changed(headerMagicAt, 'X'),
		"no boot flag":        changed(bootFlagAt, 0),
		"no version":          changed(kernelVersionAt, 0, 0),
		"version outside":     changed(kernelVersionAt, 0xff, 0xff),
		"version not ended":   changed(0x400, bytes.Repeat([]byte("3"), 0x400)...),
		"version empty":       changed(0x400, 0),
		"version with a path": changed(0x400, []byte("3/../../x\x00")...),
		"version no number":   changed(0x400, []byte("tinycore\x00")...),
	} {
		if got, err := KernelRelease(bytes.NewReader(b)); !errors.Is(err, ErrNotKernel) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func FuzzKernelRelease(f *testing.F) {
	f.Add(bzImage("3.0.21-tinycore (x)\x00"))
	f.Add([]byte("HdrS"))
	f.Fuzz(func(t *testing.T, b []byte) {
		release, err := KernelRelease(bytes.NewReader(b))
		if err == nil && !isName(release) {
			t.Errorf("got %q", release)
		}
	})
}
