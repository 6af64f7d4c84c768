package ui

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Timings measures how long the steps of a command take, in wall time. A nil *Timings measures
// nothing, so that callers need not ask whether somebody wants to know.
type Timings struct {
	mu    sync.Mutex
	begin time.Time
	steps []timing
}

// timing is one step; a step that is started more than once adds up.
type timing struct {
	step string
	took time.Duration
	open int // how many of its Starts are not done
}

// NewTimings starts the clock of the total.
func NewTimings() *Timings { return &Timings{begin: time.Now()} }

// Start opens a step and returns the function that closes it; only its first call counts.
func (t *Timings) Start(step string) (done func()) {
	if t == nil {
		return func() {}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.index(step)
	t.steps[i].open++
	from := time.Now()
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.steps[i].took += time.Since(from)
		t.steps[i].open--
	})
}

// index returns the row of a step, made on its first start.
func (t *Timings) index(step string) int {
	for i := range t.steps {
		if t.steps[i].step == step {
			return i
		}
	}
	t.steps = append(t.steps, timing{step: step})
	return len(t.steps) - 1
}

// Print writes the table: steps in the order of their first start, then the total since
// [NewTimings]. Steps that overlap can add up to more than the total. A step that never ended,
// after an error, is marked.
func (t *Timings) Print(w io.Writer) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	total := time.Since(t.begin)
	width := len("total")
	for _, s := range t.steps {
		width = max(width, len(s.step))
	}
	for _, s := range t.steps {
		mark := ""
		if s.open > 0 {
			mark = "  (not finished)"
		}
		if err := row(w, width, s.step, s.took, total, mark); err != nil {
			return err
		}
	}
	return row(w, width, "total", total, total, "")
}

func row(w io.Writer, width int, step string, took, total time.Duration, mark string) error {
	percent := 0.0
	if total > 0 {
		percent = 100 * took.Seconds() / total.Seconds()
	}
	_, err := fmt.Fprintf(w, "%-*s %9.3f s %5.1f %%%s\n", width, step, took.Seconds(), percent, mark)
	return err
}

// PrintJSON writes what [Timings.Print] does as lines of JSON.
func (t *Timings) PrintJSON(w io.Writer) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range append(slices.Clone(t.steps), timing{step: "total", took: time.Since(t.begin)}) {
		if err := writeJSON(w, jsonTiming{EventsSchema, "timing", s.step, s.took.Seconds(), s.open > 0}); err != nil {
			return err
		}
	}
	return nil
}

// jsonTiming is one row of [Timings] on the wire.
type jsonTiming struct {
	Schema     string  `json:"schema"`
	Type       string  `json:"type"`
	Step       string  `json:"step"`
	Seconds    float64 `json:"seconds"`
	Unfinished bool    `json:"unfinished,omitempty"`
}
