// Package events records progress and warnings in a test.
package events

import (
	"fmt"
	"strings"
	"sync"

	"mkbuild/internal/ui"
)

// Recorder is a [ui.Sink] that records all events.
type Recorder struct {
	mu     sync.Mutex
	events []ui.Event
}

// Event records an event.
func (r *Recorder) Event(e ui.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Texts returns the texts of a level, one a line: "step item: text".
func (r *Recorder) Texts(l ui.Level) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.events {
		if e.Level == l && e.Text != "" {
			fmt.Fprintf(&b, "%s %s: %s\n", e.Step, e.Item, e.Text)
		}
	}
	return b.String()
}
