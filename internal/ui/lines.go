package ui

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
)

// Lines is a writer that turns every line of text for the user into a JSON event, for --log-format json. JSON lines
// with a schema of mkbuild pass unchanged.
type Lines struct {
	mu   sync.Mutex
	w    io.Writer
	rest []byte // an unfinished line
}

// maxLine bounds the buffered part of an unfinished line.
const maxLine = 64 << 10

// NewLines returns a Lines that writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w} }

// Write accepts text and writes each finished line at once.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		line := l.rest
		if i >= 0 {
			line = l.rest[:i]
		}
		if err := l.line(line); err != nil {
			return 0, err
		}
		l.rest = append([]byte(nil), l.rest[min(len(line)+1, len(l.rest)):]...)
	}
}

// Close writes the text after the last line end.
func (l *Lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.rest
	l.rest = nil
	if len(rest) == 0 {
		return nil
	}
	return l.line(rest)
}

func (l *Lines) line(b []byte) error {
	var known struct {
		Schema string `json:"schema"`
	}
	if json.Unmarshal(b, &known) == nil && strings.HasPrefix(known.Schema, "mkbuild.") {
		_, err := l.w.Write(append(b[:len(b):len(b)], '\n'))
		return err
	}
	e := Event{Level: Info, Text: strings.ToValidUTF8(string(b), "�")}
	if text, ok := strings.CutPrefix(e.Text, "mkbuild: warning: "); ok {
		e.Level, e.Text = Warning, text
	}
	e.Text = strings.TrimPrefix(e.Text, "mkbuild: ")
	return writeJSON(l.w, newEventLine(e))
}
