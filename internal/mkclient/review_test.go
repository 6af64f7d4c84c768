package mkclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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
	name := filepath.Join(t.TempDir(), "log")
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
		line, err := sendAndRead(log, conn, level, "hello there")
		want := fmt.Sprintf(`^<%d>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d mk-client\[%d\]: hello there\n$`, pri, os.Getpid())
		if err != nil || !regexp.MustCompile(want).MatchString(line) {
			t.Errorf("%s: %q, %v; want %s", level, line, err, want)
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
	if line, err := sendAndRead(log, again, Info, "two"); err != nil || !strings.HasSuffix(line, ": two\n") {
		t.Errorf("%q, %v", line, err)
	}
}

// sendAndRead logs a line and reads it back. A test that was held up for longer than the write
// deadline on a busy machine tries again: what the deadline does has a test of its own.
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

// TestDeletedNodeIsFoundAgain boots as iPXE does, with the node's id on the command line.
func TestDeletedNodeIsFoundAgain(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	m.cycle(srv)
	for _, step := range []struct{ deleted, want string }{{"7", "41"}, {"", "41"}, {"41", "42"}} {
		srv.mu.Lock()
		delete(srv.nodes, step.deleted)
		srv.mu.Unlock()
		if err := m.Cycle(t.Context()); err != nil {
			t.Fatalf("after %s was deleted: %v", step.deleted, err)
		}
		if p := srv.last().Path; p != "/svc/checkin/"+step.want {
			t.Errorf("after %s was deleted: %s", step.deleted, p)
		}
	}
	if srv.nodeids != 2 {
		t.Errorf("asked for an id %d times", srv.nodeids)
	}
}

// TestForeignRegisterURLIsLeftAlone has a check-in URL that is none of a Razor server.
func TestForeignRegisterURLIsLeftAlone(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Register = srv.URL + "/inventory/x" })
	var status *StatusError
	if err := m.Cycle(t.Context()); !errors.As(err, &status) || status.Status != 404 || srv.nodeids != 0 {
		t.Errorf("%v, asked for an id %d times", err, srv.nodeids)
	}
}

func TestServerOfRegister(t *testing.T) {
	t.Parallel()
	tests := []struct{ register, server, next string }{
		{"http://h:8150/svc/checkin/7", "http://h:8150", "http://h:8150/svc/checkin/9"},
		{"https://u:p@h/razor/svc/checkin/7?a=b", "https://u:p@h/razor", "https://u:p@h/razor/svc/checkin/9?a=b"},
		{"http://h/svc/checkin/", "", ""}, {"http://h/svc/checkin/x", "", ""}, {"http://h/svc/checkin/7/x", "", ""},
	}
	for _, tt := range tests {
		c := &Client{set: Settings{Register: tt.register}}
		if got := c.server(); got != tt.server {
			t.Errorf("%s: server %q, want %q", tt.register, got, tt.server)
		}
		if tt.server == "" {
			continue
		}
		c.node = "9"
		if got, err := c.checkinURL(t.Context(), nil, nil); got != tt.next || err != nil {
			t.Errorf("%s: %q, %v", tt.register, got, err)
		}
	}
}

// TestPasswordsStayOut logs everything about URLs with a password, whatever goes wrong.
func TestPasswordsStayOut(t *testing.T) {
	t.Parallel()
	const secret = "geheim"
	srv := newRazor(t, razorKind)
	base := strings.Replace(srv.URL, "//", "//user:"+secret+"@", 1)
	answers := map[string]http.HandlerFunc{
		"404": respond(404, nil, ""), "500": respond(500, nil, ""), "empty": respond(200, nil, ""), "cut": hijack(""),
		"html":     respond(200, map[string]string{"Content-Type": "text/html"}, "x"),
		"location": respond(302, map[string]string{"Location": "http://u:" + secret + "@h/%zz"}, ""),
		"loop":     respond(302, map[string]string{"Location": base + "/svc/mk/extension.zip"}, ""),
	}
	for name, h := range answers {
		other := httptest.NewServer(h)
		t.Cleanup(other.Close)
		u := strings.Replace(other.URL, "//", "//user:"+secret+"@", 1)
		m := newMachine(t, srv, shFacter, func(o *Options, s *Settings) {
			o.Log.Min, s.Register, s.Extend = Debug, u+"/svc/checkin/7", u+"/x.zip"
		})
		err := m.Cycle(t.Context())
		if text := fmt.Sprint(err, m.log, m.ref.state.Error); err == nil || strings.Contains(text, secret) {
			t.Errorf("%s: %s", name, text)
		}
	}
	for _, v := range []string{"ftp://u:geheim@h/", "http://u:geheim@h:x/", "http://u:geh/geheim@%zz"} {
		_, warnings := Load(Inputs{CommandLine: "razor.register=" + v})
		if text := fmt.Sprint(warnings); len(warnings) != 1 || strings.Contains(text, secret) {
			t.Errorf("%s: %s", v, text)
		}
	}
}

