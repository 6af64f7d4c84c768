// Package ui turns the events of the packages into lines, bars or JSON for a person or program. It writes only to
// stderr: stdout is for the command's data.
//
// [New] selects a renderer by name: tty draws one bar, plain prints a line per finished item and is never silent
// for more than ten seconds, json prints one object per line, quiet prints only warnings. Upstream names go through
// [Clean] first, so that no mirror can move the cursor of a terminal.
//
// Every JSON line is an object with a schema and a type:
//
//	schema  "mkbuild.events/v1"; another version may drop or redefine members, new members and
//	        new types may appear at any time
//	type    "event", "timing" or "error"
//
// An event reports progress. It also has these members, in this order; members without a value are omitted:
//
//	level   "progress", "info" or "warning"
//	step    the action: "fetch"
//	item    its object: "ruby.tcz"
//	text    a sentence for the user; on progress, a remark such as "from the cache"
//	done    the finished part of the item
//	total   the size of the item; omitted if unknown
//	unit    the unit of done and total; omitted for bytes
//
// A timing is the duration of a step; the last one is the whole duration. Timings need --timings:
//
//	step        the step, or "total"
//	seconds     wall time, with a fraction
//	unfinished  true for a step that never ended; otherwise omitted
//
// An error is the last line of a failed command:
//
//	error   the error
//	hint    the remedy
//	code    the exit status
//
// With --log-format json (see [Lines]) all other lines for the user are also events, of level info or warning, with
// only a text.
//
// Progress of one item appears at most four times a second. An item is finished when done equals total; that line
// is never omitted.
//
// Start reading at [Event] and [Sink].
package ui

// Level is the importance of an event.
type Level int

// Levels in ascending order.
const (
	Progress Level = iota // progress of a step
	Info                  // worth a line
	Warning               // the image is made, but needs a check
)

// MarshalText returns the level's name for JSON lines.
func (l Level) MarshalText() ([]byte, error) {
	return []byte([...]string{"progress", "info", "warning"}[l]), nil
}

// Event is one event. Packages send events as values and never print.
type Event struct {
	Level Level  `json:"level"`
	Step  string `json:"step,omitempty"`  // "fetch", "stage", "initrd", "iso"
	Item  string `json:"item,omitempty"`  // the object of the step: "ruby.tcz"
	Text  string `json:"text,omitempty"`  // a sentence, for Info and Warning; a remark, for Progress
	Done  int64  `json:"done,omitempty"`  // bytes or items done so far, for Progress
	Total int64  `json:"total,omitempty"` // 0: unknown
	Unit  string `json:"unit,omitempty"`  // unit of Done and Total, such as "files"; empty for bytes
}

// finished reports whether e is the last progress event of its item.
func (e Event) finished() bool { return e.Level == Progress && e.Total > 0 && e.Done >= e.Total }

// Sink receives events. Implementations are safe for concurrent use.
type Sink interface{ Event(Event) }

// Discard is a Sink that drops everything: the default in the Options of a package.
type Discard struct{}

// Event drops e.
func (Discard) Event(Event) {}
