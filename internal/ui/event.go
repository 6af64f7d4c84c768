// Package ui turns what the rooms report into lines, bars or JSON for the person or program
// that waits. It writes to stderr alone: stdout belongs to the command's data.
package ui

// Level says how much an event matters.
type Level int

// Levels in rising order.
const (
	Progress Level = iota // a step moved on
	Info                  // worth a line
	Warning               // the image is made, but look at this
)

// Event is one thing that happened. Rooms send events as values and never print.
type Event struct {
	Level Level
	Step  string // "fetch", "stage", "initrd", "iso"
	Item  string // what the step works on: "ruby.tcz"
	Text  string // a sentence, for Info and Warning
	Done  int64  // bytes or items done so far, for Progress
	Total int64  // 0: not known
}

// Sink takes events. Implementations are safe for concurrent use.
type Sink interface{ Event(Event) }

// Discard is a Sink that drops everything: the zero Options of a room.
type Discard struct{}

var _ Sink = Discard{}

// Event drops e.
func (Discard) Event(Event) {}
