package mkclient

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listenSyslog makes the socket of a syslogd; whether anybody reads it is up to the test.
func listenSyslog(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "syslog") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, name
}

func TestSyslogFraming(t *testing.T) {
	t.Parallel()
	conn, name := listenSyslog(t)
	log := &Logger{Syslog: true, sys: syslogConn{sockets: []string{name + ".missing", name}}}
	for level, pri := range map[Level]int{Debug: 31, Info: 30, Warn: 28, Error: 27} {
		log.Logf(level, "hello %s", "there")
		buf := make([]byte, 1000)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buf)
		want := fmt.Sprintf(`^<%d>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d mk-client\[%d\]: hello there\n$`, pri, os.Getpid())
		if err != nil || !regexp.MustCompile(want).Match(buf[:n]) {
			t.Errorf("%s: %q, %v; want %s", level, buf[:n], err, want)
		}
	}
}

func TestSyslogReconnects(t *testing.T) {
	t.Parallel()
	conn, name := listenSyslog(t)
	log := &Logger{Syslog: true, sys: syslogConn{sockets: []string{name}}}
	log.Logf(Info, "one")
	conn.Close()
	log.Logf(Info, "lost")
	os.Remove(name)
	again, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	log.Logf(Info, "two")
	buf := make([]byte, 1000)
	again.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := again.Read(buf); err != nil || !strings.HasSuffix(string(buf[:n]), ": two\n") {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// TestStuckSyslogd has a syslogd that accepts lines and never reads them.
func TestStuckSyslogd(t *testing.T) {
	t.Parallel()
	_, name := listenSyslog(t)
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Skew, s.Interval = 0, 50*time.Millisecond })
	log := m.opt.Log
	log.Syslog, log.Min, log.sys.sockets = true, Debug, []string{name}
	for i := range 2000 { // far more than the socket holds
		start := time.Now()
		log.Logf(Info, "line %d", i)
		if d := time.Since(start); d > 2*time.Second {
			t.Fatalf("line %d took %v", i, d)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := m.Run(ctx); err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("the loop ended with %v after %v", err, time.Since(start))
	}
}

// TestStuckConsole has a console that takes nothing, as with flow control, and then goes on.
func TestStuckConsole(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	q := NewQueue(w)
	log := &Logger{W: q}
	start := time.Now()
	for i := range 3 * queueLines {
		log.Logf(Info, "line %d", i)
	}
	q.Flush(50 * time.Millisecond)
	if d := time.Since(start); d > 2*time.Second {
		t.Fatalf("logging took %v", d)
	}
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		got <- string(b)
	}()
	q.Flush(10 * time.Second)
	w.Close()
	text := <-got
	if !strings.Contains(text, "info: line 0\n") || !regexp.MustCompile(`warn: \d+ lines were dropped here`).MatchString(text) {
		t.Errorf("got %d bytes: %.200s", len(text), text)
	}
}
