package deflate

import "math/bits"

const (
	minMatch = 3
	maxMatch = 258
	hashBits = 16
	// maxChain bounds the search at one position, goodMatch ends it, and maxKept bounds what is kept.
	maxChain  = 256
	goodMatch = maxMatch
)

// match is a length and the smallest distance that gives it.
type match struct{ length, dist uint16 }

// finder finds matches with chains of earlier positions that have the same hash.
type finder struct {
	data []byte
	head []int32 // position+1 of the newest with a hash
	prev []int32 // position+1 of the one before it
}

func newFinder(data []byte) *finder {
	return &finder{data: data, head: make([]int32, 1<<hashBits), prev: make([]int32, len(data))}
}

func (f *finder) hash(at int) uint32 {
	b := f.data[at:]
	return (uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])) * 2654435761 >> (32 - hashBits)
}

// insert makes a position known to later ones.
func (f *finder) insert(at int) {
	if at+minMatch > len(f.data) {
		return
	}
	h := f.hash(at)
	f.prev[at] = f.head[h]
	f.head[h] = int32(at + 1)
}

// find appends the matches at a position, each longer than the one before it.
func (f *finder) find(at int, out []match) []match {
	if at+minMatch > len(f.data) {
		return out
	}
	limit := min(maxMatch, len(f.data)-at)
	longest := minMatch - 1
	here := f.data[at : at+limit]
	next := f.head[f.hash(at)]
	for n := 0; next > 0 && n < maxChain; n++ {
		from := int(next - 1)
		if at-from > WindowSize {
			break
		}
		next = f.prev[from]
		there := f.data[from:]
		if there[longest] != here[longest] || there[0] != here[0] {
			continue
		}
		length := common(here, there)
		if length <= longest {
			continue
		}
		longest = length
		out = append(out, match{uint16(length), uint16(at - from)})
		if length == limit || length >= goodMatch {
			break
		}
	}
	return out
}

// common returns how many of the first bytes are the same; b is at least as long as a.
func common(a, b []byte) int {
	n := 0
	for n+8 <= len(a) {
		if x := word(a[n:]) ^ word(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

func word(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
