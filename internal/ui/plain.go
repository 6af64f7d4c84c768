package ui

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// heartbeat is the longest silence of [plain]: CI systems end jobs that look frozen.
const heartbeat = 10 * time.Second

// plain prints one line per finished item, Info or Warning, and the current progress after a silence of
// [heartbeat].
type plain struct {
	mu     sync.Mutex
	w      io.Writer
	timer  *time.Timer
	last   Event // the newest unfinished progress, or zero
	closed bool
}

// newPlain returns a plain that writes to w until it is closed.
func newPlain(w io.Writer) *plain {
	p := &plain{w: w}
	p.timer = time.AfterFunc(heartbeat, p.beat)
	return p
}

// Event prints e if it deserves a line.
func (p *plain) Event(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Level != Progress:
		p.line(note(e))
	case e.finished():
		if p.last.Step == e.Step && p.last.Item == e.Item {
			p.last = Event{}
		}
		p.line(done(e))
	default:
		p.last = e
	}
}

// close ends the heartbeat. The last line is always complete.
func (p *plain) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.timer.Stop()
}

// line prints s and delays the heartbeat. It ignores errors of stderr.
func (p *plain) line(s string) {
	fmt.Fprintln(p.w, s)
	if !p.closed {
		p.timer.Reset(heartbeat)
	}
}

func (p *plain) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
	case p.last == (Event{}):
		p.line("still working")
	default:
		p.line(p.last.subject() + ": " + share(p.last))
	}
}

// done prints a finished item: "fetch ruby.tcz: 4.1 MB, from the cache".
func done(e Event) string {
	s := e.subject() + ": " + amount(e.Total, e.Unit)
	if e.Text != "" {
		s += ", " + Clean(e.Text)
	}
	return s
}
