package deflate

// pieceItems is the shortest span that may have codes of its own: a head takes about 80 bytes.
const pieceItems = 4096

// split cuts the data where other codes pay: neighbours are joined as long as the two together
// take fewer bits than each by itself.
func (p *parser) split() []span {
	whole := span{p.from, len(p.data)}
	first := newBlock(p.greedy(whole))
	items := p.cheapest(whole, newPrices(&first.counts))
	var pieces []piece
	at := p.from
	for len(items) > 0 {
		n := min(len(items), pieceItems)
		next := newPiece(at, items[:n])
		pieces = append(pieces, next)
		at, items = next.to, items[n:]
	}
	for len(pieces) > 1 && joinBest(&pieces) {
	}
	var out []span
	for _, piece := range pieces {
		out = append(out, piece.span)
	}
	return out
}

// piece is a span under consideration. gain is what joining it with the next one saves, in bits.
type piece struct {
	span
	counts counts
	size   uint64
	gain   int64
	known  bool // gain is
}

func newPiece(at int, items []item) piece {
	b := newBlock(items)
	p := piece{span: span{at, at}, counts: b.counts, size: b.size()}
	for _, i := range items {
		p.to += max(1, int(i.value)*min(1, int(i.dist)))
	}
	return p
}

// join returns two neighbours as one.
func (p *piece) join(next *piece) piece {
	b := block{counts: p.counts}
	b.counts.merge(&next.counts)
	b.counts.literals[endOfBlock]--
	b.code()
	return piece{span: span{p.from, next.to}, counts: b.counts, size: b.size()}
}

// joinBest joins the two neighbours that gain most by it, or reports that none do.
func joinBest(pieces *[]piece) bool {
	ps := *pieces
	at := -1
	for i := range ps[:len(ps)-1] {
		if !ps[i].known {
			both := ps[i].join(&ps[i+1])
			ps[i].gain, ps[i].known = int64(ps[i].size+ps[i+1].size)-int64(both.size), true
		}
		if ps[i].gain >= 0 && (at < 0 || ps[i].gain > ps[at].gain) {
			at = i
		}
	}
	if at < 0 {
		return false
	}
	ps[at] = ps[at].join(&ps[at+1])
	ps = append(ps[:at+1], ps[at+2:]...)
	if at > 0 {
		ps[at-1].known = false
	}
	*pieces = ps
	return true
}
