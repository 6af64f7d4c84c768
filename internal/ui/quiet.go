package ui

import (
	"fmt"
	"io"
	"sync"
)

// Quiet prints warnings and nothing else.
type Quiet struct {
	mu sync.Mutex
	w  io.Writer
}

var _ Sink = (*Quiet)(nil)

// NewQuiet returns a Quiet that writes to w.
func NewQuiet(w io.Writer) *Quiet { return &Quiet{w: w} }

// Event prints e if it is a warning.
func (q *Quiet) Event(e Event) {
	if e.Level != Warning {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	fmt.Fprintln(q.w, note(e))
}
