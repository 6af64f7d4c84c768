package page

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

// hostile is text that must never become markup, an attribute, a script or a style.
var hostile = []string{
	`<script>window.pwned=1</script>`, `"><img src=x onerror="window.pwned=1">`, `' onmouseover='window.pwned=1`, `</td></table><iframe src="javascript:window.pwned=1">`,
	"`${window.pwned=1}`", `javascript:window.pwned=1`, `{{.Title}}`, "<!--", `</title><svg onload=window.pwned=1>`, "\u2028\u0000\x1b[31m", `&lt;b&gt;`, `<style>*{display:none}</style>`,
}

// hostileRig has hostile text in every place that a node or an operator can fill.
func hostileRig(t *testing.T) (*rig, uint64) {
	r := newRig(t, `
tags:
- {name: '<b onclick=window.pwned=1>tag</b>', rule: ["=", ["fact", '<script>window.pwned=1</script>', "no"], "x"]}
policies:
- {name: '<i>policy</i>', hostname: '<u>${id}</u>', max_count: 5}
`)
	id := r.Node(mac1 + "<script>")
	r.Get("/svc/nodeid?net0=" + mac1 + "<script>&uuid=" + url.QueryEscape(hostile[1]))
	for round := range 2 {
		f := map[string]any{"macaddress": mac1 + "<script>"}
		for i, h := range hostile {
			f[h] = h
			f[fmt.Sprintf("value%d", i)] = fmt.Sprint(h, round)
			f[fmt.Sprintf("nested%d", i)] = map[string]any{h: []any{h}}
		}
		f["mk_extension_facts"] = "value1," + hostile[0]
		r.CheckIn(id, f, "User-Agent: "+hostile[0])
	}
	for _, h := range hostile {
		r.Get(fmt.Sprintf("/svc/log/%d?msg=%s&severity=error", id, url.QueryEscape(h)))
		r.Get(fmt.Sprintf("/svc/store_metadata/%d?%s=%s", id, url.QueryEscape(h), url.QueryEscape(h)))
	}
	return r, id
}

var markup = regexp.MustCompile(`(?i)<(script|img|iframe|svg|style|b|i|u|!--)[ >]|<[^>]* on[a-z]+=`)

func TestPagesEscapeHostileText(t *testing.T) {
	r, id := hostileRig(t)
	for _, p := range []string{"/", "/rules", fmt.Sprintf("/nodes/node%d", id), "/?q=" + url.QueryEscape(hostile[1]), "/nodes/" + url.PathEscape(hostile[1])} {
		a := r.Get(p)
		body := strings.Replace(a.Body, `<script src="/assets/live.js" defer></script>`, "", 1)
		body = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(body, `""`) // attribute values are data
		if m := markup.FindString(body); m != "" {
			t.Errorf("%s contains %q", p, m)
		}
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", p, csp)
		}
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: headers %v", p, a.Header)
		}
	}
	testkit.Contains(t, r.Get(fmt.Sprintf("/nodes/node%d", id)).Body, "&lt;script&gt;window.pwned=1&lt;/script&gt;", "&lt;i&gt;policy&lt;/i&gt;")
}

