package page

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"mkbuild/e2e/testkit"
)

// browser is a headless Chromium that records forbidden actions of a page: a request to another host, a console
// message, or a script error.
type browser struct {
	context.Context
	t       *testing.T
	mu      sync.Mutex
	wrong   []string
	allowed []string
}

// TestBrowser runs Debian's Chromium, headless and with a separate profile; each part has a tab in it.
func TestBrowser(t *testing.T) {
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(testkit.Tool(t, "chromium")), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
	)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	defer stop()
	chromium, cancel := chromedp.NewContext(alloc)
	defer cancel()
	testkit.Must(t, chromedp.Do(chromium))
	for name, part := range map[string]func(*testing.T, context.Context){
		"ShowsCheckinsLive":     browserShowsCheckinsLive,
		"RunsNothingOfTheFacts": browserRunsNothingOfTheFacts,
		"TokenAndForget":        browserTokenAndForget,
		"LongValueStaysInPlace": browserLongValueStaysInPlace,
		"ForeignPageIsRefused":  browserForeignPageIsRefused,
		"Accessibility":         browserAccessibility,
	} {
		t.Run(name, func(t *testing.T) { part(t, chromium) })
	}
}

func newBrowser(t *testing.T, chromium context.Context, r *rig) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium)
	t.Cleanup(cancel)
	b := &browser{Context: ctx, t: t}
	b.do(func(ctx context.Context, s *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, s, network.Enable, network.EnableParams{})
		return chromedp.Void{}, err
	})
	go b.watchRequests(chromedp.Events(ctx, network.RequestWillBeSent), r.URL)
	go b.watchConsole(chromedp.Console(ctx))
	t.Cleanup(b.judge)
	return b
}

func (b *browser) watchRequests(events func(func(network.EventRequestWillBeSent, error) bool), home string) {
	for e, err := range events {
		if err != nil {
			return
		}
		if !strings.HasPrefix(e.Request.URL, home+"/") {
			b.complain("request to " + e.Request.URL)
		}
	}
}

func (b *browser) watchConsole(messages func(func(chromedp.ConsoleMessage, error) bool)) {
	for m, err := range messages {
		if err != nil {
			return
		}
		b.complain(m.String())
	}
}

func (b *browser) complain(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, s)
}

