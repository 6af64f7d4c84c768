package ui

import (
	"fmt"
	"io"
	"sync"

	"mkbuild/internal/fail"
)

// Modes are the values of --progress, for help texts.
const Modes = "auto, plain, json, quiet"

// New returns the renderer of a mode of [Modes] on w, and the function that ends it. Call that function before
// printing anything else on w. auto means bars if w is a terminal, otherwise plain lines.
func New(mode string, w io.Writer, isTTY bool) (Sink, func(), error) {
	switch mode {
	case "auto", "":
		if isTTY {
			t := &tty{w: w}
			return t, t.close, nil
		}
		fallthrough
	case "plain":
		p := newPlain(w)
		return p, p.close, nil
	case "json":
		return newJSON(w), func() {}, nil
	case "quiet":
		return &quiet{w: w}, func() {}, nil
	}
	return nil, nil, fail.New(fail.Usage, fmt.Sprintf("--progress: unknown mode %q", mode), "choose one of "+Modes)
}

// quiet prints only warnings.
type quiet struct {
	mu sync.Mutex
	w  io.Writer
}

// Event prints e if it is a warning.
func (q *quiet) Event(e Event) {
	if e.Level != Warning {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	fmt.Fprintln(q.w, note(e))
}
