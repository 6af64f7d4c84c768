package deflate

// bitWriter packs bits into bytes, the first bit lowest.
type bitWriter struct {
	out  []byte
	acc  uint64
	held uint
}

func (w *bitWriter) bits(value uint64, n uint) {
	w.acc |= value << w.held
	w.held += n
	for w.held >= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
		w.held -= 8
	}
}

// align fills the last byte up with zeros.
func (w *bitWriter) align() {
	if w.held > 0 {
		w.bits(0, 8-w.held)
	}
}

// maxStored is the longest stored block.
const maxStored = 1<<16 - 1

// stored writes data as it is.
func (w *bitWriter) stored(data []byte) {
	for {
		n := min(len(data), maxStored)
		w.bits(0, 3)
		w.align()
		w.out = append(w.out, byte(n), byte(n>>8), byte(^n), byte(^n>>8))
		w.out = append(w.out, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

// storedBits is the most that stored takes.
func storedBits(n int) uint64 {
	return uint64(n)*8 + uint64(n/maxStored+1)*(3+7+32)
}

// finish ends at a byte boundary: with an empty stored block, or with an empty block of the fixed
// code that is the stream's last.
func (w *bitWriter) finish(last bool) {
	if last {
		w.bits(1|1<<1, 3)
		w.bits(0, 7) // the end of a block
		w.align()
		return
	}
	w.stored(nil)
}
