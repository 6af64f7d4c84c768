package razor

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	for in, want := range map[string]string{
		"404": "extension=404", "checkin=500": "checkin=500", "extension=truncate:100": "extension=truncate:100", "truncate": "extension=truncate",
		"slow": "extension=slow:10s", "checkin=slow:1m": "checkin=slow:1m0s", "skew:-1h": "extension=skew:-1h0m0s", "skew:+30m": "extension=skew:30m0s",
		"oversize": "extension=oversize:1073741824", "oversize:5": "extension=oversize:5", "zipslip": "extension=zipslip",
	} {
		f, err := ParseFault(in)
		if err != nil || f.String() != want {
			t.Errorf("%q: got %q %v, want %q", in, f, err, want)
		}
		if again, err := ParseFault(f.String()); err != nil || again != f {
			t.Errorf("%q is not read again: %v %v", f, again, err)
		}
	}
	for _, in := range []string{"", "x", "nodes=404", "404:1", "truncate:x", "truncate:-1", "slow:-1s", "slow:x", "skew", "skew:", "checkin=skew:1h", "checkin=zipslip", "checkin=flipflop", "slow:9999999h", "oversize:99999999999999999999"} {
		if _, err := ParseFault(in); !errors.Is(err, ErrFault) {
			t.Errorf("%q: got %v, want ErrFault", in, err)
		}
	}
	if len(FaultKinds()) != len(faultKinds) {
		t.Error("not every kind is described")
	}
}

// faulty starts a server with the fault in force.
func faulty(t *testing.T, fault string) *rig {
	t.Helper()
	f, err := ParseFault(fault)
	if err != nil {
		t.Fatal(err)
	}
	return extensionRig(t, func(o *Options) { o.Faults = []Fault{f} })
}

func TestFaultsOfTheExtension(t *testing.T) {
	const path = "/svc/mk/extension.zip"
	for _, c := range []struct {
		fault   string
		status  int
		body    string // "*" for anything
		cut     bool
		lastMod string
	}{
		{"404", 404, `{"error":"No extension file configured"}`, false, ""},
		{"500", 500, "*", false, ""},
		{"slow:50ms", 200, extBody, false, extStamp},
		{"truncate:5", 200, extBody[:5], true, extStamp},
		{"truncate", 200, extBody[:len(extBody)/2], true, extStamp},
		{"truncate:100000", 200, extBody, false, extStamp},
		{"wronglength", 200, extBody[:len(extBody)/2], false, extStamp},
		{"empty", 200, "", false, extStamp},
		{"garbage", 200, string(garbage(512)), false, extStamp},
		{"mediatype", 200, extBody, false, extStamp},
		{"redirect", 302, "*", false, ""},
		{"oversize:300000", 200, strings.Repeat("\x00", 300000), false, "*"},
		{"skew:-1h", 200, extBody, false, "Tue, 20 May 2014 09:11:12 GMT"},
		{"skew:+24h", 200, extBody, false, "Wed, 21 May 2014 10:11:12 GMT"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			r := faulty(t, c.fault)
			a := r.get(path)
			if a.status != c.status || c.body != "*" && a.body != c.body {
				t.Errorf("got %d %q", a.status, clip(a.body, 60))
			}
			if got := errors.Is(a.err, io.ErrUnexpectedEOF); got != c.cut {
				t.Errorf("cut: got %v, want %t", a.err, c.cut)
			}
			if got := a.header.Get("Last-Modified"); c.lastMod != "*" && got != c.lastMod {
				t.Errorf("Last-Modified %q, want %q", got, c.lastMod)
			}
			if c.fault == "redirect" && a.header.Get("Location") != path+"?hop=1" {
				t.Errorf("location %q", a.header.Get("Location"))
			}
			if c.fault == "mediatype" && !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				t.Errorf("media type %q", a.header.Get("Content-Type"))
			}
			if id := r.node(mac1); r.checkin(id, facts1()).status != 200 {
				t.Error("the check-in is affected, too")
			}
			r.do("HEAD", path, "") // must not panic
		})
	}
}

func TestFaultFlipflop(t *testing.T) {
	r := faulty(t, "flipflop")
	var stamps []time.Time
	for i := range 4 {
		a := r.get("/svc/mk/extension.zip")
		if (a.body == extBody) != (i%2 == 0) {
			t.Errorf("answer %d: %q", i, clip(a.body, 40))
		}
		st, err := http.ParseTime(a.header.Get("Last-Modified"))
		if err != nil {
			t.Fatal(err)
		}
		stamps = append(stamps, st)
	}
	if stamps[0].Equal(stamps[1]) || !stamps[0].Equal(stamps[2]) || !stamps[1].Equal(stamps[3]) {
		t.Errorf("stamps %v", stamps)
	}
}

