package cpio

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// BenchmarkWrite packs 1,000 files of 4 KiB, BenchmarkRead lists them again.
func BenchmarkWrite(b *testing.B) {
	b.SetBytes(int64(len(thousand(b))))
	b.ReportAllocs()
	for b.Loop() {
		thousand(b)
	}
}

func BenchmarkRead(b *testing.B) {
	archive := thousand(b)
	b.SetBytes(int64(len(archive)))
	b.ReportAllocs()
	for b.Loop() {
		for r := NewReader(bytes.NewReader(archive)); ; {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func thousand(b *testing.B) []byte {
	var out bytes.Buffer
	w := NewWriter(&out)
	content := make([]byte, 4096)
	for range 1000 {
		h := Header{Name: "usr/local/lib/file", Mode: typeRegular | 0o644, Size: int64(len(content))}
		if err := w.WriteHeader(&h); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
