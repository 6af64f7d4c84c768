package ui

import (
	"bytes"
	"io"
)

// WantsColor reports whether text for the user may be coloured: on a terminal that is not dumb, never with NO_COLOR
// (https://no-color.org), and without a terminal if CLICOLOR_FORCE requests it (https://bixense.com/clicolors).
func WantsColor(getenv func(string) string, terminal bool) bool {
	switch {
	case getenv("NO_COLOR") != "":
		return false
	case getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0":
		return true
	}
	return terminal && getenv("TERM") != "dumb"
}

// Color is a writer that colours the first words of mkbuild's own lines and passes the rest unchanged. It checks
// only the start of a Write and of each line in it, so that a bar can be drawn through it.
type Color struct{ w io.Writer }

// NewColor returns a Color that writes to w.
func NewColor(w io.Writer) *Color { return &Color{w} }

// Fd returns the descriptor of the terminal behind it, for its width; without a terminal it is invalid.
func (c *Color) Fd() uintptr {
	if f, ok := c.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// Write colours p.
func (c *Color) Write(p []byte) (int, error) {
	var out []byte
	for _, line := range bytes.SplitAfter(p, []byte("\n")) {
		out = append(out, paint(line)...)
	}
	if _, err := c.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// paint colours "mkbuild: error:" and the like at the start of a line.
func paint(line []byte) []byte {
	for _, s := range []struct{ word, sgr string }{
		{"mkbuild: error:", "\x1b[1;31m"}, {"mkbuild: warning:", "\x1b[33m"}, {"mkbuild: hint:", "\x1b[36m"},
	} {
		if rest, ok := bytes.CutPrefix(line, []byte(s.word)); ok {
			return append([]byte(s.sgr+s.word+"\x1b[0m"), rest...)
		}
	}
	return line
}
