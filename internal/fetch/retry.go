package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	"mkbuild/internal/store"
)

// lasting reports whether trying again cannot help.
func lasting(err error) bool {
	if st, ok := errors.AsType[*statusError](err); ok {
		switch st.code {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
			http.StatusRequestedRangeNotSatisfiable:
			return false
		}
		return st.code < 500 || st.code == http.StatusNotImplemented
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return true
	}
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrAddress) || errors.Is(err, errRedirect) || errors.Is(err, ErrTooLarge) ||
		isA[*store.WriteError](err) || isA[*tls.CertificateVerificationError](err)
}

// troubled reports whether an error is the host's, rather than one of the file or of ours.
func troubled(err error) bool {
	return !lasting(err) && !errors.Is(err, ErrOffline) && !errors.Is(err, ErrInsecure) && !errors.Is(err, ErrContent) && !isA[*ChecksumError](err)
}

// dialFailed reports whether no connection could be made.
func dialFailed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// weight is how many of [Options.Attempts] a failure uses up. A host that takes a connection
// attempt and never answers, or that stalls, is more likely gone than busy, and each try costs the
// full wait.
func weight(err error) int {
	op, ok := errors.AsType[*net.OpError](err)
	if errors.Is(err, errSilent) || errors.Is(err, errSlow) || ok && op.Op == "dial" && op.Timeout() {
		return 2
	}
	return 1
}

// pause returns how long to wait after the n-th failure (from 1) in a row, and false if the
// server asks for more than o.MaxWait.
func pause(o Options, n int, err error) (time.Duration, bool) {
	if st, ok := errors.AsType[*statusError](err); ok && st.after > 0 {
		return st.after, st.after <= o.MaxWait
	}
	d := o.Backoff
	for i := 1; i < n && d < o.MaxWait; i++ {
		d *= 2
	}
	d = min(d, o.MaxWait)
	return d - rand.N(d/2+1), true //nolint:gosec // jitter, no secret
}

// retryAfter reads the header of RFC 9110 section 10.2.3: seconds, or a date, which is held
// against the server's own Date so that the clock of this machine does not matter.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	until, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(until.Sub(now), 0)
}

// sleep waits, or returns early with the cause of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// cause names the real reason of an error on ctx: net/http reports a bare "context canceled"
// for a watchdog, too.
func cause(ctx context.Context, err error) error {
	if ctx.Err() == nil || isA[*store.WriteError](err) || errors.Is(err, ErrTooLarge) {
		return err
	}
	return context.Cause(ctx)
}

// bound limits the time of everything about one request.
func (o Options) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, o.Total, fmt.Errorf("not complete after %v", o.Total))
}

// rateWindow is the time over which a rate is counted. It is longer than Idle, so that a mirror that
// falls silent after its first bytes is one that is silent.
func (o Options) rateWindow() time.Duration { return o.Idle * 3 / 2 }

// leastStep is what a transfer must bring within a rateWindow.
func (o Options) leastStep() int64 { return int64(o.rateWindow().Seconds() * float64(o.MinRate)) }

// watchdog cancels an attempt if no byte has moved for too long, or too few have.
type watchdog struct {
	o      Options
	cancel context.CancelCauseFunc
	idle   *time.Timer

	mu   sync.Mutex
	rate *time.Timer // runs from the first byte of the body on
	got  int64       // bytes since it was set
}

// watch starts a watchdog. Until a connection is made it waits for that, too.
func (o Options) watch(ctx context.Context) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{o: o, cancel: cancel}
	w.idle = time.AfterFunc(o.Connect+o.Idle, func() { cancel(fmt.Errorf("%w for %v", errSilent, o.Idle)) })
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

// count looks at what came since the last time: a server that sends a byte now and then is never idle,
// and could hold a build for hours.
func (w *watchdog) count() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.got < w.o.leastStep() {
		w.cancel(fmt.Errorf("%w: %d bytes received in %v", errSlow, w.got, w.o.rateWindow()))
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
