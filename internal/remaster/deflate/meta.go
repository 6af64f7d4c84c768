package deflate

// metaOrder is the order in which the lengths of the code for code lengths are stored.
var metaOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} //nolint:gochecknoglobals // a table of the format

// metaItem is a code length, or a run: symbol 16 repeats the last one, 17 and 18 are zeros.
type metaItem struct{ symbol, extra, value uint8 }

// metaCode is the head of a block: the lengths of both codes, run-length and Huffman coded.
type metaCode struct {
	items           []metaItem
	lengths         []uint8
	literals, dists int // how many lengths are stored
	stored          int // how many lengths of the code itself
}

func newMetaCode(literals, dists []uint8) metaCode {
	m := metaCode{literals: used(literals, 257), dists: used(dists, 1), stored: 4}
	all := append(append([]uint8{}, literals[:m.literals]...), dists[:m.dists]...)
	var counts [19]uint32
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n] == all[0] {
			n++
		}
		m.run(all[0], n)
		all = all[n:]
	}
	for _, i := range m.items {
		counts[i.symbol]++
	}
	m.lengths = codeLengths(counts[:], maxMetaBits)
	for i, s := range metaOrder {
		if m.lengths[s] > 0 {
			m.stored = max(m.stored, i+1)
		}
	}
	return m
}

// used returns how many lengths there are up to the last that is not zero, and at least least.
func used(lengths []uint8, least int) int {
	n := len(lengths)
	for n > least && lengths[n-1] == 0 {
		n--
	}
	return n
}

// run appends n equal lengths.
func (m *metaCode) run(length uint8, n int) {
	if length == 0 {
		for ; n >= 11; n -= min(n, 138) {
			m.items = append(m.items, metaItem{18, 7, uint8(min(n, 138) - 11)})
		}
		if n >= 3 {
			m.items = append(m.items, metaItem{17, 3, uint8(n - 3)})
			n = 0
		}
	} else if n > 0 {
		m.items = append(m.items, metaItem{symbol: length})
		for n--; n >= 3; n -= min(n, 6) {
			m.items = append(m.items, metaItem{16, 2, uint8(min(n, 6) - 3)})
		}
	}
	for range n {
		m.items = append(m.items, metaItem{symbol: length})
	}
}

// size returns the length in bits.
func (m *metaCode) size() uint64 {
	n := uint64(14 + 3*m.stored)
	for _, i := range m.items {
		n += uint64(m.lengths[i.symbol] + i.extra)
	}
	return n
}

func (m *metaCode) write(w *bitWriter) {
	w.bits(uint64(m.literals-257), 5)
	w.bits(uint64(m.dists-1), 5)
	w.bits(uint64(m.stored-4), 4)
	for _, s := range metaOrder[:m.stored] {
		w.bits(uint64(m.lengths[s]), 3)
	}
	c := codes(m.lengths)
	for _, i := range m.items {
		w.bits(uint64(c[i.symbol]), uint(m.lengths[i.symbol]))
		w.bits(uint64(i.value), uint(i.extra))
	}
}
