package razor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	return l
}

// dribble sends start, then single bytes, and returns when the server ends the connection.
func dribble(t *testing.T, address, start string) error {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		return err
	}
	go func() {
		_, err := io.WriteString(c, start)
		for err == nil {
			time.Sleep(20 * time.Millisecond)
			_, err = io.WriteString(c, "1")
		}
	}()
	_, err = io.Copy(io.Discard, c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return err
	}
	return nil // closed or reset
}

// Clients that send their request byte by byte lose the connection, each through its own limit. The server's own
// limits are shortened alike: a missing limit stays missing.
func TestSlowClientsAreCutOff(t *testing.T) {
	const faster = 50
	const checkin = "POST /svc/checkin/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct {
		keep  func(*http.Server)
		start string
	}{
		"header": {func(srv *http.Server) { srv.ReadTimeout = 0 }, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "},
		"body":   {func(srv *http.Server) { srv.ReadHeaderTimeout = 0 }, checkin + "Content-Length: 10000\r\n\r\n"},
		// Others wait for a big check-in: it has its own limit, from its turn on.
		"big body": {func(srv *http.Server) { srv.ReadTimeout, srv.ReadHeaderTimeout = 0, 0 }, checkin + "Content-Length: 200000\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			srv := r.s.httpServer(t.Context(), r.s.Handler(nil))
			srv.ReadHeaderTimeout, srv.ReadTimeout = srv.ReadHeaderTimeout/faster, srv.ReadTimeout/faster
			c.keep(srv)
			l := listen(t)
			go func() { _ = srv.Serve(l) }()
			defer srv.Close()
			if err := dribble(t, l.Addr().String(), c.start); err != nil {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
}

// The log begins with the served content and ends with the reason of the end, one line each.
func TestServeLogsStartAndEnd(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(context.CancelCauseFunc, net.Listener)
		why  string
		fail bool
	}{
		"cancelled":       {func(cancel context.CancelCauseFunc, _ net.Listener) { cancel(errors.New("enough of it")) }, `why="enough of it"`, false},
		"listener failed": {func(_ context.CancelCauseFunc, l net.Listener) { _ = l.Close() }, "use of closed network connection", true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			dir := t.TempDir()
			s, err := New(Options{Config: DefaultConfig(), DataDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
			testkit.Must(t, err)
			defer s.Close()
			l := listen(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			c.stop(cancel, l)
			if err := s.Serve(ctx, l, nil); (err != nil) != c.fail {
				t.Errorf("Serve: %v", err)
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if len(lines) != 2 {
				t.Fatalf("log:\n%s", log.String())
			}
			testkit.Contains(t, lines[0], "msg=serving", fmt.Sprint("address=", l.Addr()), "data="+dir)
			testkit.Contains(t, lines[1], "msg=stopping", c.why)
		})
	}
}
