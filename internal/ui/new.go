package ui

import (
	"fmt"
	"io"
)

// Modes are the values of --progress, for help texts.
const Modes = "auto, plain, json, quiet"

// New returns the renderer of a mode of [Modes] on w, and the function that ends it, which must
// be called before anything else is printed on w. auto means bars if w is a terminal, else plain
// lines.
func New(mode string, w io.Writer, isTTY bool) (Sink, func(), error) {
	switch mode {
	case "auto", "":
		if isTTY {
			t := NewTTY(w)
			return t, t.Close, nil
		}
		fallthrough
	case "plain":
		p := NewPlain(w)
		return p, p.Close, nil
	case "json":
		return NewJSON(w), func() {}, nil
	case "quiet":
		return NewQuiet(w), func() {}, nil
	}
	return nil, nil, fmt.Errorf("progress mode %q: use one of %s", mode, Modes)
}
