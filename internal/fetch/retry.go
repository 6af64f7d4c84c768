package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxTransfers bounds the attempts on one address even when each of them moves forward.
const maxTransfers = 100

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
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrAddress) || errors.Is(err, errRedirect) ||
		isA[*SizeError](err) || isA[*CacheError](err) || isA[*tls.CertificateVerificationError](err)
}

// weight is how many of [Options.Attempts] a failure uses up. A host that takes a connection
// attempt and never answers, or that stalls, is more likely gone than busy, and each try costs the
// full wait.
func weight(err error) int {
	if isA[*StallError](err) {
		return 2
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && op.Timeout() {
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
