package ui

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Timings measures the wall time of a command's steps.
type Timings struct {
	mu    sync.Mutex
	begin time.Time
	steps []timing
}

// timing is one step; repeated starts add up.
type timing struct {
	step string
	took time.Duration
	open int // number of unfinished Starts
}

// NewTimings starts the clock of the total.
func NewTimings() *Timings { return &Timings{begin: time.Now()} }

// Start opens a step and returns the function that closes it; only its first call counts.
func (t *Timings) Start(step string) (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.steps, func(s timing) bool { return s.step == step })
	if i < 0 {
		i = len(t.steps)
		t.steps = append(t.steps, timing{step: step})
	}
	t.steps[i].open++
	from := time.Now()
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.steps[i].took += time.Since(from)
		t.steps[i].open--
	})
}

// Print writes the table: steps in the order of their first start, then the total since
// [NewTimings]. Steps that overlap can add up to more than the total. A step that never ended,
// after an error, is marked.
func (t *Timings) Print(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := time.Since(t.begin)
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	for _, s := range append(slices.Clone(t.steps), timing{step: "total", took: total}) {
		mark := ""
		if s.open > 0 {
			mark = "  (not finished)"
		}
		percent := 100 * s.took.Seconds() / max(total.Seconds(), 1e-9)
		fmt.Fprintf(table, "%s\t%9.3f s %5.1f %%%s\n", s.step, s.took.Seconds(), percent, mark)
	}
	return table.Flush()
}

// PrintJSON writes the table of [Timings.Print] as lines of JSON.
func (t *Timings) PrintJSON(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range append(slices.Clone(t.steps), timing{step: "total", took: time.Since(t.begin)}) {
		if err := writeJSON(w, timingLine{line{EventsSchema, "timing"}, s.step, s.took.Seconds(), s.open > 0}); err != nil {
			return err
		}
	}
	return nil
}

// timingLine is the JSON form of one row of [Timings].
type timingLine struct {
	line
	Step       string  `json:"step"`
	Seconds    float64 `json:"seconds"`
	Unfinished bool    `json:"unfinished,omitempty"`
}
