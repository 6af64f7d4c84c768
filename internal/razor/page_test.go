package razor

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// hostile is text that must never become markup, an attribute, a script or a style.
var hostile = []string{
	`<script>window.pwned=1</script>`, `"><img src=x onerror="window.pwned=1">`, `' onmouseover='window.pwned=1`, `</td></table><iframe src="javascript:window.pwned=1">`,
	"`${window.pwned=1}`", `javascript:window.pwned=1`, `{{.Title}}`, "<!--", `</title><svg onload=window.pwned=1>`, "\u2028\u0000\x1b[31m", `&lt;b&gt;`, `<style>*{display:none}</style>`,
}

// hostileRig has hostile text everywhere a node or an operator can put some.
func hostileRig(t *testing.T) (*rig, uint64) {
	r := newRig(t, withRules(t, `
tags:
- {name: '<b onclick=window.pwned=1>tag</b>', rule: ["=", ["fact", '<script>window.pwned=1</script>', "no"], "x"]}
policies:
- {name: '<i>policy</i>', hostname: '<u>${id}</u>', max_count: 5}
`))
	id := r.node(mac1 + "<script>")
	r.get("/svc/nodeid?net0=" + mac1 + "<script>&uuid=" + url.QueryEscape(hostile[1]))
	for round := range 2 {
		f := map[string]any{"macaddress": mac1 + "<script>"}
		for i, h := range hostile {
			f[h] = h
			f[fmt.Sprintf("value%d", i)] = fmt.Sprint(h, round)
			f[fmt.Sprintf("nested%d", i)] = map[string]any{h: []any{h}}
		}
		r.checkin(id, f, "User-Agent: "+hostile[0], extensionHeader+": value1,"+url.QueryEscape(hostile[0]))
	}
	for _, h := range hostile {
		r.get(fmt.Sprintf("/svc/log/%d?msg=%s&severity=error", id, url.QueryEscape(h)))
		r.get(fmt.Sprintf("/svc/store_metadata/%d?%s=%s", id, url.QueryEscape(h), url.QueryEscape(h)))
	}
	return r, id
}

var markup = regexp.MustCompile(`(?i)<(script|img|iframe|svg|style|b|i|u|!--)[ >]|<[^>]* on[a-z]+=`)

func TestPagesEscapeHostileText(t *testing.T) {
	r, id := hostileRig(t)
	for _, p := range []string{"/", "/rules", fmt.Sprintf("/nodes/node%d", id), "/?q=" + url.QueryEscape(hostile[1]), "/nodes/" + url.PathEscape(hostile[1])} {
		a := r.get(p)
		body := strings.Replace(a.body, `<script src="/assets/live.js" defer></script>`, "", 1)
		body = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(body, `""`) // attribute values are data
		if m := markup.FindString(body); m != "" {
			t.Errorf("%s contains %q", p, m)
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", p, csp)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: headers %v", p, a.header)
		}
	}
	mustContain(t, r.get(fmt.Sprintf("/nodes/node%d", id)).body, "&lt;script&gt;window.pwned=1&lt;/script&gt;", "&lt;i&gt;policy&lt;/i&gt;")
}

func TestNodePageShowsEverything(t *testing.T) {
	r := newRig(t, withRules(t, `
tags:
- {name: racked, rule: ["=", ["fact", "rack", null], "b4"]}
- {name: broken, rule: ["=", ["fact", "gone"], 1]}
policies:
- {name: off, enabled: false}
- {name: needs both, tags: [racked, broken]}
- {name: everything}
`))
	id := r.node(mac1)
	page := fmt.Sprintf("/nodes/node%d", id)
	mustContain(t, r.get(page).body, "not yet", "There was none yet")
	r.checkin(id, facts1("rack", "b3", "uptime", "x"))
	r.checkin(id, facts1("rack", "b4"), extensionHeader+": rack")
	body := r.get(page).body
	mustContain(t, body, `role="alert"`, "Rule error. This node gets no tags and no policy", "Couldn&#39;t find fact &#39;gone&#39; and no default supplied",
		`<tr id="fact-rack" data-fact class="ext">`, "as the client names them: 1", "&#34;b3&#34;", "&#34;b4&#34;", "changed", `<span class="tag good">matches</span>`, `<span class="tag bad">error</span>`,
		"the node lacks: racked, broken", "would match", "disabled", "number 2")
	mustContain(t, r.get("/").body, "1 node has a rule error", "rule error", "1 from extension", "1 changed")
	if a := r.get("/nodes/node99"); a.status != 404 || !strings.Contains(a.body, "No such node") {
		t.Errorf("unknown node: %d", a.status)
	}
	if a := r.get("/nothing"); a.status != 404 {
		t.Errorf("unknown page: %d", a.status)
	}
}

