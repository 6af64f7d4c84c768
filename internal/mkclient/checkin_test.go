package mkclient

import (
	"encoding/pem"
	"errors"
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

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

func TestCheckinRequest(t *testing.T) {
	srv, m := boot(t, facters.All(t)[3].Script, func(_ *Options, s *settings.Settings) { s.Facts["site"] = "ams1" })
	m.wants(srv, facts.Facts{"serialnumber": "1234", "macaddress": "52:54:00:00:00:01", "site": "ams1", "macaddress_dummy0": nil})
	p := srv.Last()
	if p.Path != "/svc/checkin/7" || p.ContentType != "application/json" || p.HWID != "525400000001" || p.Agent != "mk-client/9.9" {
		t.Errorf("got %+v", p)
	}
}

// serve starts a server for one test.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// TestNodeIDs boots like iPXE, with the node's id on the command line, and without; an operator deletes nodes
// meanwhile.
func TestNodeIDs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*standrazor.Server, *settings.Settings)
		steps  [][2]string // the deleted node, and the node that checks in afterwards
		asked  int
	}{
		"given":   {func(*standrazor.Server, *settings.Settings) {}, [][2]string{{"", "7"}, {"7", "41"}, {"", "41"}, {"41", "42"}}, 2},
		"unknown": {func(r *standrazor.Server, s *settings.Settings) { s.Register, s.Server = "", r.URL }, [][2]string{{"", "41"}, {"", "41"}, {"41", "42"}}, 2},
	} {
		srv := standrazor.New(t, standrazor.Razor)
		m := newMachine(t, srv, facters.Shell, func(_ *Options, s *settings.Settings) { tt.change(srv, s) })
		for _, step := range tt.steps {
			srv.Lock()
			delete(srv.Nodes, step[0])
			srv.Unlock()
			if err := m.Cycle(t.Context()); err != nil {
				t.Fatalf("%s, after %s was deleted: %v", name, step[0], err)
			}
			if p := srv.Last().Path; p != "/svc/checkin/"+step[1] {
				t.Errorf("%s, after %s was deleted: %s", name, step[0], p)
			}
		}
		if srv.NodeIDs != tt.asked {
			t.Errorf("%s: asked for an id %d times", name, srv.NodeIDs)
		}
	}
}

func TestNodeQueryLeavesPlaceholdersOut(t *testing.T) {
	t.Parallel()
	nics := []facts.NIC{{Name: "eth0", MAC: "52:54:00:00:00:01", Physical: true, Ethernet: true}}
	for serial, want := range map[string]string{
		"To be filled by O.E.M.": "", "0000000": "", "Not Specified": "", "": "", "CZ123": "CZ123",
	} {
		q := nodeQuery(&facts.Collection{Facts: facts.Facts{"serialnumber": serial, "uuid": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}, NICs: nics})
		if q.Get("serial") != want || q.Has("uuid") || q.Get("net0") != "52-54-00-00-00-01" {
			t.Errorf("%q: %v", serial, q)
		}
	}
}

// TestForeignRegisterURLIsLeftAlone has a check-in URL that is not a Razor server's.
func TestForeignRegisterURLIsLeftAlone(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	m.set.Register = srv.URL + "/inventory/x"
	err := m.Cycle(t.Context())
	if status, ok := errors.AsType[*web.StatusError](err); !ok || status.Status != 404 || srv.NodeIDs != 0 {
		t.Errorf("%v, asked for an id %d times", err, srv.NodeIDs)
	}
}

func TestServerOfRegister(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ register, server, next string }{
		{"http://h:8150/svc/checkin/7", "http://h:8150", "http://h:8150/svc/checkin/9"},
		{"https://u:p@h/razor/svc/checkin/7?a=b", "https://u:p@h/razor?a=b", "https://u:p@h/razor/svc/checkin/9?a=b"},
		{"http://h/svc/checkin/", "", ""}, {"http://h/svc/checkin/x", "", ""}, {"http://h/svc/checkin/7/x", "", ""},
	} {
		c := &Client{set: settings.Settings{Register: tt.register}}
		if got := c.server(); (got == nil) != (tt.server == "") || got != nil && got.String() != tt.server {
			t.Errorf("%s: server %q, want %q", tt.register, got, tt.server)
		}
		if c.node = "9"; tt.server == "" {
			continue
		}
		if got, err := c.checkinURL(t.Context(), nil); got != tt.next || err != nil {
			t.Errorf("%s: %q, %v", tt.register, got, err)
		}
	}
}

func TestCheckinFollowsRedirectsAsPost(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 307, 308} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		m.set.Register = serve(t, http.RedirectHandler(srv.URL+"/svc/checkin/7", status)) + "/x"
		m.cycle(srv)
	}
}

