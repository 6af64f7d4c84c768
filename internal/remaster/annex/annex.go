// Package annex stores a content together with what was learnt about it: the content's bytes, a
// JSON text behind them, and the length of that text in the last eight bytes. So both come and go
// together in a store that knows files alone, and the content is readable in place.
package annex

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrFormat says that a file does not end in an annex.
var ErrFormat = errors.New("no annex at the end")

// maxText bounds the JSON text: that of an image with 500,000 files is about 100 MB.
const maxText = 256 << 20

const tail = 8

// Write writes what fill writes, and behind it what fill returns.
func Write(w io.Writer, fill func(io.Writer) (any, error)) error {
	about, err := fill(w)
	if err != nil {
		return err
	}
	text, err := json.Marshal(about)
	if err != nil {
		return err
	}
	_, err = w.Write(binary.BigEndian.AppendUint64(text, uint64(len(text))))
	return err
}

// Read decodes the text behind a content in a file of size bytes, and returns the content's length.
func Read(r io.ReaderAt, size int64, about any) (content int64, err error) {
	var end [tail]byte
	if size < tail {
		return 0, fmt.Errorf("%w: %d bytes", ErrFormat, size)
	}
	if n, err := r.ReadAt(end[:], size-tail); n < tail {
		return 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	n := binary.BigEndian.Uint64(end[:])
	if n > maxText || int64(n) > size-tail {
		return 0, fmt.Errorf("%w: a text of %d bytes in a file of %d", ErrFormat, n, size)
	}
	content = size - tail - int64(n)
	text := make([]byte, n)
	if got, err := r.ReadAt(text, content); got < len(text) {
		return 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := json.Unmarshal(text, about); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return content, nil
}
