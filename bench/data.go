//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// fileSize is the size of each file of [writeData].
const fileSize = 1 << 20

// writeData fills a folder with n files of 1 MiB that compress to about half: always the same bytes, and no two
// equal blocks.
func writeData(dir string, n int) error {
	state := uint64(n)
	for i := range n {
		sub := filepath.Join(dir, "usr/local/share/bulk", fmt.Sprintf("%02d", i/64))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		b := make([]byte, fileSize)
		state = fill(b, state)
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%03d", i)), b, 0o644); err != nil { //nolint:gosec // read by mksquashfs
			return err
		}
	}
	return nil
}

// fill writes runs of 64 bytes: noise, or copies of recent bytes. It returns the state of its generator (Knuth's
// MMIX).
func fill(b []byte, state uint64) uint64 {
	for i := range b {
		if i >= 4096 && i/64%2 == 1 {
			b[i] = b[i-4032-int(state>>60)*8]
			continue
		}
		state = state*6364136223846793005 + 1442695040888963407
		b[i] = byte(state >> 56)
	}
	return state
}
