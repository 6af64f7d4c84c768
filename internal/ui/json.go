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

// jsonLines prints one object per event and line.
type jsonLines struct {
	mu    sync.Mutex
	w     io.Writer
	shown map[[2]string]time.Time // last output of an unfinished item
}

func newJSON(w io.Writer) *jsonLines { return &jsonLines{w: w, shown: map[[2]string]time.Time{}} }

// line is the start of every JSON line.
type line struct {
	Schema string `json:"schema"`
	Type   string `json:"type"`
}

// eventLine is the JSON form of an [Event].
type eventLine struct {
	line
	Event
}

func newEventLine(e Event) eventLine { return eventLine{line{EventsSchema, "event"}, e} }

// Event prints e, unless it is progress too soon after the last.
func (j *jsonLines) Event(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Level == Progress && !j.due(e) {
		return
	}
	writeJSON(j.w, newEventLine(e)) //nolint:errcheck,gosec // an error of stderr has nowhere to go
}

// Failure is the last line of a failed command.
type Failure struct {
	Error string `json:"error"` // the error
	Hint  string `json:"hint"`  // the remedy
	Code  int    `json:"code"`  // the exit status
}

// PrintJSON writes f as one line of JSON.
func (f Failure) PrintJSON(w io.Writer) error {
	return writeJSON(w, struct {
		line
		Failure
	}{line{EventsSchema, "error"}, f})
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(escapeJSON(b), '\n'))
	return err
}

// due reports whether another line about the item of e may be printed.
func (j *jsonLines) due(e Event) bool {
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

// escapeJSON writes characters that control a terminal as \u escapes. encoding/json escapes the first 32
// characters, but not DEL, C1 controls and marks that reorder text. JSON has none of these outside strings, so the
// value stays the same.
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
