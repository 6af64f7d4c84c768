package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Layout of the progress line.
const (
	widestBar  = 20 // characters between the brackets
	leastBar   = 5  // a narrower bar is omitted
	redraw     = 65 * time.Millisecond
	rateAfter  = time.Second // a rate over a shorter time is noise
	noTerminal = 80          // columns of a terminal of unknown width
)

// tty draws one line for the current step, over all its items, and prints Info and Warning lines above it.
type tty struct {
	mu    sync.Mutex
	w     io.Writer
	step  string
	unit  string
	items map[string]Event
	begun time.Time // of the step
	there int64     // finished at once: it came from the cache
	drawn time.Time
	shown int // characters on the line
}

// Event updates the bar or prints a line.
func (t *tty) Event(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Level != Progress {
		t.clear()
		fmt.Fprintln(t.w, note(e))
		return
	}
	if e.Step != t.step || e.Unit != t.unit {
		t.clear()
		t.step, t.unit, t.items, t.begun, t.there = e.Step, e.Unit, map[string]Event{}, time.Now(), 0
	}
	if _, known := t.items[e.Item]; !known && e.finished() {
		t.there += e.Done
	}
	t.items[e.Item] = e
	t.draw()
}

// close removes the bar from the screen.
func (t *tty) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
}

func (t *tty) clear() {
	if t.shown > 0 {
		fmt.Fprintf(t.w, "\r%s\r", strings.Repeat(" ", t.shown))
	}
	t.shown, t.drawn = 0, time.Time{}
}

// draw shows the sum of all items while any item is unfinished.
func (t *tty) draw() {
	now := time.Now()
	line := t.line(columns(t.w)-1, now.Sub(t.begun))
	switch {
	case line == "":
		t.clear()
		return
	case now.Sub(t.drawn) < redraw:
		return
	}
	n := utf8.RuneCountInString(line)
	fmt.Fprintf(t.w, "\r%s%s", line, strings.Repeat(" ", max(t.shown-n, 0)))
	t.shown, t.drawn = n, now
}

// line returns the sum of the items, in at most so many columns: "fetch 7 of 12: |████ | 3.2 MB of 8.1 MB, 1.1
// MB/s". A narrow terminal loses the bar first, then the rate, then the end of the name. The line is empty if
// nothing is in progress.
func (t *tty) line(width int, since time.Duration) string {
	var done, total int64
	open, name := 0, ""
	for _, e := range t.items {
		done += e.Done
		total += max(e.Total, e.Done)
		if !e.finished() {
			open, name = open+1, e.Item
		}
	}
	if open == 0 {
		return ""
	}
	label := Clean(t.step)
	if len(t.items) > 1 {
		label = fmt.Sprintf("%s %d of %d:", label, len(t.items)-open, len(t.items))
	} else if name != "" {
		label += " " + Clean(name)
	}
	numbers := amount(done, t.unit) + " of " + amount(total, t.unit)
	rate := ""
	if t.unit == "" && since >= rateAfter && done > t.there {
		rate = fmt.Sprintf(", %s/s", amount(int64(float64(done-t.there)/since.Seconds()), ""))
	}
	size := utf8.RuneCountInString
	if size(label)+1+size(numbers)+size(rate) > width {
		rate = ""
	}
	if room := width - size(numbers) - size(rate) - 1; size(label) > room {
		label = string([]rune(label)[:max(room-1, 0)]) + "…"
	}
	bar := ""
	if room := min(width-size(label)-size(numbers)-size(rate)-4, widestBar); room >= leastBar && total > 0 {
		full := int(int64(room) * done / total)
		bar = "|" + strings.Repeat("█", full) + strings.Repeat(" ", room-full) + "| "
	}
	line := label + " " + bar + numbers + rate
	if r := []rune(line); len(r) > width {
		line = string(r[:max(width, 0)])
	}
	return line
}

// columns returns the width of terminal w, or a common width.
func columns(w io.Writer) int {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return noTerminal
}
