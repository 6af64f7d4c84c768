package cpio

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"mkbuild/e2e/testkit"
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
		testkit.Must(b, w.WriteHeader(&h))
		if _, err := w.Write(content); err != nil {
			b.Fatal(err)
		}
	}
	testkit.Must(b, w.Close())
	return out.Bytes()
}