func TestAtMostFiveRedirects(t *testing.T) {
	_, m := boot(t, facters.Shell)
	hops := 0
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops++
		var left int
		fmt.Sscanf(r.URL.Path, "/%d", &left)
		if left > 0 {
			http.Redirect(w, r, fmt.Sprintf("/%d", left-1), http.StatusFound)
		}
	}))
	for n, ok := range map[int]bool{0: true, 5: true, 6: false, 50: false} {
		hops = 0
		resp, err := m.web.Do(t.Context(), http.MethodGet, fmt.Sprintf("%s/%d", url, n), http.Header{}, nil)
		if (err == nil) != ok || hops > 6 {
			t.Errorf("%d redirects: %v after %d requests", n, err, hops)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
}

func TestCheckinAnswers(t *testing.T) {
	t.Parallel()
	jsonType := map[string]string{"Content-Type": "application/json"}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		ok     bool
	}{
		"charset":     {standrazor.Respond(200, map[string]string{"Content-Type": "application/json;charset=utf-8"}, `{"action":"none"}`), true},
		"500":         {standrazor.Respond(500, nil, "{}"), false},
		"404":         {standrazor.Respond(404, nil, "{}"), false},
		"html":        {standrazor.Respond(200, map[string]string{"Content-Type": "text/html"}, `{"action":"none"}`), false},
		"no type":     {standrazor.Respond(200, map[string]string{"Content-Type": ""}, `{"action":"none"}`), false},
		"no action":   {standrazor.Respond(200, jsonType, `{}`), false},
		"no JSON":     {standrazor.Respond(200, jsonType, `none`), false},
		"number":      {standrazor.Respond(200, jsonType, `{"action":1}`), false},
		"303":         {standrazor.Respond(303, map[string]string{"Location": "/"}, ""), false},
		"huge answer": {standrazor.Respond(200, jsonType, `{"x":"`+strings.Repeat("x", maxAnswer)+`","action":"none"}`), false},
	} {
		_, m := bootOn(t, standrazor.Razor, facters.Shell)
		m.set.Register, m.set.ExtendOff = serve(t, tt.answer)+"/svc/checkin/7", true
		if err := m.Cycle(t.Context()); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pemFile writes the certificate of a server.
func pemFile(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	testkit.Must(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o644))
	return name
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain := standrazor.New(t, standrazor.Razor)
	srv := httptest.NewUnstartedServer(plain.Config.Handler)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the test is about refused handshakes
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca, empty := pemFile(t, srv), filepath.Join(t.TempDir(), "empty.pem")
	os.WriteFile(empty, []byte("no certificate"), 0o644)
	for _, tt := range []struct {
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
	} {
		m := newMachine(t, plain, facters.Shell, func(o *Options, s *settings.Settings) {
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
	plain := standrazor.New(t, standrazor.Razor)
	srv := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/svc/checkin/7", http.StatusTemporaryRedirect))
	t.Cleanup(srv.Close)
	m := newMachine(t, plain, facters.Shell, func(_ *Options, s *settings.Settings) { s.Register, s.CA = srv.URL+"/x", pemFile(t, srv) })
	if err := m.Cycle(t.Context()); err == nil || plain.Count("POST") != 0 {
		t.Errorf("facts went out in the clear: %v", err)
	}
}

// TestPasswords: they are sent like net/http sends them, and URLs are never logged with a password, whatever error
// occurs.
func TestPasswords(t *testing.T) {
	t.Parallel()
	const secret = "geheim"
	with := func(url string) string { return strings.Replace(url, "//", "//user:"+secret+"@", 1) }
	sent := ""
	base := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		sent = user + ":" + password
	}))
	for name, h := range map[string]http.HandlerFunc{
		"404": standrazor.Respond(404, nil, ""), "500": standrazor.Respond(500, nil, ""), "empty": standrazor.Respond(200, nil, ""), "cut": standrazor.Raw(""),
		"html":     standrazor.Respond(200, map[string]string{"Content-Type": "text/html"}, "x"),
		"location": standrazor.Respond(302, map[string]string{"Location": "http://u:" + secret + "@h/%zz"}, ""),
		"loop":     standrazor.Respond(302, map[string]string{"Location": with(base) + "/svc/mk/extension.zip"}, ""),
	} {
		_, m := bootOn(t, standrazor.Razor, facters.Shell)
		url := with(serve(t, h))
		m.log.Reset()
		m.opt.Log.Min, m.set.Register, m.set.Extend = clientlog.Debug, url+"/svc/checkin/7", url+"/x.zip"
		err := m.Cycle(t.Context())
		if text := fmt.Sprint(err, m.log, m.memory().Error); err == nil || strings.Contains(text, secret) {
			t.Errorf("%s: %s", name, text)
		}
	}
	if sent != "user:"+secret {
		t.Errorf("sent %q", sent)
	}
}
