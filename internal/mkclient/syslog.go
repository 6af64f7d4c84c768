package mkclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const (
	syslogDeadline = time.Second      // longest wait for a syslogd that does not read
	syslogRest     = 10 * time.Second // silence towards it after that, so that it slows nothing down
	syslogFacility = 3 << 3           // LOG_DAEMON
)

// syslogSockets are the places where a local syslogd listens, as in log/syslog.
func syslogSockets() []string { return []string{"/dev/log", "/var/run/syslog", "/var/run/log"} }

// syslogConn sends lines to the local syslogd. Unlike log/syslog it gives up on one that does
// not read: a datagram socket blocks its writers then. Lines that find nobody are dropped.
type syslogConn struct {
	sockets []string // nil: the usual ones
	conn    net.Conn
	resume  time.Time // no attempt before
}

// send writes one line, over a new connection when the old one is broken: syslogd may start
// after the client, and start again.
func (s *syslogConn) send(level Level, msg string) {
	if time.Now().Before(s.resume) {
		return
	}
	for fresh := false; !fresh; {
		if s.conn == nil {
			if fresh = true; !s.dial() {
				return
			}
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

func (s *syslogConn) dial() bool {
	sockets := s.sockets
	if sockets == nil {
		sockets = syslogSockets()
	}
	d := net.Dialer{Timeout: syslogDeadline}
	for _, network := range []string{"unixgram", "unix"} {
		for _, name := range sockets {
			conn, err := d.DialContext(context.Background(), network, name)
			if err == nil {
				s.conn = conn
				return true
			}
		}
	}
	return false
}

// put frames a line as RFC 3164 has it between programs of one machine: without a host name.
func (s *syslogConn) put(level Level, msg string) error {
	severity := [...]int{Debug: 7, Info: 6, Warn: 4, Error: 3}[level]
	if err := s.conn.SetWriteDeadline(time.Now().Add(syslogDeadline)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.conn, "<%d>%s %s[%d]: %s\n",
		syslogFacility|severity, time.Now().Format(time.Stamp), "mk-client", os.Getpid(), msg)
	return err
}
