// Package clientlog writes mk-client's log lines to the console, which may block for hours under init, and to
// syslog, which may be stuck. It never blocks the client for long. Start reading at [Logger]; a [Queue] is
// between it and the console.
package clientlog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Level orders log lines.
type Level int

// The levels of /svc/log, and debug.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// String is the level's name in log lines and in /svc/log.
func (l Level) String() string { return [...]string{"debug", "info", "warn", "error"}[l] }

// Logger writes lines to a stream, and to syslog if there is one. It is safe for concurrent use. The
// zero value and nil drop everything.
type Logger struct {
	W      io.Writer // nil: no stream; a [Queue] if it may block
	Syslog bool      // also to /dev/log, if a syslogd listens there
	Min    Level

	mu   sync.Mutex
	sys  syslogConn
	last map[string]string
}

// Logf writes one line.
func (l *Logger) Logf(level Level, format string, args ...any) {
	if l == nil || level < l.Min {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(level, fmt.Sprintf(format, args...))
}

// Changed writes a line only if it differs from the last one of the same topic, for conditions that every cycle
// meets. An empty line ends the condition.
func (l *Logger) Changed(topic string, level Level, format string, args ...any) {
	if l == nil {
		return
	}
	msg := fmt.Sprintf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[string]string{}
	}
	if l.last[topic] == msg {
		return
	}
	l.last[topic] = msg
	if level >= l.Min && msg != "" {
		l.write(level, msg)
	}
}

// write sends one line to all logs. Parts of a line come from servers and archives.
func (l *Logger) write(level Level, msg string) {
	msg = Printable(msg)
	if l.W != nil {
		fmt.Fprintf(l.W, "mk-client: %s: %s\n", level, msg)
	}
	if l.Syslog {
		l.sys.send(level, msg)
	}
}

// Printable makes control characters visible.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}

// queueLines is the number of lines that wait for a blocked console.
const queueLines = 256

// Queue is a writer that never blocks: otherwise a console under flow control would stop the client. It drops and
// counts lines that do not fit. It is safe for concurrent use.
type Queue struct {
	w       io.Writer
	lines   chan []byte
	waiting atomic.Int64 // unwritten lines
	dropped atomic.Int64
}

// NewQueue starts a queue in front of w that lives as long as the process.
func NewQueue(w io.Writer) *Queue {
	q := &Queue{w: w, lines: make(chan []byte, queueLines)}
	go q.drain()
	return q
}

// Write implements [io.Writer]; it accepts one line and never fails.
func (q *Queue) Write(p []byte) (int, error) {
	q.waiting.Add(1)
	select {
	case q.lines <- bytes.Clone(p):
	default:
		q.waiting.Add(-1)
		q.dropped.Add(1)
	}
	return len(p), nil
}

// Flush waits until the queued lines are written, for at most d.
func (q *Queue) Flush(d time.Duration) {
	const step = time.Millisecond
	for ; d > 0 && q.waiting.Load() > 0; d -= step {
		time.Sleep(step)
	}
}

// drain writes lines in order. It ignores a failing stream.
func (q *Queue) drain() {
	for line := range q.lines {
		_, _ = q.w.Write(line)
		if n := q.dropped.Swap(0); n > 0 {
			_, _ = fmt.Fprintf(q.w, "mk-client: warn: %d lines were dropped: the console was blocked\n", n)
		}
		q.waiting.Add(-1)
	}
}

const (
	syslogSocket   = "/dev/log"
	syslogDeadline = time.Second      // longest wait for a syslogd that does not read
	syslogRest     = 10 * time.Second // pause before the next attempt, so that it slows nothing down
	syslogFacility = 3 << 3           // LOG_DAEMON
)

// syslogConn sends lines to the local syslogd. Unlike log/syslog it gives up on a syslogd that does not read,
// which would block a datagram socket's writers. It drops lines without a syslogd.
type syslogConn struct {
	socket string // "" is /dev/log
	conn   net.Conn
	resume time.Time // no attempt before
}

// send writes one line, over a new connection if the old one is broken: syslogd may start
// after the client, and start again.
func (s *syslogConn) send(level Level, msg string) {
	if time.Now().Before(s.resume) {
		return
	}
	for fresh := false; !fresh; {
		if fresh = s.conn == nil; fresh {
			d := net.Dialer{Timeout: syslogDeadline}
			conn, err := d.DialContext(context.Background(), "unixgram", cmp.Or(s.socket, syslogSocket))
			if err != nil {
				return
			}
			s.conn = conn
		}
		err := s.put(level, msg)
		if err == nil {
			return
		}
		_ = s.conn.Close()
		s.conn = nil
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.resume = time.Now().Add(syslogRest)
			return
		}
	}
}

// put frames a line as RFC 3164 has it between programs of one machine: without a host name.
func (s *syslogConn) put(level Level, msg string) error {
	severity := [...]int{Debug: 7, Info: 6, Warn: 4, Error: 3}[level]
	if err := s.conn.SetWriteDeadline(time.Now().Add(syslogDeadline)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.conn, "<%d>%s mk-client[%d]: %s\n", syslogFacility|severity, time.Now().Format(time.Stamp), os.Getpid(), msg)
	return err
}
