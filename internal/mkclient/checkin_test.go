package mkclient

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheckinRequest(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, flavours(t)[3].script, func(_ *Options, s *Settings) { s.Facts["site"] = "ams1" })
	m.cycle(srv)
	p := srv.last()
	if p.Path != "/svc/checkin/7" || p.ContentType != "application/json" || p.HWID != "525400000001" || p.Agent != "mk-client/9.9" {
		t.Errorf("got %+v", p)
	}
	if p.Facts["serialnumber"] != "1234" || p.Facts["macaddress"] != "52:54:00:00:00:01" || p.Facts["site"] != "ams1" {
		t.Errorf("serialnumber %#v, macaddress %v, site %v", p.Facts["serialnumber"], p.Facts["macaddress"], p.Facts["site"])
	}
	if v, ok := p.Facts["macaddress_dummy0"]; ok {
		t.Errorf("macaddress_dummy0 = %v was sent", v)
	}
}

func TestVirtualInterfacesAreNoIdentity(t *testing.T) {
	t.Parallel()
	nics := []nic{
		{Name: "bond0", MAC: "52:54:00:00:00:01", Ethernet: true},
		{Name: "br-lan", MAC: "0a:00:00:00:00:05", Ethernet: true},
		{Name: "eth0", MAC: "52:54:00:00:00:01", Physical: true, Ethernet: true},
		{Name: "eth1", MAC: "52:54:00:00:00:02", Physical: true, Ethernet: true},
		{Name: "ib0", MAC: "80:00:02:08:fe:80", Physical: true},
	}
	if got := hardwareID(nics); got != "525400000001_525400000002" {
		t.Errorf("hw_id = %q", got)
	}
	tests := []struct{ mac, want any }{
		{"0a:00:00:00:00:05", "52:54:00:00:00:01"}, {"52:54:00:00:00:01", "52:54:00:00:00:01"},
		{"52:54:00:00:00:02", "52:54:00:00:00:02"}, {nil, "52:54:00:00:00:01"}, {"99:00:00:00:00:00", "99:00:00:00:00:00"},
	}
	for _, tt := range tests {
		facts := Facts{"macaddress": tt.mac, "macaddress_br_lan": "x", "macaddress_bond0": "y", "macaddress_eth1": "z",
			"uuid": nil, "serialnumber": []any{"a"}, "macaddress_mgmt": 5}
		cleanIdentity(facts, nics)
		if facts["macaddress"] != tt.want || facts["macaddress_eth1"] != "z" || facts["macaddress_mgmt"] != "5" || len(facts) != 3 {
			t.Errorf("%v became %v", tt.mac, facts)
		}
	}
}

func TestNodeIDFromServer(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Register, s.Server = "", srv.URL })
	m.cycle(srv)
	m.cycle(srv)
	if p := srv.last().Path; p != "/svc/checkin/41" || srv.nodeids != 1 {
		t.Errorf("%s after %d questions", p, srv.nodeids)
	}
	srv.mu.Lock()
	delete(srv.nodes, "41") // an operator deletes the node
	srv.mu.Unlock()
	if err := m.Cycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := srv.last().Path; p != "/svc/checkin/42" {
		t.Errorf("after the node was deleted: %s", p)
	}
}

func TestNodeQueryLeavesPlaceholdersOut(t *testing.T) {
	t.Parallel()
	nics := []nic{{Name: "eth0", MAC: "52:54:00:00:00:01", Physical: true, Ethernet: true}}
	for serial, want := range map[string]string{
		"To be filled by O.E.M.": "", "0000000": "", "Not Specified": "", "": "", "CZ123": "CZ123",
	} {
		q := nodeQuery(Facts{"serialnumber": serial, "uuid": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}, nics)
		if q.Get("serial") != want || q.Has("uuid") || q.Get("net0") != "52-54-00-00-00-01" {
			t.Errorf("%q: %v", serial, q)
		}
	}
}

func TestCheckinFollowsRedirectsAsPost(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 307, 308} {
		srv := newRazor(t, razorKind)
		front := httptest.NewServer(http.RedirectHandler(srv.URL+"/svc/checkin/7", status))
		t.Cleanup(front.Close)
		m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Register = front.URL + "/x" })
		m.cycle(srv)
	}
}