func TestFaultZipslip(t *testing.T) {
	a := faulty(t, "zipslip").get("/svc/mk/extension.zip")
	z, err := zip.NewReader(bytes.NewReader([]byte(a.body)), int64(len(a.body)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	mustContain(t, strings.Join(names, "\n"), "../mkbuild-zipslip-parent", "/tmp/mkbuild-zipslip-absolute", `..\mkbuild`, "bin/link/")
}

func TestFaultHangEndsWithTheServerOrTheClient(t *testing.T) {
	r := faulty(t, "hang")
	done := make(chan answer, 1)
	go func() { done <- r.get("/svc/mk/extension.zip") }()
	select {
	case a := <-done:
		t.Fatalf("it answered: %+v", a)
	case <-time.After(200 * time.Millisecond):
	}
	r.s.cancel()
	select {
	case a := <-done:
		if a.err == nil {
			t.Errorf("got an answer: %+v", a)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the hanging request outlives the server")
	}
}

func TestFaultsOfTheCheckin(t *testing.T) {
	for _, c := range []struct {
		fault, body string
		status      int
		stored      bool
	}{
		{"checkin=404", "*", 404, false}, {"checkin=500", "*", 500, false}, {"checkin=empty", "", 200, true},
		{"checkin=mediatype", `{"action":"none"}`, 200, true}, {"checkin=truncate:3", `{"a`, 200, true}, {"checkin=garbage", string(garbage(512)), 200, true},
		{"checkin=redirect", "*", 302, false}, {"checkin=wronglength", `{"action`, 200, true},
	} {
		t.Run(c.fault, func(t *testing.T) {
			r := faulty(t, c.fault)
			id := r.node(mac1)
			a := r.checkin(id, facts1())
			if a.status != c.status || c.body != "*" && a.body != c.body {
				t.Errorf("got %d %q", a.status, clip(a.body, 60))
			}
			if got := r.load(id).Last.Count == 1; got != c.stored {
				t.Errorf("stored: %t", got)
			}
			if a := r.get("/svc/mk/extension.zip"); a.body != extBody {
				t.Error("the extension is affected, too")
			}
		})
	}
}

func TestCommandsNeedTheToken(t *testing.T) {
	r := newRig(t, withRules(t, "policies: [{name: all}]"))
	id := r.node(mac1)
	r.checkin(id, facts1())
	const media = "Content-Type: application/json"
	auth := "Authorization: Bearer " + testToken
	self := fmt.Sprintf(`{"name":"node%d"}`, id)
	for _, c := range []struct {
		name, command, body string
		headers             []string
		status              int
	}{
		{"no token", "delete-node", self, []string{media}, 401},
		{"wrong token", "delete-node", self, []string{media, auth + "x"}, 401},
		{"empty token", "delete-node", self, []string{media, "Authorization: Bearer "}, 401},
		{"token in the wrong scheme", "delete-node", self, []string{media, "Authorization: Basic " + testToken}, 401},
		{"token in a cookie", "delete-node", self, []string{media, "Cookie: token=" + testToken}, 401},
		{"form media type", "delete-node", self, []string{"Content-Type: text/plain", auth}, 415},
		{"no JSON", "delete-node", "{", []string{media, auth}, 400},
		{"too long", "delete-node", `{"name":"` + strings.Repeat("x", maxCommand) + `"}`, []string{media, auth}, 400},
		{"unknown node", "delete-node", `{"name":"node77"}`, []string{media, auth}, 404},
		{"no name", "delete-node", `{}`, []string{media, auth}, 404},
		{"unknown command", "format-disk", self, []string{media, auth}, 404},
		{"unknown command without a token", "format-disk", self, []string{media}, 401},
		{"bad fault", "set-fault", `{"fault":"x"}`, []string{media, auth}, 422},
		{"fault without a token", "set-fault", `{"fault":"404"}`, []string{media}, 401},
	} {
		if a := r.do("POST", "/api/commands/"+c.command, c.body, c.headers...); a.status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, a.status, a.body, c.status)
		}
	}
	if n := r.load(id); n.Policy != "all" || len(r.s.faults.list()) != 0 {
		t.Fatal("a refused command had an effect")
	}
	run := func(command, body string) {
		t.Helper()
		if a := r.do("POST", "/api/commands/"+command, body, media, auth); a.status != 202 {
			t.Fatalf("%s: %d %s", command, a.status, a.body)
		}
	}
	run("reinstall-node", self)
	if n := r.load(id); n.Policy != "" || n.BootCount != 0 {
		t.Errorf("reinstalled: %+v", n)
	}
	run("set-fault", `{"fault":"checkin=500"}`)
	if a := r.checkin(id, facts1()); a.status != 500 {
		t.Errorf("fault: %d", a.status)
	}
	mustContain(t, r.get("/").body, "checkin=500")
	run("clear-faults", `{}`)
	run("delete-node", self)
	if a := r.checkin(id, facts1()); a.status != 404 {
		t.Errorf("forgotten node: %d", a.status)
	}
	if again := r.node(mac1); again == id {
		t.Error("the number was used again")
	}
}

func TestOptionsValidate(t *testing.T) {
	for _, o := range []Options{{Token: testToken}, {DataDir: "x"}, {DataDir: "x", Token: "short"}, {DataDir: "x", Token: testToken + "\n"}} {
		if o.Validate() == nil {
			t.Errorf("accepted: %+v", o)
		}
	}
	if a, b := NewToken(), NewToken(); a == b || len(a) != 32 {
		t.Errorf("tokens %q %q", a, b)
	}
}

// A web site can make a browser ask for any path on 127.0.0.1, but only under its own name.
func TestHostGuard(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Hosts = []string{"razor.lab"} })
	for _, c := range []struct {
		path, host string
		ok         bool
	}{
		{"/", "evil.example", false}, {"/api/collections/nodes", "evil.example:8150", false}, {"/events", "evil.example", false},
		{"/", "127.0.0.1.evil.example", false}, {"/", "localhost", true}, {"/", "LOCALHOST:8150", true}, {"/", "[::1]:8150", true}, {"/", "10.0.2.2", true},
		{"/", "razor.lab:1", true}, {"/svc/nodeid?net0=1", "razor", true}, {"/api/microkernel/bootstrap", "razor:8150", true},
	} {
		a := r.get(c.path, "Host: "+c.host)
		if (a.status == 200) != c.ok || !c.ok && a.status != http.StatusMisdirectedRequest {
			t.Errorf("%s as %s: got %d", c.path, c.host, a.status)
		}
	}
}