func TestNodePageShowsEverything(t *testing.T) {
	r := newRig(t, `
tags:
- {name: racked, rule: ["=", ["fact", "rack", null], "b4"]}
- {name: broken, rule: ["=", ["fact", "gone"], 1]}
policies:
- {name: off, enabled: false}
- {name: needs both, tags: [racked, broken]}
- {name: everything}
`)
	id := r.Node(mac1)
	page := fmt.Sprintf("/nodes/node%d", id)
	testkit.Contains(t, r.Get(page).Body, "not yet", "No check-in yet")
	r.CheckIn(id, facts1("rack", "b3", "uptime", "x"))
	r.CheckIn(id, facts1("rack", "b4", "mk_extension_facts", "rack"))
	body := r.Get(page).Body
	testkit.Contains(t, body, `role="alert"`, "Rule error. This node gets no tags, no policy", "Couldn&#39;t find fact &#39;gone&#39; and no default supplied",
		`<tr id="fact-rack" data-fact class="ext">`, "<dt>Extension</dt><dd>1 facts", "&#34;b3&#34;", "&#34;b4&#34;", "changed", `<span class="tag good">matches</span>`, `<span class="tag bad">error</span>`,
		"missing tags: racked, broken", "would match", "disabled", "number 2")
	testkit.Contains(t, r.Get("/").Body, "1 node has a rule error", "rule error", "1 from extension", "2 changed")
	if a := r.Get("/nodes/node99"); a.Status != 404 || !strings.Contains(a.Body, "No such node") {
		t.Errorf("unknown node: %d", a.Status)
	}
	if a := r.Get("/nothing"); a.Status != 404 {
		t.Errorf("unknown page: %d", a.Status)
	}
}

// A long value scrolls in a separate region, which the keyboard reaches; a short one does not.
func TestLongValuesScroll(t *testing.T) {
	r := newRig(t, "")
	id := r.Node(mac1)
	long := strings.Repeat("long ", longValue)
	r.CheckIn(id, facts1("dump", "x", "short", strings.Repeat("s", longValue), "lines", strings.Repeat("\n", longLines)))
	r.CheckIn(id, facts1("dump", long, "short", strings.Repeat("s", longValue), "lines", strings.Repeat("\n", longLines)))
	r.Get(fmt.Sprintf("/svc/store_metadata/%d?note=%s", id, url.QueryEscape(long)))
	r.Get(fmt.Sprintf("/svc/log/%d?msg=%s", id, url.QueryEscape(long)))
	body := r.Get(fmt.Sprintf("/nodes/node%d", id)).Body
	const region = `<div class="long box" tabindex="0" role="region" aria-label="Value of `
	testkit.Contains(t, body, region+`dump" id="fact-value-dump">long`, region+`lines" id="fact-value-lines">`, region+`note" id="metadata-value-note">long`,
		`<div class="long">&#34;long`, `<div class="long">long`, `<td class="value">ss`)
	testkit.Lacks(t, body, region+"short")
	testkit.Contains(t, r.Get("/assets/style.css").Body, ".long { max-height: ")
}

// Nothing on any page comes from another host.
func TestPagesNeedNoNetwork(t *testing.T) {
	r, id := hostileRig(t)
	link := regexp.MustCompile(`(?:src|href|action)="([^"]*)"`)
	for _, p := range []string{"/", "/rules", fmt.Sprintf("/nodes/node%d", id)} {
		for _, m := range link.FindAllStringSubmatch(r.Get(p).Body, -1) {
			if !strings.HasPrefix(m[1], "/") && m[1] != "#main" && m[1] != "#token" || strings.HasPrefix(m[1], "//") {
				t.Errorf("%s links to %s", p, m[1])
			}
			if strings.HasPrefix(m[1], "/assets/") && r.Get(m[1]).Status != 200 {
				t.Errorf("%s is missing", m[1])
			}
		}
	}
	for _, f := range []string{"style.css", "live.js"} {
		testkit.Lacks(t, r.Get("/assets/"+f).Body, "http:", "https:", "@import", "innerHTML = ", "eval(")
	}
}

func TestListSearch(t *testing.T) {
	r := newRig(t, "")
	r.Node(mac1)
	for q, want := range map[string]bool{"52:54:00:00:00:01": true, "52-54-00": true, "NODE1": true, "": true, "zzz": false} {
		body := r.Get("/?q=" + url.QueryEscape(q)).Body
		if got := strings.Contains(body, "row-1"); got != want {
			t.Errorf("%s: got %t", q, got)
		}
	}
	for i := range listed {
		r.Node(fmt.Sprintf("%012x", i))
	}
	testkit.Contains(t, r.Get("/").Body, fmt.Sprintf("%d of %d; the search finds the others", listed, listed+1))
}

