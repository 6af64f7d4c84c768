// Package events keeps what a test hears of progress and warnings.
package events

import (
	"fmt"
	"strings"
	"sync"

	"mkbuild/internal/ui"
)

// Recorder is a [ui.Sink] that keeps what it hears.
type Recorder struct {
	mu     sync.Mutex
	events []ui.Event
}

// Event keeps an event.
func (r *Recorder) Event(e ui.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Texts returns what was said at a level, a line for each text: "step item: text".
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