// A long value scrolls in a region of its own, which the keyboard reaches; a short one does not.
func TestLongValuesScroll(t *testing.T) {
	r := newRig(t, nil)
	id := r.node(mac1)
	long := strings.Repeat("long ", longValue)
	r.checkin(id, facts1("dump", "x", "short", strings.Repeat("s", longValue), "lines", strings.Repeat("\n", longLines)))
	r.checkin(id, facts1("dump", long, "short", strings.Repeat("s", longValue), "lines", strings.Repeat("\n", longLines)))
	r.get(fmt.Sprintf("/svc/store_metadata/%d?note=%s", id, url.QueryEscape(long)))
	r.get(fmt.Sprintf("/svc/log/%d?msg=%s", id, url.QueryEscape(long)))
	body := r.get(fmt.Sprintf("/nodes/node%d", id)).body
	const region = `<div class="long" tabindex="0" role="region" aria-label="Value of `
	mustContain(t, body, region+`dump" id="value-dump">long`, region+`dump" id="new-dump">&#34;long`, region+`lines" id="value-lines">`,
		region+`note" id="metadata-note">long`, region+`log entry">long`, `<td class="value">ss`)
	mustNotContain(t, body, region+"short", `id="old-dump"`)
	mustContain(t, r.get("/assets/style.css").body, ".long { max-height: ")
}

// Nothing on any page comes from another host.
func TestPagesNeedNoNetwork(t *testing.T) {
	r, id := hostileRig(t)
	link := regexp.MustCompile(`(?:src|href|action)="([^"]*)"`)
	for _, p := range []string{"/", "/rules", fmt.Sprintf("/nodes/node%d", id)} {
		for _, m := range link.FindAllStringSubmatch(r.get(p).body, -1) {
			if !strings.HasPrefix(m[1], "/") && m[1] != "#main" && m[1] != "#token" || strings.HasPrefix(m[1], "//") {
				t.Errorf("%s links to %s", p, m[1])
			}
			if strings.HasPrefix(m[1], "/assets/") && r.get(m[1]).status != 200 {
				t.Errorf("%s is missing", m[1])
			}
		}
	}
	for _, f := range []string{"style.css", "live.js"} {
		mustNotContain(t, r.get("/assets/"+f).body, "http:", "https:", "@import", "innerHTML = ", "eval(")
	}
}

func TestListPages(t *testing.T) {
	r := newRig(t, nil)
	err := r.s.store.update(func(tx *txn) error {
		for i := range pageSize + 5 {
			if err := tx.create(&Node{HWInfo: []string{fmt.Sprintf("mac=%04d", i)}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, r.get("/").body, fmt.Sprintf("1–%d of %d", pageSize, pageSize+5), `rel="next" href="/?page=2"`)
	mustContain(t, r.get("/?page=2").body, fmt.Sprintf("%d–%d of", pageSize+1, pageSize+5), `rel="prev"`)
	mustContain(t, r.get("/?q=mac%3D0007").body, "1–1 of 1")
	for _, q := range []string{"?page=-1", "?page=x", "?page=99999999999999999999", "?page=500"} {
		if a := r.get("/" + q); a.status != 200 {
			t.Errorf("%s: %d", q, a.status)
		}
	}
}

// stream reads events until want has been seen.
func stream(t *testing.T, r *rig, ready chan<- bool, want string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/events", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		return fmt.Errorf("media type %q", ct)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if lines.Text() == "event: hello" {
			ready <- true
		}
		if lines.Text() == want {
			return nil
		}
	}
	return fmt.Errorf("no %q: %w", want, lines.Err())
}

func TestEvents(t *testing.T) {
	r := newRig(t, nil)
	id := r.node(mac1)
	ready, done := make(chan bool, 1), make(chan error, 1)
	go func() { done <- stream(t, r, ready, fmt.Sprintf("data: %d", id)) }()
	<-ready
	r.checkin(id, facts1())
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Every stream is given back.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r.s.hub.mu.Lock()
		open := len(r.s.hub.subs)
		r.s.hub.mu.Unlock()
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d streams left", open)
		}
	}
}

func TestEventsGatherAndAreBounded(t *testing.T) {
	h := newHub()
	s := h.subscribe()
	for id := range uint64(1000) {
		h.publish(1000 - id)
		h.publish(5)
	}
	if got := s.take(); len(got) != 1000 || got[0] != 1 {
		t.Errorf("%d changes, first %d", len(got), got[0])
	}
	if got := s.take(); len(got) != 0 {
		t.Errorf("taken twice: %v", got)
	}
	for range maxStreams - 1 {
		if h.subscribe() == nil {
			t.Fatal("refused too early")
		}
	}
	if h.subscribe() != nil {
		t.Error("no bound")
	}
}

// Serve ends when its context does, open event streams and hanging faults included, and the
// rules file is followed meanwhile.
func TestServeShutsDown(t *testing.T) {
	s, err := New(Options{Config: DefaultConfig(), DataDir: t.TempDir(), Token: testToken, Faults: []Fault{{Target: FaultExtension, Kind: "hang"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	r := &rig{t: t, s: s, url: "http://" + l.Addr().String()}
	ready := make(chan bool, 1)
	go func() { _ = stream(t, r, ready, "never") }()
	<-ready
	go r.get("/svc/mk/extension.zip")
	if a := r.get("/"); a.status != 200 {
		t.Errorf("page: %d", a.status)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not end")
	}
}