// judge fails the test for every complaint that is not allowed.
func (b *browser) judge() {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, w := range b.wrong {
		for _, a := range b.allowed {
			if strings.Contains(w, a) {
				continue next
			}
		}
		b.t.Error(w)
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open loads a page and marks it, to detect a reload.
func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	b.eval("window.notReloaded = true")
}

func (b *browser) eval(js string) bool {
	b.t.Helper()
	ok, err := chromedp.Run(b, chromedp.Evaluate[bool](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return ok
}

// until waits for a JavaScript expression to be true.
func (b *browser) until(expr string) {
	b.t.Helper()
	for deadline := time.Now().Add(testkit.Patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if b.eval("!!(" + expr + ")") {
			return
		}
	}
	html, err := chromedp.Run(b, chromedp.OuterHTML(chromedp.CSS("html")))
	b.t.Fatalf("never true: %s (%v)\n%s", expr, err, html[:min(len(html), 6000)])
}

// text returns the visible text of an element.
func (b *browser) text(sel string) string {
	b.t.Helper()
	s, err := chromedp.Run(b, chromedp.Text(chromedp.CSS(sel)))
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *browser) click(sel string) { b.t.Helper(); b.do(chromedp.Click(chromedp.CSS(sel))) }

const isLive = `document.getElementById("live").textContent === "live"`

// A node appears on the open list, and its facts on its open page, without a reload.
func browserShowsCheckinsLive(t *testing.T, chromium context.Context) {
	r := newRig(t, `
tags:
- {name: racked, rule: ["=", ["fact", "rack", null], "b4"]}
policies:
- {name: shelf, tags: [racked], max_count: 0}
`)
	b := newBrowser(t, chromium, r)
	b.open(r.URL + "/")
	b.until(isLive)
	testkit.Contains(t, b.text("#list"), "No nodes yet")

	id := r.Node(mac1)
	row := fmt.Sprintf("#row-%d", id)
	b.until(fmt.Sprintf(`document.querySelector(%q) !== null`, row))
	r.CheckIn(id, facts1("virtual", "kvm"))
	b.until(fmt.Sprintf(`document.querySelector("%s time") !== null && window.notReloaded`, row))

	b.click(row + " a")
	b.until(`document.querySelector("#fact-virtual") !== null`)
	b.eval("window.notReloaded = true")
	b.until(isLive)
	b.do(chromedp.SendKeys(chromedp.CSS("#filter"), "rack"))
	r.CheckIn(id, facts1("virtual", "kvm", "rack", "b4", "mk_extension_facts", "rack"))
	b.until(`document.querySelector("#fact-rack .tag.ext") !== null && window.notReloaded`)
	testkit.Contains(t, b.text("#fact-rack"), "b4", "extension", "added")
	testkit.Contains(t, b.text("#changes"), "rack", "added")
	testkit.Contains(t, b.text("#tags"), "racked", "matches")
	testkit.Contains(t, b.text("#policies"), "shelf", "full: 0 of 0")
	// The filter also applies to rows that arrived meanwhile, and the box keeps its text.
	b.until(`document.querySelector("#fact-virtual").hidden && !document.querySelector("#fact-rack").hidden && document.querySelector("#filter").value === "rack"`)

	r.CheckIn(id, facts1("virtual", "kvm"))
	b.until(`document.querySelector("#fact-rack") === null`)
	testkit.Contains(t, b.text("#changes"), "removed")
}

// Facts are hostile input: no part of them runs, loads or becomes an element.
func browserRunsNothingOfTheFacts(t *testing.T, chromium context.Context) {
	r, id := hostileRig(t)
	b := newBrowser(t, chromium, r)
	for _, p := range []string{"/", "/rules", fmt.Sprintf("/nodes/node%d", id), "/?q=" + url.QueryEscape(hostile[1])} {
		b.open(r.URL + p)
		b.until(isLive)
		r.CheckIn(id, map[string]any{"macaddress": mac1 + "<script>", hostile[0]: hostile[1] + p}) // a live update, too
		b.until(`[...document.scripts].length === 1 && !("pwned" in window) && document.querySelector("main img, main iframe, main svg, main style, main b, main i, main u, [onclick], [onload], [onerror]") === null`)
	}
}

// The button is disabled without a token and does nothing with a wrong token; with the right one the node is
// deleted.
func browserTokenAndForget(t *testing.T, chromium context.Context) {
	r := newRig(t, "")
	id := r.Node(mac1)
	r.CheckIn(id, facts1())
	b := newBrowser(t, chromium, r)
	b.open(fmt.Sprintf("%s/nodes/node%d", r.URL, id))
	b.until(isLive)
	b.allowed = []string{"401", "404"} // the browser itself reports refused requests on its console
	b.eval("(window.confirm = () => true)()")
	b.until(`document.querySelectorAll("button[data-command]:disabled").length === 1 && !document.getElementById("locked").hidden`)
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"))
	b.until(`document.querySelector("button[data-command]:disabled") === null && document.getElementById("locked").hidden`)
	b.click(`[data-command="delete-node"]`)
	b.until(`document.getElementById("answer").textContent.includes("needs the token")`)
	b.eval(`(() => { const t = document.getElementById("token"); t.value = ""; return t.dispatchEvent(new Event("input")); })()`)
	b.until(`document.querySelectorAll("button[data-command]:disabled").length === 1`)
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), testToken))
	b.click(`[data-command="delete-node"]`)
	b.until(`document.querySelector("h1")?.textContent === "No such node"`)
}

