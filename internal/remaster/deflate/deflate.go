// Package deflate compresses harder than compressors that work while somebody waits: it looks for
// the cheapest way through all matches at every position, again and again with the prices that the
// last way has led to, as zopfli and libdeflate at its highest levels do. The output is plain
// DEFLATE (RFC 1951) that every decompressor reads.
//
// It knows no container. The same input gives the same bytes on every machine.
package deflate

// WindowSize is how far back matches reach.
const WindowSize = 32 << 10

// passes is how often the prices are put right. What more of them gain is below 0.1 %.
const passes = 6

// Block compresses the rest of data behind its first dict bytes, of which matches may use the last
// 32 KiB. The result ends at a byte boundary, so that blocks follow one another as they are; the
// last one of a stream has to be marked as such.
func Block(data []byte, dict int, last bool) []byte {
	if cut := dict - WindowSize; cut > 0 {
		data, dict = data[cut:], WindowSize
	}
	w := &bitWriter{}
	if dict < len(data) {
		p := newParser(data, dict)
		for _, part := range p.split() {
			p.writePart(w, part)
		}
	}
	w.finish(last)
	return w.out
}

// span is a part of the data that has Huffman codes of its own.
type span struct{ from, to int }

// writePart compresses one span in the shortest of the ways that the format has.
func (p *parser) writePart(w *bitWriter, s span) {
	best, size := p.optimize(s)
	if stored := storedBits(s.to - s.from); stored <= size {
		w.stored(p.data[s.from:s.to])
		return
	}
	best.write(w)
}
