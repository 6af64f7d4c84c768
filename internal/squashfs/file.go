package squashfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
)

const (
	// rawDataBlock in a stored length marks an uncompressed block.
	rawDataBlock = 1 << 24
	storedMask   = rawDataBlock - 1
)

// OpenFile returns the content of a regular file from [FS.Walk]. The reader streams: it holds one block at a time.
// It also implements [io.WriterTo].
func (f *FS) OpenFile(in *Inode) (io.ReadCloser, error) {
	if !in.IsRegular() {
		return nil, fmt.Errorf("open inode %d: not a regular file", in.Number)
	}
	full := uint64(f.BlockSize)
	blocks := uint64(in.Size) / full
	if in.data.fragment == noFragment && uint64(in.Size)%full != 0 {
		blocks++
	}
	sizes, err := f.image.resume(in.data.sizes)
	if err != nil {
		return nil, fmt.Errorf("open inode %d: %w", in.Number, err)
	}
	return &file{
		fs:       f,
		left:     uint64(in.Size),
		blocks:   blocks,
		sizes:    sizes,
		pos:      in.data.start,
		fragment: in.data.fragment,
		tailAt:   in.data.offset,
	}, nil
}

// file is the content of one regular file, read sequentially.
type file struct {
	fs     *FS
	left   uint64 // bytes of the file that are not yet loaded
	blocks uint64 // data blocks that are not yet loaded
	sizes  cursor // over the stored lengths of those blocks
	pos    uint64 // offset of the next block in the image

	fragment uint32
	tailAt   uint32

	loaded []byte  // decoded and not yet returned
	buf    *[]byte // buffer of loaded, unless it is a shared fragment
	err    error   // result of every further read
}

var _ io.WriterTo = (*file)(nil)

// Read implements [io.Reader].
func (r *file) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.loaded)
	r.loaded = r.loaded[n:]
	return n, nil
}

// WriteTo implements [io.WriterTo] with whole blocks and no extra copy.
func (r *file) WriteTo(w io.Writer) (int64, error) {
	var done int64
	for {
		if err := r.fill(); err == io.EOF { //nolint:errorlint // fill returns it bare
			return done, nil
		} else if err != nil {
			return done, err
		}
		n, err := w.Write(r.loaded)
		done += int64(n)
		r.loaded = r.loaded[n:]
		if err != nil {
			return done, err
		}
	}
}

// Close returns the reader's buffer. It never fails and can be called twice.
func (r *file) Close() error {
	r.finish(fs.ErrClosed)
	return nil
}

// finish ends the reader with err and returns its buffer.
func (r *file) finish(err error) {
	r.loaded, r.err = nil, err
	if r.buf != nil {
		r.fs.bufs.Put(r.buf)
		r.buf = nil
	}
}

// fill loads data if there is none, or returns the reason why it cannot.
func (r *file) fill() error {
	if len(r.loaded) > 0 {
		return nil
	}
	if r.err != nil {
		return r.err
	}
	err := io.EOF
	switch {
	case r.blocks > 0:
		err = r.loadBlock()
	case r.left > 0:
		err = r.loadTail()
	}
	if err != nil {
		r.finish(err)
	}
	return err
}

// loadBlock decodes the next data block, whose length must match the file's size.
func (r *file) loadBlock() error {
	b, err := r.sizes.take(4)
	if err != nil {
		return err
	}
	if r.buf == nil {
		r.buf = r.fs.buffer()
	}
	want := min(r.left, uint64(r.fs.BlockSize))
	dst := (*r.buf)[:want]
	word := binary.LittleEndian.Uint32(b)
	if word == 0 { // a sparse block
		clear(dst)
	} else if n, err := r.fs.readBlock(dst, r.pos, word); err != nil {
		return err
	} else if n != len(dst) {
		return corrupt("block at %d has %d bytes, not %d", r.pos, n, want)
	}
	r.pos += uint64(word & storedMask)
	r.left -= want
	r.blocks--
	r.loaded = dst
	return nil
}

// loadTail copies the end of the file from its fragment.
func (r *file) loadTail() error {
	if r.fragment == noFragment {
		return corrupt("file ends %d bytes early", r.left)
	}
	b, err := r.fs.readFragment(r.fragment)
	if err != nil {
		return err
	}
	from, to := uint64(r.tailAt), uint64(r.tailAt)+r.left
	if to > uint64(len(b)) {
		return corrupt("tail at %d to %d of a fragment of %d bytes", from, to, len(b))
	}
	r.loaded, r.left = b[from:to], 0
	return nil
}

// readBlock decodes the data block at off with the stored length word into dst and returns its length. A block
// longer than len(dst) is an error.
func (f *FS) readBlock(dst []byte, off uint64, word uint32) (int, error) {
	size := int(word & storedMask)
	if size > f.BlockSize || word&^(rawDataBlock|storedMask) != 0 {
		return 0, corrupt("block at %d with stored length %#x", off, word)
	}
	if word&rawDataBlock != 0 {
		if size > len(dst) {
			return 0, corrupt("block at %d has %d bytes, not %d", off, size, len(dst))
		}
		return size, f.image.readAt(dst[:size], off)
	}
	buf := f.buffer()
	defer f.bufs.Put(buf)
	src := (*buf)[:size]
	if err := f.image.readAt(src, off); err != nil {
		return 0, err
	}
	n, err := decompress(f.image.codec, dst, src)
	if err != nil {
		return 0, corrupt("block at %d: %v", off, err)
	}
	return n, nil
}

// readFragment returns the decoded fragment number i, which several files share. Callers must not change it.
func (f *FS) readFragment(i uint32) ([]byte, error) {
	if b, ok := f.frags.get(i); ok {
		return b, nil
	}
	if i >= f.super.fragments || f.super.fragTable == noTable {
		return nil, corrupt("fragment %d of %d", i, f.super.fragments)
	}
	e, err := f.image.lookup(f.super.fragTable, i, 16)
	if err != nil {
		return nil, fmt.Errorf("read fragment table: %w", err)
	}
	b := make([]byte, f.BlockSize)
	n, err := f.readBlock(b, binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint32(e[8:]))
	if err != nil {
		return nil, fmt.Errorf("read fragment %d: %w", i, err)
	}
	f.frags.put(i, b[:n:n])
	return b[:n:n], nil
}
