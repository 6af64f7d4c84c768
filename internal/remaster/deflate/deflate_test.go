package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"math"
	"math/rand"
	"strings"
	"testing"
)

// unpack is a second opinion on what blocks mean.
func unpack(t testing.TB, packed []byte) []byte {
	t.Helper()
	b, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// samples are inputs of very different kinds.
func samples() map[string][]byte {
	rnd := rand.New(rand.NewSource(1))
	noise := make([]byte, 60_000)
	rnd.Read(noise)
	var text strings.Builder
	for range 8_000 {
		text.WriteString([]string{"the ", "kernel ", "unpacks ", "segments ", "\n", "0123"}[rnd.Intn(6)])
	}
	mixed := append(append(append([]byte{}, text.String()[:20_000]...), noise[:30_000]...), text.String()...)
	return map[string][]byte{
		"nothing": nil, "a byte": {7}, "two bytes": {7, 7}, "three": {1, 2, 3}, "a run": bytes.Repeat([]byte{0}, 50_000),
		"noise": noise, "text": []byte(text.String()), "mixed": mixed, "all bytes": func() []byte {
			b := make([]byte, 256)
			for i := range b {
				b[i] = byte(i)
			}
			return b
		}(),
		"far apart": append(append(append([]byte{}, noise[:300]...), bytes.Repeat([]byte{5}, WindowSize-300)...), noise[:300]...),
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, data := range samples() {
		packed := Block(data, 0, true)
		if !bytes.Equal(unpack(t, packed), data) {
			t.Errorf("%s comes back as something else", name)
		}
		if limit := len(data) + len(data)/1000 + 64; len(packed) > limit {
			t.Errorf("%s takes %d bytes, has %d", name, len(packed), len(data))
		}
	}
}

// TestBlocksFollowOneAnother, each with what came before it as dictionary.
func TestBlocksFollowOneAnother(t *testing.T) {
	t.Parallel()
	for name, data := range samples() {
		var packed []byte
		for at := 0; ; {
			end := min(at+20_000, len(data))
			packed = append(packed, Block(data[:end], at, end == len(data))...)
			if at = end; at == len(data) {
				break
			}
		}
		if !bytes.Equal(unpack(t, packed), data) {
			t.Errorf("%s in blocks comes back as something else", name)
		}
	}
}

// TestSmallerThanOthers: that is all that it is for.
func TestSmallerThanOthers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"text", "mixed", "a run"} {
		data := samples()[name]
		var other bytes.Buffer
		w, err := flate.NewWriter(&other, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		w.Close()
		if got := len(Block(data, 0, true)); got >= other.Len() {
			t.Errorf("%s: %d bytes, compress/flate takes %d", name, got, other.Len())
		}
	}
}

// TestCodeLengths: no code is too long, and all together fill the space of codes.
func TestCodeLengths(t *testing.T) {
	t.Parallel()
	fibonacci := make([]uint32, 40)
	for i := range fibonacci {
		fibonacci[i] = 1
		if i > 1 {
			fibonacci[i] = fibonacci[i-1] + fibonacci[i-2]
		}
	}
	for _, counts := range [][]uint32{{1, 1}, {5, 0, 0, 1, 9}, fibonacci, make([]uint32, 5), {0, 3}} {
		for _, limit := range []int{maxMetaBits, maxBits} {
			sum, symbols := 0, 0
			for s, l := range codeLengths(counts, limit) {
				if (l > 0) != (counts[s] > 0) || int(l) > limit {
					t.Errorf("%v: %d bits for symbol %d", counts, l, s)
				}
				if l > 0 {
					sum += 1 << (limit - int(l))
					symbols++
				}
			}
			if symbols > 1 && sum != 1<<limit {
				t.Errorf("%v: the codes fill %d of %d", counts, sum, 1<<limit)
			}
		}
	}
}

func TestSymbols(t *testing.T) {
	t.Parallel()
	seen := 0
	for l := minMatch; l <= maxMatch; l++ {
		s, extra, value := lengthSymbol(l)
		if s < 257 || s >= literalSize || value >= 1<<extra || extra != lengthExtra(s) || s < seen {
			t.Fatalf("length %d: %d, %d, %d", l, s, extra, value)
		}
		seen = s
	}
	seen = 0
	for d := 1; d <= WindowSize; d++ {
		s, extra, value := distSymbol(d)
		if s >= distSize || value >= 1<<extra || extra != distExtra(s) || s < seen {
			t.Fatalf("distance %d: %d, %d, %d", d, s, extra, value)
		}
		seen = s
	}
}

func TestLog2(t *testing.T) {
	t.Parallel()
	for _, x := range []uint64{1, 2, 3, 5, 7, 100, 255, 256, 257, 1 << 20, 1<<20 + 1, 1<<40 - 1} {
		if got, want := float64(log2(x))/oneBit, math.Log2(float64(x)); got > want+1e-9 || got < want-1.5/oneBit {
			t.Errorf("log2 of %d: %v, want %v", x, got, want)
		}
	}
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte("abcabcabcabc"), 3)
	f.Add(bytes.Repeat([]byte{1, 2}, 700), 0)
	f.Fuzz(func(t *testing.T, data []byte, dict int) {
		if dict < 0 || dict > len(data) {
			return
		}
		packed := Block(data, dict, true)
		r := flate.NewReaderDict(bytes.NewReader(packed), data[:dict])
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[dict:]) {
			t.Errorf("%q behind %d comes back as %q, %v", data, dict, got, err)
		}
	})
}

func BenchmarkBlock(b *testing.B) {
	data := samples()["mixed"]
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		Block(data, 0, true)
	}
}