// Another site's page cannot make a node through an image or a script's request; a typed address can.
func browserForeignPageIsRefused(t *testing.T, chromium context.Context) {
	r := newRig(t, "")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<img src="%[1]s/svc/nodeid?net0=1" onerror="fetch('%[1]s/svc/nodeid?net0=2', {mode: 'no-cors'}).finally(() => { document.title = 'done' })">`, r.URL)
	}))
	defer evil.Close()
	b := newBrowser(t, chromium, r)
	b.allowed = []string{"request to " + evil.URL, "403", "404"} // 404: Chromium requests an icon
	b.open(evil.URL)
	b.until(`document.title === "done"`)
	b.open(r.URL + "/svc/nodeid?net0=3")
	b.until(`document.body.textContent.includes('"id":1')`)
}

// A value of many KiB uses little space; its focus and scroll position survive a live update.
func browserLongValueStaysInPlace(t *testing.T, chromium context.Context) {
	r := newRig(t, "")
	id := r.Node(mac1)
	r.CheckIn(id, facts1("dump", strings.Repeat("line\n", 1500)))
	b := newBrowser(t, chromium, r)
	b.open(fmt.Sprintf("%s/nodes/node%d", r.URL, id))
	b.until(isLive)
	const box = `document.getElementById("fact-value-dump")`
	b.until(box + ".clientHeight < 400 && " + box + ".scrollHeight > 5000")
	b.eval("(" + box + ".focus(), " + box + ".scrollTop = 300, true)")
	r.CheckIn(id, facts1("dump", strings.Repeat("line\n", 1500), "rack", "b4"))
	b.until(`document.querySelector("#fact-rack") !== null && window.notReloaded`)
	b.until("document.activeElement === " + box + " && " + box + ".scrollTop === 300")
}

// Text has enough contrast in both colour schemes, controls have names, and nothing needs sideways scrolling on a
// phone.
func browserAccessibility(t *testing.T, chromium context.Context) {
	r, id := hostileRig(t)
	b := newBrowser(t, chromium, r)
	for _, scheme := range []string{"light", "dark"} {
		b.do(func(ctx context.Context, s *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, s, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return chromedp.Void{}, err
		}, chromedp.EmulateViewport(360, 740))
		for _, p := range []string{"/", "/rules", fmt.Sprintf("/nodes/node%d", id)} {
			b.open(r.URL + p)
			found, err := chromedp.Run(b, chromedp.Evaluate[[]string](audit))
			testkit.Must(t, err)
			for _, f := range found {
				t.Errorf("%s, %s: %s", p, scheme, f)
			}
		}
	}
}

// audit computes contrast as defined in WCAG 2 and finds nameless controls.
const audit = `(() => {
  const found = [];
  const rgb = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const lum = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const back = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length && (c.length < 4 || c[3] > 0)) return c.slice(0, 3); } return [255, 255, 255]; };
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
    const a = lum(rgb(getComputedStyle(e).color).slice(0, 3)), b = lum(back(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push("contrast " + ratio.toFixed(2) + " of <" + e.tagName + " class=" + e.className + "> " + e.textContent.trim().slice(0, 30));
  }
  for (const e of document.querySelectorAll("input, button")) if (!(e.labels && e.labels.length) && !e.textContent.trim() && !e.ariaLabel) found.push("nameless control " + e.outerHTML);
  if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the screen: " + document.documentElement.scrollWidth);
  for (const e of document.querySelectorAll(".scroll, [data-live]")) if (e.scrollWidth > e.clientWidth) found.push("scrolls sideways: " + e.id + " " + e.scrollWidth);
  if (document.documentElement.lang !== "en" || document.querySelectorAll("h1").length !== 1 || !document.querySelector("main")) found.push("landmarks");
  for (const t of document.querySelectorAll("table")) if (getComputedStyle(t.tHead).display !== "none") if (!t.querySelector("th[scope=col]")) found.push("table without headers");
  return found;
})()`
