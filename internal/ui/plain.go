package ui

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Heartbeat is the longest silence of a [Plain]: CI systems end jobs that look frozen.
const Heartbeat = 10 * time.Second

// Plain prints one line per finished item, Info or Warning, and says what is going on when
// nothing has been printed for [Heartbeat].
type Plain struct {
	mu     sync.Mutex
	w      io.Writer
	timer  *time.Timer
	last   Event // the newest unfinished progress; zero when there is none
	closed bool
}

var _ Sink = (*Plain)(nil)

// NewPlain returns a Plain that writes to w until it is closed.
func NewPlain(w io.Writer) *Plain {
	p := &Plain{w: w}
	p.timer = time.AfterFunc(Heartbeat, p.beat)
	return p
}

// Event prints e if it is worth a line.
func (p *Plain) Event(e Event) {
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

// Close ends the heartbeat. The last line is complete at any time.
func (p *Plain) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.timer.Stop()
}

// line prints s and puts off the heartbeat. An error of stderr has nowhere to go.
func (p *Plain) line(s string) {
	fmt.Fprintln(p.w, s)
	if !p.closed {
		p.timer.Reset(Heartbeat)
	}
}

func (p *Plain) beat() {
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
