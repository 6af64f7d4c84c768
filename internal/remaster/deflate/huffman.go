package deflate

import (
	"cmp"
	"slices"
)

// maxBits is the longest code of the two alphabets, maxMetaBits that of the code for their lengths.
const (
	maxBits     = 15
	maxMetaBits = 7
)

// coin is a symbol, or two coins of the next smaller kind, in the package-merge algorithm.
type coin struct {
	weight      uint64
	symbol      int // of a symbol; else -1
	left, right *coin
}

// codeLengths returns the lengths of the best prefix code of which none is longer than limit bits
// (package-merge, Larmore and Hirschberg 1990). A lone symbol gets one bit.
func codeLengths(counts []uint32, limit int) []uint8 {
	lengths := make([]uint8, len(counts))
	var leaves []*coin
	for s, n := range counts {
		if n > 0 {
			leaves = append(leaves, &coin{weight: uint64(n), symbol: s})
		}
	}
	if len(leaves) == 1 {
		lengths[leaves[0].symbol] = 1
	}
	if len(leaves) < 2 {
		return lengths
	}
	slices.SortStableFunc(leaves, byWeight)
	row := leaves
	for range limit - 1 {
		row = mergeCoins(leaves, packages(row))
	}
	for _, c := range row[:2*len(leaves)-2] {
		c.count(lengths)
	}
	return lengths
}

func byWeight(a, b *coin) int { return cmp.Compare(a.weight, b.weight) }

// packages pairs coins, the lightest first; an odd last one is left out.
func packages(row []*coin) []*coin {
	out := make([]*coin, 0, len(row)/2)
	for i := 0; i+1 < len(row); i += 2 {
		out = append(out, &coin{weight: row[i].weight + row[i+1].weight, symbol: -1, left: row[i], right: row[i+1]})
	}
	return out
}

func mergeCoins(leaves, packed []*coin) []*coin {
	out := make([]*coin, 0, len(leaves)+len(packed))
	for len(leaves) > 0 && len(packed) > 0 {
		if leaves[0].weight <= packed[0].weight {
			out, leaves = append(out, leaves[0]), leaves[1:]
		} else {
			out, packed = append(out, packed[0]), packed[1:]
		}
	}
	return append(append(out, leaves...), packed...)
}

// count makes the codes of all symbols in c one bit longer.
func (c *coin) count(lengths []uint8) {
	if c.symbol >= 0 {
		lengths[c.symbol]++
		return
	}
	c.left.count(lengths)
	c.right.count(lengths)
}

// codes returns the canonical codes of lengths, their bits reversed as the format wants them
// (RFC 1951 section 3.2.2).
func codes(lengths []uint8) []uint16 {
	var perLength, next [maxBits + 2]uint16
	for _, l := range lengths {
		perLength[l]++
	}
	perLength[0] = 0
	for l := 1; l <= maxBits; l++ {
		next[l+1] = (next[l] + perLength[l]) << 1
	}
	out := make([]uint16, len(lengths))
	for s, l := range lengths {
		if l == 0 {
			continue
		}
		code := next[l]
		next[l]++
		for range l {
			out[s] = out[s]<<1 | code&1
			code >>= 1
		}
	}
	return out
}
