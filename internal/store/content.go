package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

// Blob is verified content. Its bytes never change.
type Blob struct {
	// SHA256 is the hex digest by which the store has it.
	SHA256 string
	// Size is the length in bytes.
	Size int64
	// Cached is true for content that was there before it was asked for.
	Cached bool

	store   *Store
	content *content
}

func (s *Store) blob(sha256 string, c *content, cached bool) *Blob {
	return &Blob{SHA256: sha256, Size: c.size, Cached: cached, store: s, content: c}
}

// Reader reads the content from its beginning. It may be used until the store is closed.
func (b *Blob) Reader() *io.SectionReader { return io.NewSectionReader(b.content, 0, b.Size) }

// Discard removes the content from the store. It is for content that no digest vouched for and that
// turned out to be unusable. What cannot be removed stays, and is refused again.
func (b *Blob) Discard() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	delete(b.store.known, b.SHA256)
	os.Remove(b.store.path(b.SHA256)) //nolint:errcheck,gosec // see above
}

// inMemory is the size up to which content is held in memory, rather than in an open file.
const inMemory = 64 << 10

// content is what was hashed, wherever it lies.
type content struct {
	size int64
	text []byte   // small content
	file *os.File // other content
	key  cipher.AEAD
	tags []byte // authentication codes of the pieces of file
}

// pieceSize is the unit of authentication: what a read of a few bytes costs.
const pieceSize = 16 << 10

// errChanged is returned by reads of a file that is no longer what was hashed.
var errChanged = errors.New("it was changed while it was in use")

// ReadAt implements [io.ReaderAt].
func (c *content) ReadAt(b []byte, off int64) (n int, err error) {
	if c.file == nil {
		return bytes.NewReader(c.text).ReadAt(b, off)
	}
	if off < 0 {
		return 0, fmt.Errorf("read cached content at %d", off)
	}
	for n < len(b) && off < c.size {
		m, err := c.readPiece(b[n:], off)
		if err != nil {
			return n, fmt.Errorf("read %s: %w", c.file.Name(), err)
		}
		n, off = n+m, off+int64(m)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// pieces are buffers for pieces of which only a part is wanted.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// readPiece reads from off to the end of its piece, or until b is full.
func (c *content) readPiece(b []byte, off int64) (int, error) {
	start := off - off%pieceSize
	size := min(pieceSize, c.size-start)
	if off == start && int64(len(b)) >= size { // no copy
		return int(size), c.authentic(b[:size], start)
	}
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	if err := c.authentic(buf[:size], start); err != nil {
		return 0, err
	}
	return copy(b, buf[off-start:size]), nil
}

// authentic fills b with the piece at start, if it still is what was hashed.
func (c *content) authentic(b []byte, start int64) error {
	if _, err := c.file.ReadAt(b, start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	n := start / pieceSize
	size := int64(c.key.Overhead())
	if _, err := c.key.Open(nil, nonce(n), c.tags[n*size:(n+1)*size], b); err != nil {
		return errChanged
	}
	return nil
}

func nonce(piece int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), uint64(piece))
} //nolint:gosec // not negative

func (c *content) close() {
	if c.file != nil {
		c.file.Close() //nolint:errcheck,gosec // only read
	}
}

// hasher hashes bytes that pass, and makes the authentication code of each piece.
type hasher struct {
	sha   hash.Hash
	key   cipher.AEAD
	tags  []byte
	part  []byte // the piece that is not full yet
	count int64
}

func newHasher() *hasher {
	var secret [16]byte
	rand.Read(secret[:]) // never fails
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	key, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	return &hasher{sha: sha256.New(), key: key}
}

// Write never fails.
func (h *hasher) Write(b []byte) (int, error) {
	all := len(b)
	h.sha.Write(b)
	h.count += int64(all)
	if len(h.part) > 0 {
		n := min(len(b), pieceSize-len(h.part))
		h.part, b = append(h.part, b[:n]...), b[n:]
		if len(h.part) < pieceSize {
			return all, nil
		}
		h.seal(h.part)
		h.part = h.part[:0]
	}
	for ; len(b) >= pieceSize; b = b[pieceSize:] {
		h.seal(b[:pieceSize])
	}
	h.part = append(h.part, b...)
	return all, nil
}

// readFrom hashes all of r, with also at the same time.
func (h *hasher) readFrom(r io.Reader, also hash.Hash) error {
	buf := make([]byte, 16*pieceSize)
	for {
		n, err := r.Read(buf)
		var other sync.WaitGroup
		if also != nil {
			other.Go(func() { also.Write(buf[:n]) })
		}
		h.Write(buf[:n]) //nolint:errcheck // never fails
		other.Wait()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (h *hasher) seal(piece []byte) {
	n := len(h.tags) / h.key.Overhead()
	h.tags = h.key.Seal(h.tags, nonce(int64(n)), nil, piece)
}

func (h *hasher) digest() string { return hex.EncodeToString(h.sha.Sum(nil)) }

// content describes the file whose bytes have passed, and takes charge of it.
func (h *hasher) content(f *os.File) (*content, error) {
	if len(h.part) > 0 {
		h.seal(h.part)
	}
	c := &content{size: h.count, file: f, key: h.key, tags: h.tags}
	if c.size > inMemory {
		return c, nil
	}
	defer f.Close() //nolint:errcheck // only read
	text := make([]byte, c.size)
	if _, err := c.ReadAt(text, 0); err != nil {
		return nil, err
	}
	return &content{size: c.size, text: text}, nil
}
