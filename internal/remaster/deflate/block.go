package deflate

// block is a span as symbols, with the codes that suit them best.
type block struct {
	items    []item
	counts   counts
	literals []uint8 // code lengths
	dists    []uint8
	meta     metaCode
}

// newBlock works out the codes for items.
func newBlock(items []item) *block {
	b := &block{items: items}
	for _, i := range items {
		b.counts.add(i)
	}
	b.counts.literals[endOfBlock]++
	b.code()
	return b
}

func (b *block) code() {
	b.literals = codeLengths(b.counts.literals[:], maxBits)
	b.dists = codeLengths(b.counts.dists[:], maxBits)
	b.meta = newMetaCode(b.literals, b.dists)
}

// size returns the length of the block in bits.
func (b *block) size() uint64 {
	n := 3 + b.meta.size()
	for s, c := range b.counts.literals {
		extra := lengthExtra(s)
		n += uint64(c) * uint64(int(b.literals[s])+extra)
	}
	for s, c := range b.counts.dists {
		n += uint64(c) * uint64(int(b.dists[s])+distExtra(s))
	}
	return n
}

// lengthExtra returns the extra bits of a symbol of the first alphabet.
func lengthExtra(symbol int) int {
	if symbol < 265 || symbol == 285 {
		return 0
	}
	return (symbol - 261) / 4
}

func distExtra(symbol int) int {
	if symbol < 4 {
		return 0
	}
	return symbol/2 - 1
}

// write writes a block with dynamic Huffman codes (RFC 1951 section 3.2.7).
func (b *block) write(w *bitWriter) {
	w.bits(0|2<<1, 3)
	b.meta.write(w)
	literalCodes, distCodes := codes(b.literals), codes(b.dists)
	for _, i := range b.items {
		if i.dist == 0 {
			w.bits(uint64(literalCodes[i.value]), uint(b.literals[i.value]))
			continue
		}
		s, extra, value := lengthSymbol(int(i.value))
		w.bits(uint64(literalCodes[s]), uint(b.literals[s]))
		w.bits(uint64(value), uint(extra))
		s, extra, value = distSymbol(int(i.dist))
		w.bits(uint64(distCodes[s]), uint(b.dists[s]))
		w.bits(uint64(value), uint(extra))
	}
	w.bits(uint64(literalCodes[endOfBlock]), uint(b.literals[endOfBlock]))
}
