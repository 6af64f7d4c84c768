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

// inMemory is the size up to which content is held in memory, rather than in an open file.
const inMemory = 64 << 10

// pieceSize is the unit of authentication: the cost of reading a few bytes.
const pieceSize = 16 << 10

// content is hashed content, in memory or in a file. It implements [io.ReaderAt].
type content struct {
	sha256 string
	size   int64
	text   []byte   // small content
	file   *os.File // other content
	owner  io.Closer
	key    cipher.AEAD
	tags   []byte // authentication codes of the pieces of file
}

// bufferSize is the number of bytes hashed at once: a multiple of pieceSize, and more than inMemory.
const bufferSize = 32 * pieceSize

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// errChanged is returned by reads of a file that changed after it was hashed.
var errChanged = errors.New("it was changed while it was in use")

// hashFile hashes a file, which is closed with the content. also, if not nil, hashes it at the same time.
func hashFile(f *os.File, owner io.Closer, also hash.Hash) (*content, error) {
	c := &content{file: f, owner: owner}
	if err := c.makeKey(); err != nil {
		return nil, err
	}
	sum := sha256.New()
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := f.ReadAt(buf[:], c.size)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return nil, err
		}
		c.add(buf[:n], sum, also)
		if ended {
			break
		}
	}
	c.sha256 = hex.EncodeToString(sum.Sum(nil))
	if c.size <= inMemory {
		c.text = bytes.Clone(buf[:c.size])
	}
	return c, nil
}

// makeKey makes a random key.
func (c *content) makeKey() error {
	secret := make([]byte, 16)
	rand.Read(secret) //nolint:gosec // never fails
	block, err := aes.NewCipher(secret)
	if err == nil {
		c.key, err = cipher.NewGCM(block)
	}
	return err
}

// add hashes the next pieces, in parallel. Only the last one may be shorter.
func (c *content) add(b []byte, sum, also hash.Hash) {
	var others sync.WaitGroup
	if also != nil {
		others.Go(func() { also.Write(b) })
	}
	if c.size+int64(len(b)) > inMemory {
		others.Go(func() { c.authenticate(b) })
	}
	sum.Write(b)
	others.Wait()
	c.size += int64(len(b))
}

// authenticate adds the authentication codes of the next pieces.
func (c *content) authenticate(b []byte) {
	nonce, tag := make([]byte, c.key.NonceSize()), make([]byte, 0, c.key.Overhead()) // Seal would copy all tags to add one
	for at := 0; at < len(b); at += pieceSize {
		piece := b[at:min(at+pieceSize, len(b))]
		setNonce(nonce, c.size+int64(at))
		c.tags = append(c.tags, c.key.Seal(tag, nonce, nil, piece)...)
	}
}

// setNonce makes nonce that of the piece at an offset.
func setNonce(nonce []byte, start int64) {
	binary.BigEndian.PutUint64(nonce[len(nonce)-8:], uint64(start)) //nolint:gosec // not negative
}

// ReadAt implements [io.ReaderAt].
func (c *content) ReadAt(b []byte, off int64) (n int, err error) {
	if c.text != nil {
		return bytes.NewReader(c.text).ReadAt(b, off)
	}
	for n < len(b) && off < c.size {
		m, err := c.readSome(b[n:], off)
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

// readSome reads whole pieces from off on into b, or a part of one if b is shorter.
func (c *content) readSome(b []byte, off int64) (int, error) {
	start := off - off%pieceSize
	if room := min(int64(len(b)), c.size-off); off == start {
		if off+room < c.size {
			room -= room % pieceSize
		}
		if room > 0 {
			return int(room), c.authentic(b[:room], start)
		}
	}
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	piece := buf[:min(pieceSize, c.size-start)]
	if err := c.authentic(piece, start); err != nil {
		return 0, err
	}
	return copy(b, piece[off-start:]), nil
}

// pieces are buffers for partial reads of a piece.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// authentic fills b with the pieces from start on, if they are unchanged since they were hashed.
func (c *content) authentic(b []byte, start int64) error {
	if _, err := c.file.ReadAt(b, start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	nonce := make([]byte, c.key.NonceSize())
	for tag := int64(c.key.Overhead()); len(b) > 0; start += pieceSize {
		at, piece := start/pieceSize*tag, b[:min(pieceSize, len(b))]
		setNonce(nonce, start)
		if _, err := c.key.Open(nil, nonce, c.tags[at:at+tag], piece); err != nil {
			return errChanged
		}
		b = b[len(piece):]
	}
	return nil
}
