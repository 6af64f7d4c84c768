package ui

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Shape of the bar: it fits into 80 columns with its numbers.
const (
	barWidth    = 20
	labelWidth  = 30
	barThrottle = 65 * time.Millisecond
)

// tty draws one bar for the step that is under way, over all of its items, and prints Info and
// Warning lines above it.
type tty struct {
	mu    sync.Mutex
	w     io.Writer
	bar   *progressbar.ProgressBar
	step  string
	unit  string
	label string // what the bar shows now
	items map[string]Event
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
		t.bar, t.step, t.unit, t.items = nil, e.Step, e.Unit, map[string]Event{}
	}
	t.items[e.Item] = e
	t.draw(e)
}

// close takes the bar off the screen.
func (t *tty) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	t.bar = nil
}

func (t *tty) clear() {
	if t.bar != nil && !t.bar.IsFinished() {
		t.bar.Clear() //nolint:errcheck,gosec // see Event
	}
}

// draw shows the sum of all items. A finished bar stays finished, so the next item starts a new one.
func (t *tty) draw(e Event) {
	done, total := t.sum()
	if total == 0 {
		return
	}
	if t.bar == nil || t.bar.IsFinished() {
		if done == total {
			return // nothing more to wait for
		}
		t.bar, t.label = t.newBar(total, label(e.subject())), label(e.subject())
	}
	if t.bar.GetMax64() != total {
		t.bar.ChangeMax64(total)
	}
	t.bar.Set64(done) //nolint:errcheck,gosec // see Event
	if l := label(e.subject()); l != t.label {
		t.label = l
		t.bar.Describe(l)
	}
}

// sum adds up the items. While one of unknown length is under way the bar must not end.
func (t *tty) sum() (done, total int64) {
	for _, e := range t.items {
		done += e.Done
		total += max(e.Total, e.Done)
		if !e.finished() && e.Total <= e.Done {
			total++
		}
	}
	return done, total
}

func (t *tty) newBar(total int64, label string) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(t.w),
		progressbar.OptionSetDescription(label),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionThrottle(barThrottle),
		progressbar.OptionShowBytes(t.unit == ""),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionClearOnFinish(),
	)
}

// label cuts or pads the text before the bar, so that the bar stays in its place.
func label(s string) string {
	r := []rune(s)
	if len(r) > labelWidth {
		r = append(r[:labelWidth-1], '…')
	}
	return fmt.Sprintf("%-*s", labelWidth, string(r))
}