// A web page can make a browser ask what nodes ask for; nothing changes by that.
func TestSvcRefusesForeignPages(t *testing.T) {
	r := newRig(t, nil)
	id := r.node(mac1)
	own := "Origin: " + r.url
	for _, c := range []struct {
		headers []string
		ok      bool
	}{
		{nil, true}, {[]string{"Sec-Fetch-Site: none"}, true}, {[]string{"Sec-Fetch-Site: same-origin"}, true}, {[]string{own}, true},
		{[]string{own, "Sec-Fetch-Site: same-origin"}, true}, {[]string{"Sec-Fetch-Site: cross-site"}, false},
		{[]string{"Sec-Fetch-Site: same-site"}, false}, {[]string{"Sec-Fetch-Site: whatever"}, false}, {[]string{own, "Sec-Fetch-Site: cross-site"}, false},
		{[]string{"Origin: http://evil.example"}, false}, {[]string{"Origin: null"}, false}, {[]string{"Origin: http://127.0.0.1"}, false},
		{[]string{"Origin: http://%zz"}, false}, {[]string{"Origin: http://evil.example", "Sec-Fetch-Site: same-origin"}, false},
	} {
		for _, path := range []string{
			"/svc/nodeid?net0=" + mac1, fmt.Sprintf("/svc/log/%d?msg=x", id), fmt.Sprintf("/svc/store_metadata/%d?k=v", id),
			fmt.Sprintf("/svc/stage-done/%d", id), "/svc/boot?net0=" + mac1, "/%73vc/nodeid?net0=" + mac1,
		} {
			before := len(r.logOf(id))
			a := r.get(path, c.headers...)
			if (a.status < 300) != c.ok || !c.ok && (a.status != http.StatusForbidden || len(r.logOf(id)) != before) {
				t.Errorf("%s with %v: got %d %s", path, c.headers, a.status, a.body)
			}
		}
		if a := r.checkin(id, facts1(), c.headers...); (a.status == 200) != c.ok || !c.ok && a.status != http.StatusForbidden {
			t.Errorf("check-in with %v: got %d", c.headers, a.status)
		}
	}
	// The link from another page to the server's own pages is no harm.
	if a := r.get("/", "Sec-Fetch-Site: cross-site"); a.status != 200 {
		t.Errorf("page: %d", a.status)
	}
}
