package mkclient

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// Level orders log lines.
type Level int

// The levels; they are those that /svc/log knows, and debug.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// String is the level's name in log lines and in /svc/log.
func (l Level) String() string { return [...]string{"debug", "info", "warn", "error"}[l] }

// Logger writes lines to a stream, which under init is the console, and to syslog when there
// is one. It is safe for concurrent use. The zero value drops everything.
type Logger struct {
	W      io.Writer // nil: no stream; a [Queue] where it may block
	Syslog bool      // also to /dev/log, as far as somebody listens there
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

// Changed writes a line only when it differs from the last one given for the same topic: for
// conditions that are met in every cycle.
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

// write sends one line everywhere. Control characters are made visible: parts of a line come
// from servers and archives.
func (l *Logger) write(level Level, msg string) {
	msg = printable(msg)
	if l.W != nil {
		fmt.Fprintf(l.W, "mk-client: %s: %s\n", level, msg)
	}
	if l.Syslog {
		l.sys.send(level, msg)
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}