// chunked answers with b and no length.
func chunked(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", t0.Format(http.TimeFormat))
		w.(http.Flusher).Flush()
		w.Write(b)
	}
}

// TestRefusedChunkedArchiveIsNotFetchedAgain has a server that says no length.
func TestRefusedChunkedArchiveIsNotFetchedAgain(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.setFault(chunked(pack(t, member{"../x", "x", 0o644})))
	m.cycle(srv)
	left := m.ref.state.Refused
	if left == nil || left.Left != refusedLooks {
		t.Fatalf("not refused: %+v", left)
	}
	m.cycle(srv)
	if got := m.ref.state.Refused.Left; got != refusedLooks-1 {
		t.Errorf("looked at it again: %d cycles left", got)
	}
}

// TestNotAZipIsNotFetchedInEveryCycle has somebody publish the ISO for the extension.
func TestNotAZipIsNotFetchedInEveryCycle(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	iso := bytes.Repeat([]byte("CD001"), 1000)
	srv.publish(iso, t0)
	for i := range notZipLooks + 2 {
		if f := m.cycle(srv); f["mk_extension_error"] != "not a zip archive" || f["mk_extension_status"] != "failed" {
			t.Errorf("%v: %v", f["mk_extension_status"], f["mk_extension_error"])
		}
		if want := notZipLooks - i%(notZipLooks+1); m.ref.state.Refused.Left != want {
			t.Errorf("cycle %d: %d cycles left, want %d", i, m.ref.state.Refused.Left, want)
		}
	}
	srv.publish(fact(t, "ext_x", "1"), t0) // another length: looked at although there are cycles left
	if got := m.cycle(srv)["ext_x"]; got != "1" {
		t.Errorf("ext_x = %v\n%s", got, m.log)
	}
}

// TestDamageIsTriedAgainInTheNextCycle has a CRC that is wrong once, with the same header.
func TestDamageIsTriedAgainInTheNextCycle(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	good := pack(t, member{"facts.d/a.txt", "ext_x=1\n", 0o644}, member{"facts.d/b.txt", "b=2\n", 0o644})
	bad := bytes.Clone(good)
	bad[bytes.LastIndex(bad, []byte("PK\x01\x02"))+16] ^= 0xff
	srv.publish(bad, t0)
	m.cycle(srv)
	srv.publish(good, t0)
	if got := m.cycle(srv)["ext_x"]; got != "1" {
		t.Errorf("ext_x = %v\n%s", got, m.log)
	}
}

func TestUselessArchiveIsReported(t *testing.T) {
	t.Parallel()
	const note = "nothing in it is used: no bin, lib or facts.d"
	tests := []struct {
		name, want string
		members    []member
	}{
		{"other names", note, []member{{"README", "x", 0o644}, {"scripts/x", "x", 0o755}}},
		{"empty", "", nil},
		{"lib", "", []member{{"README", "x", 0o644}, {"lib/x", "x", 0o644}}},
	}
	for _, tt := range tests {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, shFacter)
		srv.publish(pack(t, tt.members...), t0)
		for range 2 {
			if f := m.cycle(srv); f["mk_extension_status"] != "active" || f["mk_extension_error"] != "" {
				t.Errorf("%s: %v: %v", tt.name, f["mk_extension_status"], f["mk_extension_error"])
			}
		}
		if got := strings.Count(m.log.String(), note); got != len(tt.want)/len(note) {
			t.Errorf("%s: %d warnings", tt.name, got)
		}
		if got := strings.Count(fmt.Sprint(srv.logs), note); got != len(tt.want)/len(note) {
			t.Errorf("%s: the server's log says %q", tt.name, srv.logs)
		}
	}
}

// TestFailingActionIsNoFailedCheckin counts cycles: with the back-off there would be a few.
func TestFailingActionIsNoFailedCheckin(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Skew, s.Interval = 0, 100*time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	posts := 0
	srv.answer = func(post) string {
		if posts++; posts == remindAfter+2 {
			cancel()
		}
		return "nonsense"
	}
	m.opt.Random = func() float64 { // asked for skew, and then for back-off only
		if posts > 0 {
			t.Error("a failing action makes the client back off")
		}
		return 0
	}
	if err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	text := m.log.String()
	if n := strings.Count(text, `refused action "nonsense"`); n != 2 || !strings.Contains(text, "(20 cycles in a row have failed)") {
		t.Errorf("%d lines in %d cycles:\n%s", n, posts, text)
	}
}
