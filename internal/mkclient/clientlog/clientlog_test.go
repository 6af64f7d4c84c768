package clientlog

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

// listenSyslog makes the socket of a syslogd; the test decides whether it is read.
func listenSyslog(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	testkit.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// sendAndRead logs a line and reads it back. If a busy machine delays the test beyond the write deadline, it tries
// again: another test covers the deadline.
func sendAndRead(log *Logger, conn net.Conn, level Level, msg string) (string, error) {
	buf := make([]byte, 1000)
	var err error
	for range 5 {
		log.sys.resume = time.Time{}
		log.Logf(level, "%s", msg)
		conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		var n int
		if n, err = conn.Read(buf); err == nil {
			return string(buf[:n]), nil
		}
	}
	return "", err
}

func TestSyslogFramesLinesAndReconnects(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	log := &Logger{Syslog: true, sys: syslogConn{socket: name}}
	log.Logf(Info, "nobody listens yet")
	conn := listenSyslog(t, name)
	for level, pri := range map[Level]int{Debug: 31, Info: 30, Warn: 28, Error: 27} {
		line, err := sendAndRead(log, conn, level, "hello there")
		want := fmt.Sprintf(`^<%d>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d mk-client\[%d\]: hello there\n$`, pri, os.Getpid())
		if err != nil || !regexp.MustCompile(want).MatchString(line) {
			t.Errorf("%s: %q, %v; want %s", level, line, err, want)
		}
	}
	conn.Close()
	log.Logf(Info, "lost")
	os.Remove(name)
	if line, err := sendAndRead(log, listenSyslog(t, name), Info, "two"); err != nil || !strings.HasSuffix(line, ": two\n") {
		t.Errorf("%q, %v", line, err)
	}
}

// TestStuckSyslogd has a syslogd that accepts lines and never reads them.
func TestStuckSyslogd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	listenSyslog(t, name)
	log := &Logger{Syslog: true, Min: Debug, sys: syslogConn{socket: name}}
	for i := range 2000 { // far more than the socket holds
		start := time.Now()
		log.Logf(Info, "line %d", i)
		if d := time.Since(start); d > time.Minute {
			t.Fatalf("line %d took %v", i, d)
		}
	}
}

// TestStuckConsole has a console that accepts nothing for a while, as with flow control.
func TestStuckConsole(t *testing.T) {
	r, w := io.Pipe()
	q := NewQueue(w)
	log := &Logger{W: q}
	start := time.Now()
	for i := range 3 * queueLines {
		log.Logf(Info, "line %d", i)
	}
	q.Flush(50 * time.Millisecond)
	if d := time.Since(start); d > time.Minute {
		t.Fatalf("logging took %v", d)
	}
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		got <- string(b)
	}()
	q.Flush(time.Minute)
	w.Close()
	text := <-got
	if !strings.Contains(text, "info: line 0\n") || !regexp.MustCompile(`warn: \d+ lines were dropped`).MatchString(text) {
		t.Errorf("got %d bytes: %.200s", len(text), text)
	}
}

func TestChangedSaysNewThingsOnly(t *testing.T) {
	var b strings.Builder
	log := &Logger{W: &b, Min: Info}
	for _, msg := range []string{"a", "a", "b", "", "b", "\x1b["} {
		log.Changed("topic", Warn, "%s", msg)
	}
	if got, want := b.String(), "mk-client: warn: a\nmk-client: warn: b\nmk-client: warn: b\nmk-client: warn: ?[\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
