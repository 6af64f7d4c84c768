package initrd

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"mkbuild/internal/remaster/deflate"
)

// bestBlock is the unit of parallel compression where size counts and time does not. A block needs
// about fifty times its size in memory.
const bestBlock = 256 << 10

// bestWriter writes one gzip member (RFC 1952), compressed as hard as [deflate] does: blocks at a
// time, each with the end of the one before it as its dictionary.
type bestWriter struct {
	w     io.Writer
	ahead chan chan []byte // blocks under way, in order
	done  chan error
	buf   []byte // dictionary and what has come of the next block
	dict  int
	crc   uint32
	size  uint32
	stop  chan struct{}
}

// newBestWriter compresses several blocks at once.
func newBestWriter(w io.Writer, several int) *bestWriter {
	b := &bestWriter{w: w, ahead: make(chan chan []byte, several-1), done: make(chan error, 1), stop: make(chan struct{})}
	go b.collect()
	return b
}

// gzipHead names neither file nor time; 2 stands for the slowest algorithm, 255 for any system.
const gzipHead = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"

// collect writes the blocks in order. After an error it goes on without writing, so that nobody
// waits for ever.
func (b *bestWriter) collect() {
	_, err := io.WriteString(b.w, gzipHead)
	if err != nil {
		close(b.stop)
	}
	for block := range b.ahead {
		packed := <-block
		if err != nil {
			continue
		}
		if _, err = b.w.Write(packed); err != nil {
			close(b.stop)
		}
	}
	b.done <- err
}

// Write implements [io.Writer].
func (b *bestWriter) Write(p []byte) (int, error) {
	n := len(p)
	b.crc = crc32.Update(b.crc, crc32.IEEETable, p)
	b.size += uint32(n)
	for len(p) > 0 {
		room := min(len(p), b.dict+bestBlock-len(b.buf))
		b.buf, p = append(b.buf, p[:room]...), p[room:]
		if len(b.buf) == b.dict+bestBlock {
			b.send(false)
		}
	}
	select {
	case <-b.stop:
		return 0, io.ErrClosedPipe // Close returns the reason
	default:
		return n, nil
	}
}

// send gives a block to a goroutine of its own and keeps its end as the next dictionary.
func (b *bestWriter) send(last bool) {
	data, dict := b.buf, b.dict
	out := make(chan []byte, 1)
	b.ahead <- out
	go func() { out <- deflate.Block(data, dict, last) }()
	tail := data[max(0, len(data)-deflate.WindowSize):]
	b.buf = append(make([]byte, 0, len(tail)+bestBlock), tail...)
	b.dict = len(tail)
}

// Close ends the member and returns the first error of the writer below.
func (b *bestWriter) Close() error {
	b.send(true)
	close(b.ahead)
	if err := <-b.done; err != nil {
		return err
	}
	tail := binary.LittleEndian.AppendUint32(nil, b.crc)
	_, err := b.w.Write(binary.LittleEndian.AppendUint32(tail, b.size))
	return err
}
