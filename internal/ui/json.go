package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
)

// EventsSchema names the format of JSON lines; the package documentation describes it.
const EventsSchema = "mkbuild.events/v1"

// jsonPause is the shortest time between two progress lines of one item.
const jsonPause = 250 * time.Millisecond

// JSON prints one object per event and line.
type JSON struct {
	mu    sync.Mutex
	w     io.Writer
	shown map[[2]string]time.Time // when an unfinished item was last printed
}

var _ Sink = (*JSON)(nil)

// NewJSON returns a JSON that writes to w.
func NewJSON(w io.Writer) *JSON { return &JSON{w: w, shown: map[[2]string]time.Time{}} }

// jsonEvent is an [Event] on the wire.
type jsonEvent struct {
	Schema string `json:"schema"`
	Type   string `json:"type"`
	Level  string `json:"level"`
	Step   string `json:"step,omitempty"`
	Item   string `json:"item,omitempty"`
	Text   string `json:"text,omitempty"`
	Done   int64  `json:"done,omitempty"`
	Total  int64  `json:"total,omitempty"`
	Unit   string `json:"unit,omitempty"`
}

// Event prints e, unless it is progress that follows too soon.
func (j *JSON) Event(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Level == Progress && !j.due(e) {
		return
	}
	//nolint:errcheck,gosec // an error of stderr has nowhere to go
	writeJSON(j.w, jsonEvent{
		Schema: EventsSchema, Type: "event", Level: levelName(e.Level), Step: e.Step, Item: e.Item,
		Text: e.Text, Done: e.Done, Total: e.Total, Unit: e.Unit,
	})
}

// Failure is the end of a command that did not work.
type Failure struct {
	Error string // what went wrong
	Hint  string // what to do about it
	Code  int    // the exit status
}

// PrintJSON writes f as one line of JSON.
func (f Failure) PrintJSON(w io.Writer) error {
	return writeJSON(w, struct {
		Schema string `json:"schema"`
		Type   string `json:"type"`
		Error  string `json:"error"`
		Hint   string `json:"hint"`
		Code   int    `json:"code"`
	}{EventsSchema, "error", f.Error, f.Hint, f.Code})
}

// writeJSON writes one line.
func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(escapeJSON(b), '\n'))
	return err
}

// due reports whether it is time for another line about the item of e.
func (j *JSON) due(e Event) bool {
	key, now := [2]string{e.Step, e.Item}, time.Now()
	if e.finished() {
		delete(j.shown, key)
		return true
	}
	if last, ok := j.shown[key]; ok && now.Sub(last) < jsonPause {
		return false
	}
	j.shown[key] = now
	return true
}

func levelName(l Level) string {
	switch l {
	case Warning:
		return "warning"
	case Info:
		return "info"
	default:
		return "progress"
	}
}

// escapeJSON writes what a terminal could obey as \u escapes. encoding/json does that for the
// first 32 characters, but not for DEL, C1 controls and marks that reorder text. Outside of
// strings JSON has none of these, so the value stays the same.
func escapeJSON(b []byte) []byte {
	out := make([]byte, 0, len(b)+1)
	for _, r := range string(b) {
		switch {
		case r < unicode.MaxASCII || unicode.IsPrint(r):
			out = append(out, string(r)...)
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