// The JSON has what the pages show.
// TestListFacts: the list shows product and address, finds facts by value or name=value, and sorts by column
// with numbers as numbers.
func TestListFacts(t *testing.T) {
	r := newRig(t, "")
	for i, f := range [][]any{{"productname", "R720", "ipaddress", "10.0.0.10", "rack", "b4"}, {"productname", "R1", "ipaddress", "10.0.0.9"}, {}} {
		id := r.Node(fmt.Sprintf("52:54:00:00:00:1%d", i))
		facts := facts1(f...)
		facts["macaddress"] = fmt.Sprintf("52:54:00:00:00:1%d", i)
		r.CheckIn(id, facts)
	}
	order := func(query string) (rows []string) {
		for _, m := range regexp.MustCompile(`href="/nodes/(node[0-9]+)"`).FindAllStringSubmatch(r.Get("/?"+query).Body, -1) {
			rows = append(rows, m[1])
		}
		return rows
	}
	for query, want := range map[string]string{
		"q=rack%3Db4": "node1", "q=R720": "node1", "q=B4": "node1", "q=nothing": "", "sort=address": "node3 node2 node1",
		"sort=product": "node3 node2 node1", "sort=checkin": "node3 node2 node1", "sort=node": "node1 node2 node3", "sort=%3Cb": "node1 node2 node3",
	} {
		if got := strings.Join(order(query), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	testkit.Contains(t, r.Get("/?sort=address&q=10").Body, ">R720<", "10.0.0.10", `aria-sort="ascending"`, `href="/?q=10&amp;sort=policy"`)
	names := []string{"disk100", "disk2", "disk10", "disk02", "disk", "eth0", "a"}
	slices.SortFunc(names, natural)
	if got := strings.Join(names, " "); got != "a disk disk2 disk02 disk10 disk100 eth0" {
		t.Error(got)
	}
}

func TestJSON(t *testing.T) {
	r := newRig(t, "tags: [{name: kvm, rule: ['=', [fact, virtual, null], kvm]}]\npolicies: [{name: small, tags: [kvm], max_count: 1}]")
	id := r.Node(mac1)
	r.CheckIn(id, facts1("virtual", "kvm"))
	testkit.Contains(t, r.Get("/api/collections/nodes").Body, `{"items":[{"id":1,"name":"node1","hw_info":["mac=52-54-00-00-00-01"]`, `"policy":"small"`)
	testkit.Contains(t, r.Get("/api/collections/nodes/node1").Body, `"virtual":"kvm"`, `"results":[{"name":"kvm","rule":"[\"=\",`, `"matched":true`, `"policies":[{"name":"small","why":"bound","chosen":true}]`, `"log":[{`, `"event":"bind"`)
	for _, name := range []string{"node01", "node2", "nobody"} {
		if a := r.Get("/api/collections/nodes/" + name); a.Status != 404 || !strings.Contains(a.Body, "no such node") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

// Only the token deletes a node, and the page responds only to this machine's names.
func TestAccess(t *testing.T) {
	r := newRig(t, "")
	r.Node(mac1)
	for _, c := range []struct {
		header, body string
		status       int
	}{
		{"X: y", `{"name":"node1"}`, 401},
		{"Authorization: Bearer wrong", `{"name":"node1"}`, 401},
		{"Authorization: Basic " + testToken, `{"name":"node1"}`, 401},
		{"Authorization: Bearer " + testToken, `node1`, 400},
		{"Authorization: Bearer " + testToken, `{"name":"node7"}`, 404},
		{"Authorization: bearer " + testToken, `{"name":"node1"}`, 202},
		{"Authorization: bearer " + testToken, `{"name":"node1"}`, 404},
	} {
		if a := r.Do("POST", "/api/commands/delete-node", c.body, c.header); a.Status != c.status {
			t.Errorf("%s %s: got %d %s, want %d", c.header, c.body, a.Status, a.Body, c.status)
		}
	}
	for host, status := range map[string]int{"localhost:1": 200, "x.localhost": 200, "127.0.0.1": 200, "[::1]:8150": 200, "lab.example:1": 200, "evil.example": 421, "127.0.0.1.evil.example:80": 421} {
		if a := r.Get("/", "Host: "+host); a.Status != status {
			t.Errorf("%s: got %d, want %d", host, a.Status, status)
		}
	}
	if a := r.Get("/svc/nodeid?net0="+mac1, "Host: evil.example"); a.Status != 200 {
		t.Errorf("nodes are refused: %d", a.Status)
	}
	for _, token := range []string{"", "short", strings.Repeat("x", minToken) + " "} {
		if _, err := New(r.s, Options{Token: token}); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), "token") {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

// follow reads events until want has been seen.
func follow(t *testing.T, r *rig, path string, ready chan<- bool, want string) error {
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+path, nil)
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
	r := newRig(t, "")
	id := r.Node(mac1)
	other := r.Node("52:54:00:00:00:02")
	for path, changes := range map[string]uint64{"/events?node=0": other, fmt.Sprintf("/events?node=%d", id): id} {
		ready, done := make(chan bool, 1), make(chan error, 1)
		go func() { done <- follow(t, r, path, ready, "event: change") }()
		<-ready
		r.Get(fmt.Sprintf("/svc/log/%d?msg=x", changes))
		if err := <-done; err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A page is notified of its own node or of all, once for any number of changes.
func TestStreamsGather(t *testing.T) {
	var s streams
	five, all := s.add("a", 5), s.add("a", 0)
	for node := range uint64(1000) {
		s.publish(node + 1)
		s.publish(5)
	}
	if len(five.wake) != 1 || len(all.wake) != 1 {
		t.Errorf("%d and %d wait, want 1 each", len(five.wake), len(all.wake))
	}
	<-five.wake
	s.publish(4)
	if len(five.wake) != 0 {
		t.Error("told of another node")
	}
}

// However many pages a client opens, another client gets its stream: the client with the most loses its oldest.
func TestStreamsDoNotLockOut(t *testing.T) {
	var s streams
	modest := s.add("modest", 0)
	var greedy []*stream
	for range 3 * maxStreams {
		greedy = append(greedy, s.add("greedy", 0))
	}
	late := s.add("late", 0)
	over := func(st *stream) bool {
		select {
		case <-st.ended:
			return true
		default:
			return false
		}
	}
	if len(s.open) != maxStreams || over(modest) || over(late) {
		t.Errorf("%d open, the modest client's is over: %t, the late one's: %t", len(s.open), over(modest), over(late))
	}
	for i, st := range greedy {
		if want := i < len(greedy)-(maxStreams-2); over(st) != want {
			t.Fatalf("stream %d of %d is over: %t", i, len(greedy), !want)
		}
	}
	for _, st := range greedy {
		s.remove(st)
	}
	if len(s.open) != 2 {
		t.Errorf("%d streams left", len(s.open))
	}
}

// Also over HTTP: pages beyond the limit are served, and pages that lose their stream reconnect.
func TestMorePagesThanStreams(t *testing.T) {
	r := newRig(t, "")
	for range maxStreams + 10 {
		ready := make(chan bool, 1)
		go func() { _ = follow(t, r, "/events", ready, "never") }()
		<-ready
	}
}

// Serving ends with its context, including open event streams.
func TestShutDownEndsStreams(t *testing.T) {
	r := newRig(t, "")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.s.Serve(ctx, l, r.p) }()
	r.URL = "http://" + l.Addr().String()
	ready := make(chan bool, 1)
	go func() { _ = follow(t, r, "/events", ready, "never") }()
	<-ready
	if a := r.Get("/"); a.Status != 200 {
		t.Errorf("page: %d", a.Status)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testkit.Patience):
		t.Fatal("Serve does not end")
	}
}
