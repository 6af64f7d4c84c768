package deflate

import (
	"math"
	"math/bits"
)

// parser knows all matches of a piece of data.
type parser struct {
	data    []byte
	from    int     // where what is to be compressed begins
	matches []match // of all positions, one after the other
	start   []int32 // where those of a position begin, counted from from; one more at the end
	// buffers of one way through the data, by position from a span's beginning
	cost []uint64
	step []item
}

func newParser(data []byte, from int) *parser {
	p := &parser{data: data, from: from, start: make([]int32, len(data)-from+1)}
	f := newFinder(data)
	for at := range from {
		f.insert(at)
	}
	for at := from; at < len(data); at++ {
		p.start[at-from] = int32(len(p.matches))
		p.matches = f.find(at, p.matches)
		f.insert(at)
	}
	p.start[len(data)-from] = int32(len(p.matches))
	p.cost, p.step = make([]uint64, len(data)-from+1), make([]item, len(data)-from+1)
	return p
}

func (p *parser) at(pos int) []match {
	return p.matches[p.start[pos-p.from]:p.start[pos-p.from+1]]
}

// oneBit is a bit in prices. They are whole numbers: with floating point ones the way that is taken
// would depend on the processor, which may or may not round between two operations.
const oneBit = 1 << fraction

const fraction = 8

// prices are what symbols cost, their extra bits included.
type prices struct {
	literals [256]uint64
	lengths  [maxMatch + 1]uint64
	dists    [distSize]uint64
}

// newPrices turns counts into prices: the information that each symbol carries. Codes of whole bits
// come near to that, and a smooth price finds better ways than one that jumps.
func newPrices(c *counts) *prices {
	p := &prices{}
	literals := information(c.literals[:])
	dists := information(c.dists[:])
	copy(p.literals[:], literals)
	for l := minMatch; l <= maxMatch; l++ {
		s, extra, _ := lengthSymbol(l)
		p.lengths[l] = literals[s] + uint64(extra)*oneBit
	}
	for s := range p.dists {
		p.dists[s] = dists[s] + uint64(distExtra(s))*oneBit
	}
	return p
}

// information returns -log2 of each symbol's share. What does not occur is as dear as what occurs
// half a time.
func information(counts []uint32) []uint64 {
	total := uint64(1)
	for _, n := range counts {
		total += uint64(n)
	}
	out := make([]uint64, len(counts))
	for i, n := range counts {
		out[i] = log2(2*total) - log2(max(2*uint64(n), 1))
	}
	return out
}

// log2 returns the logarithm of a number from 1 on, in parts of a bit, rounded down: one binary digit
// of it for each squaring.
func log2(x uint64) uint64 {
	whole := bits.Len64(x) - 1
	m := x << (63 - whole) >> 32 // from 1 to 2, with 31 digits behind the point
	out := uint64(whole)
	for range fraction {
		m = m * m >> 31
		out <<= 1
		if m >= 1<<32 {
			m >>= 1
			out |= 1
		}
	}
	return out
}

// greedy is a first guess: the longest match wherever there is one.
func (p *parser) greedy(s span) []item {
	var out []item
	for at := s.from; at < s.to; {
		ms := p.at(at)
		if len(ms) > 0 {
			if m := ms[len(ms)-1]; int(m.length) <= s.to-at && (m.length > 3 || m.dist < 4096) {
				out = append(out, item{m.length, m.dist})
				at += int(m.length)
				continue
			}
		}
		out = append(out, item{value: uint16(p.data[at])})
		at++
	}
	return out
}

// cheapest finds the cheapest way through a span.
func (p *parser) cheapest(s span, price *prices) []item {
	n := s.to - s.from
	cost, step := p.cost[:n+1], p.step[:n+1]
	for i := range cost {
		cost[i] = math.MaxUint64
	}
	cost[0] = 0
	for i := range n {
		here := cost[i]
		if c := here + price.literals[p.data[s.from+i]]; c < cost[i+1] {
			cost[i+1], step[i+1] = c, item{value: uint16(p.data[s.from+i])}
		}
		from := minMatch
		for _, m := range p.at(s.from + i) {
			d, _, _ := distSymbol(int(m.dist))
			base := here + price.dists[d]
			to := min(int(m.length), n-i)
			for l := from; l <= to; l++ {
				if c := base + price.lengths[l]; c < cost[i+l] {
					cost[i+l], step[i+l] = c, item{uint16(l), m.dist}
				}
			}
			from = to + 1
		}
	}
	return trace(step)
}

// trace follows the steps back from the end.
func trace(step []item) []item {
	var back []item
	for i := len(step) - 1; i > 0; {
		s := step[i]
		back = append(back, s)
		if s.dist == 0 {
			i--
		} else {
			i -= int(s.value)
		}
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// optimize finds a way through a span, with prices that come from the way before it, and returns
// the best block met and its size in bits.
func (p *parser) optimize(s span) (*block, uint64) {
	best := newBlock(p.greedy(s))
	size := best.size()
	last := best
	for range passes {
		last = newBlock(p.cheapest(s, newPrices(&last.counts)))
		n := last.size()
		if n < size {
			best, size = last, n
		}
	}
	return best, size
}
