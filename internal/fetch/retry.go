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
	"os"
	"strconv"
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
	return isAny(err, ErrNotFound, ErrAddress, ErrTooLarge, errRedirect, store.ErrWrite) || isA[*tls.CertificateVerificationError](err)
}

// troubled reports whether an error is the host's, rather than one of the file or of ours.
func troubled(err error) bool {
	return !lasting(err) && !isAny(err, ErrOffline, ErrInsecure, ErrContent) && !isA[*ChecksumError](err)
}

// weight is the number of [Options.Attempts] that a failure uses up. A host that does not answer, or that stalls,
// is more likely gone than busy, and each try costs the full wait.
func weight(err error) int {
	if isAny(err, errSilent, errSlow) || dialFailed(err) && os.IsTimeout(err) {
		return 2
	}
	return 1
}

// dialFailed reports whether no connection could be made.
func dialFailed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// pause returns how long to wait after the n-th failure (from 1) in a row, and false if the
// server asks for more than o.MaxWait.
func pause(o Options, n int, err error) (time.Duration, bool) {
	if st, ok := errors.AsType[*statusError](err); ok && st.after > 0 {
		return st.after, st.after <= o.MaxWait
	}
	d := min(o.Backoff<<min(n-1, 10), o.MaxWait)
	return d - rand.N(d/2+1), true //nolint:gosec // jitter, no secret
}

// retryAfter reads the header of RFC 9110 section 10.2.3: seconds, or a date, which is compared with the server's
// own Date, not with this machine's clock.
func retryAfter(h http.Header) time.Duration {
	if s, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	until, err := http.ParseTime(h.Get("Retry-After"))
	now, derr := http.ParseTime(h.Get("Date"))
	if err != nil || derr != nil {
		return 0
	}
	return max(until.Sub(now), 0)
}

// watchdog is a body that ends the attempt if it stalls or is too slow.
type watchdog struct {
	io.Reader
	o      Options
	cancel context.CancelCauseFunc
	idle   *time.Timer
	since  time.Time // when the rate was last checked
	got    int64     // bytes since then
}

// watch starts a watchdog. Until a connection is made it waits for that, too.
func (o Options) watch(ctx context.Context) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{o: o, cancel: cancel}
	w.idle = time.AfterFunc(o.Connect+o.Idle, func() { cancel(fmt.Errorf("%w for %v", errSilent, o.Idle)) })
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { w.idle.Reset(o.Idle) }}
	return httptrace.WithClientTrace(ctx, trace), w
}

func (w *watchdog) stop() {
	w.idle.Stop()
	w.cancel(nil)
}

// Read resets the watchdog. It also checks the rate: a server that sends a byte now and then is never idle, and
// could hold a build for hours.
func (w *watchdog) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if n == 0 {
		return n, err
	}
	now := time.Now()
	w.idle.Reset(w.o.Idle)
	w.got += int64(n)
	switch {
	case w.since.IsZero():
		w.since = now
	case now.Sub(w.since) < w.o.rateWindow():
	case w.got < w.o.leastStep():
		return n, fmt.Errorf("%w: %d bytes received in %v", errSlow, w.got, w.o.rateWindow())
	default:
		w.since, w.got = now, 0
	}
	return n, err
}

// rateWindow is the time over which a rate is measured. It is longer than Idle, so that a mirror that stalls
// after its first bytes counts as silent.
func (o Options) rateWindow() time.Duration { return o.Idle * 3 / 2 }

// leastStep is the minimum number of bytes in a rateWindow.
func (o Options) leastStep() int64 { return int64(o.rateWindow().Seconds() * float64(o.MinRate)) }

// cause names the real reason of an error on ctx: net/http reports a bare "context canceled"
// for a watchdog, too.
func cause(ctx context.Context, err error) error {
	if ctx.Err() == nil || isAny(err, ErrTooLarge, store.ErrWrite) {
		return err
	}
	return context.Cause(ctx)
}
