// Package ui turns what the rooms report into lines, bars or JSON for the person or program
// that waits. It writes to stderr alone: stdout belongs to the command's data.
//
// [New] picks a renderer by name: tty draws one bar, plain prints a line per finished item and
// never stays silent for more than ten seconds, json prints one object per line, quiet prints
// warnings alone. Names that came from upstream go through [Clean] first, so that no mirror can
// move the cursor of a terminal.
//
// Every JSON line is an object with a schema and a type:
//
//	schema  "mkbuild.events/v1"; another version may drop or redefine members, new members and
//	        new types may appear at any time
//	type    "event", "timing" or "error"
//
// An event says how the work goes on. It has these members as well, in this order; members
// without a value are left out:
//
//	level   "progress", "info" or "warning"
//	step    what is being done: "fetch"
//	item    what it is done to: "ruby.tcz"
//	text    a sentence for people; on progress, a remark such as "from the cache"
//	done    how much of the item is done
//	total   how much there is; left out while it is not known
//	unit    what done and total count; left out for bytes
//
// A timing says how long a step took, the last one how long everything did; there are some only
// with --timings:
//
//	step        the step, or "total"
//	seconds     wall time, with a fraction
//	unfinished  true for a step that never ended; else left out
//
// An error is the last line of a command that failed:
//
//	error   what went wrong
//	hint    what to do about it
//	code    the exit status
//
// With --log-format json (see [Lines]) all other lines for people are events as well, of level
// info or warning, with nothing but a text.
//
// Progress of one item appears at most four times a second. An item is finished when done
// equals total; that line is never left out.
//
// Start reading at [Event] and [Sink].
package ui

// Level says how much an event matters.
type Level int

// Levels in rising order.
const (
	Progress Level = iota // a step moved on
	Info                  // worth a line
	Warning               // the image is made, but look at this
)

// MarshalText returns the level's name in JSON lines.
func (l Level) MarshalText() ([]byte, error) {
	return []byte([...]string{"progress", "info", "warning"}[l]), nil
}

// Event is one thing that happened. Rooms send events as values and never print.
type Event struct {
	Level Level  `json:"level"`
	Step  string `json:"step,omitempty"`  // "fetch", "stage", "initrd", "iso"
	Item  string `json:"item,omitempty"`  // what the step works on: "ruby.tcz"
	Text  string `json:"text,omitempty"`  // a sentence, for Info and Warning; a remark, for Progress
	Done  int64  `json:"done,omitempty"`  // bytes or items done so far, for Progress
	Total int64  `json:"total,omitempty"` // 0: not known
	Unit  string `json:"unit,omitempty"`  // what Done and Total count, such as "files"; empty for bytes
}

// finished reports whether e is the last progress event of its item.
func (e Event) finished() bool { return e.Level == Progress && e.Total > 0 && e.Done >= e.Total }

// Sink takes events. Implementations are safe for concurrent use.
type Sink interface{ Event(Event) }

// Discard is a Sink that drops everything: the zero Options of a room.
type Discard struct{}

// Event drops e.
func (Discard) Event(Event) {}