func TestCheckinRefusesUnusableAnswers(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		"500":         respond(500, nil, "{}"),
		"404":         respond(404, nil, "{}"),
		"html":        respond(200, map[string]string{"Content-Type": "text/html"}, `{"action":"none"}`),
		"no type":     respond(200, map[string]string{"Content-Type": ""}, `{"action":"none"}`),
		"no action":   respond(200, map[string]string{"Content-Type": "application/json"}, `{}`),
		"no JSON":     respond(200, map[string]string{"Content-Type": "application/json"}, `none`),
		"number":      respond(200, map[string]string{"Content-Type": "application/json"}, `{"action":1}`),
		"303":         respond(303, map[string]string{"Location": "/"}, ""),
		"huge answer": respond(200, map[string]string{"Content-Type": "application/json"}, `{"x":"`+strings.Repeat("x", maxAnswer)+`","action":"none"}`),
	}
	srv := newRazor(t, razorKind)
	for name, h := range answers {
		other := httptest.NewServer(h)
		t.Cleanup(other.Close)
		m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Register = other.URL + "/svc/checkin/7"; s.ExtendOff = true })
		if err := m.Cycle(t.Context()); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestCheckinAcceptsCharset(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	other := httptest.NewServer(respond(200, map[string]string{"Content-Type": "application/json;charset=utf-8"}, `{"action":"none"}`))
	t.Cleanup(other.Close)
	m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Register = other.URL + "/svc/checkin/7" })
	if err := m.Cycle(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain := newRazor(t, razorKind)
	srv := httptest.NewUnstartedServer(plain.Config.Handler)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what the test is about
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o644)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	os.WriteFile(empty, []byte("no certificate"), 0o644)
	tests := []struct {
		name, ca string
		clock    time.Time
		ok       bool
	}{
		{"baked CA", ca, time.Now(), true},
		{"baked CA, dead clock", ca, time.Unix(60, 0), true},
		{"expired", ca, srv.Certificate().NotAfter.Add(time.Hour), false},
		{"system's certificates", "", time.Now(), false},
		{"CA without certificates", empty, time.Now(), false},
		{"CA that is missing", "/nonexistent", time.Now(), false},
	}
	for _, tt := range tests {
		m := newMachine(t, plain, shFacter, func(o *Options, s *Settings) {
			s.Register, s.CA = srv.URL+"/svc/checkin/7", tt.ca
			o.Now = func() time.Time { return tt.clock }
		})
		if err := m.Cycle(t.Context()); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestRedirectNeverLeavesTLS(t *testing.T) {
	t.Parallel()
	plain := newRazor(t, razorKind)
	srv := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/svc/checkin/7", http.StatusTemporaryRedirect))
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o644)
	m := newMachine(t, plain, shFacter, func(_ *Options, s *Settings) { s.Register, s.CA = srv.URL+"/x", ca })
	if err := m.Cycle(t.Context()); err == nil || plain.count("POST") != 0 {
		t.Errorf("facts went out in the clear: %v", err)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	marker := m.base + "/ran"
	script := "#!/bin/sh\n: > " + marker + "\n"
	for _, name := range []string{"root/usr/lib/razor/hello", "root/usr/lib/other", "root/usr/lib/razor/sub/x", "bin/reboot"} {
		os.Chmod(m.write(name, script), 0o755)
	}
	m.write("root/usr/lib/razor/data", script)
	os.Chmod(m.write("root/usr/lib/razor/fails", "#!/bin/sh\nexit 3\n"), 0o755)
	os.Chmod(m.write("root/usr/lib/razor/hangs", "#!/bin/sh\nsleep 60\n"), 0o755)
	tests := []struct {
		action  string
		ok, ran bool
	}{
		{"none", true, false}, {"hello", true, true}, {"reboot", true, true}, {"fails", false, false}, {"hangs", false, false},
		{"data", false, false}, {"missing", false, false}, {"sub", false, false}, {"", false, false},
		{"../other", false, false}, {"sub/x", false, false}, {m.base + "/bin/reboot", false, false}, {"..", false, false},
		{".", false, false}, {"hello;x", false, false}, {"hello\n", false, false}, {"-x", false, false},
	}
	for _, tt := range tests {
		os.Remove(marker)
		err := m.Execute(t.Context(), tt.action)
		_, stat := os.Stat(marker)
		if (err == nil) != tt.ok || (stat == nil) != tt.ran {
			t.Errorf("%q: %v, ran: %v", tt.action, err, stat == nil)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter, func(_ *Options, s *Settings) { s.Interval, s.Skew = time.Millisecond, time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	srv.status = 503 // errors end nothing
	posts := 0
	srv.answer = func(post) string {
		if posts++; posts == 3 {
			cancel()
		}
		return "nonsense"
	}
	time.AfterFunc(300*time.Millisecond, func() {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		srv.status = 0
	})
	// Retry-After of 3 s would make the test long: the pause is cut by its own test below.
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	select {
	case err := <-done:
		if err != nil || posts < 3 {
			t.Errorf("ended with %v after %d check-ins", err, posts)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("does not end; log:\n%s", m.log)
	}
}

func TestRunKillsFactsOnTermination(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\nsleep 60 & wait", func(_ *Options, s *Settings) { s.Skew = 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := m.Run(ctx); err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestOnlyOneRuns(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	unlock := m.onlyInstance(t.Context())
	second := New(m.opt, m.set)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	second.Run(ctx)
	if len(srv.posts) != 0 {
		t.Error("a second client checked in beside the first")
	}
	unlock()
	second.onlyInstance(t.Context())()
}

func TestWait(t *testing.T) {
	t.Parallel()
	m := &Client{set: Settings{Interval: 15 * time.Second}, opt: Options{Random: func() float64 { return 0.5 }}}
	tests := []struct {
		failures int
		err      error
		want     time.Duration
	}{
		{0, nil, 15 * time.Second},
		{1, io.EOF, 15 * time.Second}, {2, io.EOF, 30 * time.Second}, {4, io.EOF, 120 * time.Second}, {500, io.EOF, 120 * time.Second},
		{1, fmt.Errorf("check in: %w", &StatusError{Status: 503, After: time.Minute}), 67500 * time.Millisecond},
	}
	for _, tt := range tests {
		if got := m.wait(tt.failures, tt.err); got != tt.want {
			t.Errorf("after %d failures: %v, want %v", tt.failures, got, tt.want)
		}
	}
	m.opt.Random = func() float64 { return 0 }
	low := m.wait(3, io.EOF)
	m.opt.Random = func() float64 { return 0.999 }
	if high := m.wait(3, io.EOF); high < 2*low {
		t.Errorf("jitter from %v to %v spreads nobody", low, high)
	}
}
