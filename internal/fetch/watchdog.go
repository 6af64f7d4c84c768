package fetch

import (
	"context"
	"io"
	"net/http/httptrace"
	"sync"
	"time"
)

// watchdog cancels an attempt that no byte has moved for too long, or too few have.
type watchdog struct {
	o      Options
	cancel context.CancelCauseFunc
	idle   *time.Timer

	mu   sync.Mutex
	rate *time.Timer // runs from the first byte of the body on
	got  int64       // bytes since it was set
}

// watch starts a watchdog. Until a connection is made it waits for that, too.
func watch(ctx context.Context, o Options) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{o: o, cancel: cancel}
	w.idle = time.AfterFunc(o.Connect+o.Idle, func() { cancel(&StallError{After: o.Idle}) })
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { w.idle.Reset(o.Idle) }}
	return httptrace.WithClientTrace(ctx, trace), w
}

// stop ends the watch.
func (w *watchdog) stop() {
	w.idle.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rate != nil {
		w.rate.Stop()
	}
	w.cancel(nil)
}

// fed puts off the watchdog.
func (w *watchdog) fed(n int) {
	if n == 0 {
		return
	}
	w.idle.Reset(w.o.Idle)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got += int64(n)
	if w.rate == nil {
		w.rate = time.AfterFunc(w.o.rateWindow(), w.count)
	}
}

// count looks at what came since the last time: whoever sends a byte now and then is never idle, and
// could hold a build for hours.
func (w *watchdog) count() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.got < w.o.leastStep() {
		w.cancel(&StallError{After: w.o.rateWindow(), Got: w.got})
		return
	}
	w.got = 0
	w.rate.Reset(w.o.rateWindow())
}

// fedReader feeds a watchdog while it is read.
type fedReader struct {
	io.Reader
	dog *watchdog
}

func (r fedReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.dog.fed(n)
	return n, err
}
