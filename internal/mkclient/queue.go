package mkclient

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// queueLines is how many lines wait for a console that does not take any.
const queueLines = 256

// Queue is a writer that never blocks: a console under flow control would stop the client
// otherwise. What does not fit into it is dropped and counted. It is safe for concurrent use.
type Queue struct {
	w       io.Writer
	lines   chan queued
	dropped atomic.Int64
}

// queued is a line, or a mark that is closed when everything before it has been written.
type queued struct {
	line []byte
	mark chan struct{}
}

// NewQueue starts a queue in front of w that lives as long as the process.
func NewQueue(w io.Writer) *Queue {
	q := &Queue{w: w, lines: make(chan queued, queueLines)}
	go q.drain()
	return q
}

// Write implements [io.Writer]; it takes one line and never fails.
func (q *Queue) Write(p []byte) (int, error) {
	select {
	case q.lines <- queued{line: append([]byte(nil), p...)}:
	default:
		q.dropped.Add(1)
	}
	return len(p), nil
}

// Flush waits until what is queued has been written, at most for d.
func (q *Queue) Flush(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	mark := make(chan struct{})
	select {
	case q.lines <- queued{mark: mark}:
	case <-t.C:
		return
	}
	select {
	case <-mark:
	case <-t.C:
	}
}

// drain writes lines in order. A stream that fails has nobody to tell it to.
func (q *Queue) drain() {
	for e := range q.lines {
		if e.mark != nil {
			close(e.mark)
			continue
		}
		_, _ = q.w.Write(e.line)
		if n := q.dropped.Swap(0); n > 0 {
			_, _ = fmt.Fprintf(q.w, "mk-client: warn: %d lines were dropped here: nothing took them\n", n)
		}
	}
}
