package deflate

import "math/bits"

// The alphabets of RFC 1951 section 3.2.5.
const (
	endOfBlock  = 256
	literalSize = 286
	distSize    = 30
)

// lengthSymbol returns the symbol of a match's length, with the number of extra bits and their value.
func lengthSymbol(length int) (symbol, extra, value int) {
	n := length - minMatch
	if length == maxMatch {
		return 285, 0, 0
	}
	if n < 8 {
		return 257 + n, 0, 0
	}
	extra = bits.Len(uint(n)) - 3
	return 257 + 4*extra + n>>extra, extra, n & (1<<extra - 1)
}

// distSymbol does the same for a distance.
func distSymbol(dist int) (symbol, extra, value int) {
	n := dist - 1
	if n < 4 {
		return n, 0, 0
	}
	extra = bits.Len(uint(n)) - 2
	return 2*extra + n>>extra, extra, n & (1<<extra - 1)
}

// item is a literal, with a distance of 0, or a match.
type item struct{ value, dist uint16 }

// counts are how often the symbols of both alphabets occur.
type counts struct {
	literals [literalSize]uint32
	dists    [distSize]uint32
}

func (c *counts) add(i item) {
	if i.dist == 0 {
		c.literals[i.value]++
		return
	}
	l, _, _ := lengthSymbol(int(i.value))
	d, _, _ := distSymbol(int(i.dist))
	c.literals[l]++
	c.dists[d]++
}

func (c *counts) merge(o *counts) {
	for i, n := range o.literals {
		c.literals[i] += n
	}
	for i, n := range o.dists {
		c.dists[i] += n
	}
}
