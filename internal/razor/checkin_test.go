package razor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/razor/rules"
)

func TestFactsDiffAndBlacklist(t *testing.T) {
	r := newRig(t, nil)
	id := r.Node(mac1)
	r.CheckIn(id, facts1("a", "1", "b", 2, "uptime", "5 min", "kernelrelease", "3.0.21", "s", map[string]any{"y": 1, "x": 2}))
	n := r.load(id)
	if len(n.Last.Changed()) != 0 || strings.Join(n.Last.Blacklisted, " ") != "kernelrelease uptime" {
		t.Errorf("first: %+v", n.Last)
	}
	r.CheckIn(id, facts1("a", "2", "c", nil, "uptime", "6 min", "s", map[string]any{"x": 2, "y": 1}))
	n = r.load(id)
	want := `[{"name":"a","kind":"changed","old":"\"1\"","new":"\"2\""},{"name":"b","kind":"removed","old":"2"},{"name":"c","kind":"added","new":"null"}]`
	if got, _ := json.Marshal(n.Last.Changed()); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.CheckIn(id, facts1("a", "2", "c", nil, "s", map[string]any{"x": 2, "y": 1}))
	n = r.load(id)
	if len(n.Last.Changed()) != 0 || len(n.Last.Changes) != 3 || n.Last.ChangedAt.IsZero() || n.Last.Count != 3 {
		t.Errorf("unchanged: %+v", n.Last)
	}
}

// The client lists its extension's facts; facts that it did not send do not count.
func TestExtensionFacts(t *testing.T) {
	r := newRig(t, nil)
	id := r.Node(mac1)
	for names, want := range map[string]string{"row, rack,gone,,rack": "rack row", "": "", "a b": "a b"} {
		r.CheckIn(id, facts1("rack", "b4", "row", 7, "a b", "x", "mk_extension_facts", names))
		if got := strings.Join(r.load(id).Last.FromExtension, " "); got != want {
			t.Errorf("%q: got %q, want %q", names, got, want)
		}
	}
	for _, other := range []any{nil, 5, []any{"rack"}} {
		r.CheckIn(id, facts1("rack", "b4", "mk_extension_facts", other))
		if got := r.load(id).Last.FromExtension; len(got) != 0 {
			t.Errorf("%v: got %q", other, got)
		}
	}
}

const policyRules = `
tags:
- {name: kvm, rule: ["=", ["fact", "virtual", ""], "kvm"]}
- {name: db, rule: ["=", ["metadata", "role", null], "db"]}
policies:
- {name: off, enabled: false}
- {name: small, tags: [kvm], max_count: 1, hostname: 'host${id}.example', node_metadata: {role: db, site: '{"a":1}'}}
- {name: databases, tags: [db]}
`

func TestPolicyBinding(t *testing.T) {
	r := newRig(t, withRules(t, policyRules))
	one, two := r.Node("52:54:00:00:00:01"), r.Node("52:54:00:00:00:02")
	if a := r.CheckIn(one, facts1("virtual", "physical")); a.Body != `{"action":"none"}` {
		t.Errorf("no policy: %s", a.Body)
	}
	r.Get(fmt.Sprintf("/svc/store_metadata/%d?site=kept", one))
	if a := r.CheckIn(one, facts1("virtual", "kvm")); a.Body != `{"action":"reboot"}` {
		t.Errorf("bound: %s", a.Body)
	}
	n := r.load(one)
	if n.Policy != "small" || n.Hostname != "host1.example" || asJSON(n.Metadata) != `{"role":"db","site":"kept"}` {
		t.Errorf("bound node: %+v", n)
	}
	// Bound nodes stay bound, whatever their facts.
	if a := r.CheckIn(one, facts1("virtual", "physical")); a.Body != `{"action":"reboot"}` || r.load(one).Policy != "small" {
		t.Errorf("bound, other facts: %s", a.Body)
	}
	// max_count is reached.
	second := map[string]any{"macaddress": "52:54:00:00:00:02", "virtual": "kvm"}
	if a := r.CheckIn(two, second); a.Body != `{"action":"none"}` {
		t.Errorf("full policy: %s", a.Body)
	}
	r.Get(fmt.Sprintf("/svc/store_metadata/%d?role=db", two))
	if a := r.CheckIn(two, second); a.Body != `{"action":"reboot"}` || r.load(two).Policy != "databases" {
		t.Errorf("second policy: %s", a.Body)
	}
	var events []string
	for _, e := range r.logOf(one) {
		events = append(events, e.Event+e.Action)
	}
	if got := strings.Join(events, " "); got != "reboot reboot bind store_metadata" {
		t.Errorf("log: %s", got)
	}
}

// A policy's limit holds when many nodes check in at once.
func TestMaxCountUnderConcurrency(t *testing.T) {
	r := newRig(t, withRules(t, "policies: [{name: seven, max_count: 7}]"))
	answers := make([]string, 40)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			mac := fmt.Sprintf("52:54:00:00:01:%02x", i)
			answers[i] = r.CheckIn(r.Node(mac), map[string]any{"macaddress": mac}).Body
		})
	}
	wg.Wait()
	bound := 0
	for _, a := range answers {
		if a == `{"action":"reboot"}` {
			bound++
		}
	}
	stored := 0
	err := r.s.Nodes(func(n *Node, _ []byte) {
		if n.Policy == "seven" {
			stored++
		}
	})
	if bound != 7 || stored != 7 || err != nil {
		t.Errorf("%d nodes told to reboot, %d bound, want 7 (%v)", bound, stored, err)
	}
}

// Values that no machine has cannot become an identity.
func TestIdentityIsBounded(t *testing.T) {
	r := newRig(t, nil)
	many := url.Values{}
	for i := range maxIdentity + 1 {
		many.Set(fmt.Sprintf("net%d", i), fmt.Sprint(i))
	}
	for name, q := range map[string]string{"long": "net0=" + strings.Repeat("a", maxEntry), "NUL": "net0=a%00b", "many": many.Encode()} {
		for _, path := range []string{"/svc/nodeid?", "/svc/boot?"} {
			if a := r.Get(path + q); a.Status != 400 {
				t.Errorf("%s%s: got %d", path, name, a.Status)
			}
		}
	}
	id := r.Node(mac1)
	if a := r.CheckIn(id, facts1("uuid", strings.Repeat("u", 40000))); a.Status != 400 {
		t.Errorf("long uuid: got %d", a.Status)
	}
}

// A failing rule sets nothing and binds nothing, though another tag matches; a bound node also gets "none".
func TestRuleErrorAnswersNone(t *testing.T) {
	r := newRig(t, withRules(t, `
tags:
- {name: kvm, rule: ["=", ["fact", "virtual", ""], "kvm"]}
- {name: rack, rule: ["=", ["fact", "rack"], "b4"]}
policies:
- {name: all, tags: [kvm]}
`))
	id := r.Node(mac1)
	if a := r.CheckIn(id, facts1("virtual", "kvm")); a.Status != 200 || a.Body != `{"action":"none"}` {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	n := r.load(id)
	if n.Policy != "" || len(n.Tags) != 0 || !strings.Contains(n.Last.RuleError, `tag "rack": Couldn't find fact 'rack' and no default supplied`) {
		t.Errorf("node: %+v", n)
	}
	l := r.logOf(id)
	if len(l) != 1 || l[0].Severity != "error" || l[0].Msg != `tag "rack": Couldn't find fact 'rack' and no default supplied while evaluating rule: ["=",["fact","rack"],"b4"]` {
		t.Errorf("log: %+v", l)
	}
	r.CheckIn(id, facts1("virtual", "kvm", "rack", "x"))
	if n := r.load(id); n.Policy != "all" || n.Last.RuleError != "" {
		t.Errorf("fixed: %+v", n)
	}
	if a := r.CheckIn(id, facts1("virtual", "kvm")); a.Body != `{"action":"none"}` {
		t.Errorf("bound node with a rule error: %s", a.Body)
	}
}

func TestProtectNewNodes(t *testing.T) {
	r := newRig(t, func(o *Options) {
		withRules(t, "policies: [{name: all}]")(o)
		o.Config.ProtectNewNodes = true
	})
	id := r.Node(mac1)
	if a := r.CheckIn(id, facts1()); a.Body != `{"action":"reboot"}` {
		t.Errorf("got %s", a.Body)
	}
	if n := r.load(id); n.Installed != "+protected" || n.Policy != "" {
		t.Errorf("node: %+v", n)
	}
	testkit.Contains(t, r.logOf(id)[0].Msg, "protect_new_nodes")
}

func TestDryRun(t *testing.T) {
	r := newRig(t, func(o *Options) {
		withRules(t, "policies: [{name: all}]")(o)
		o.DryRun = true
	})
	id := r.Node(mac1)
	for range 2 {
		if a := r.CheckIn(id, facts1()); a.Body != `{"action":"none"}` {
			t.Errorf("got %s", a.Body)
		}
	}
	if n := r.load(id); n.Policy != "" || n.Last.Would != "bind to policy all and reboot" {
		t.Errorf("node: %+v", n)
	}
}

func TestRulesReload(t *testing.T) {
	var file string
	r := newRig(t, func(o *Options) {
		withRules(t, "tags: [{name: one, rule: ['=', [fact, a, 0], '1']}]")(o)
		file = o.RulesFile
	})
	id := r.Node(mac1)
	expect := func(tags, complaint string) {
		t.Helper()
		r.CheckIn(id, facts1("a", "1"))
		if got := strings.Join(r.load(id).Tags, " "); got != tags {
			t.Errorf("tags %q, want %q", got, tags)
		}
		if got := r.s.Status().RulesError; (got == "") != (complaint == "") || !strings.Contains(got, complaint) {
			t.Errorf("error %q, want %q", got, complaint)
		}
	}
	touch := func(text string, age time.Duration) {
		write(t, file, text)
		when := time.Now().Add(-age)
		testkit.Must(t, os.Chtimes(file, when, when))
	}
	touch("tags: [{name: broken, rule: [fact, a]}]", time.Minute)
	expect("one", "the last good ones still apply: "+file+":1: ")
	touch("tags: [{name: two, rule: ['=', [fact, a, 0], '1']}]", 2*time.Minute)
	expect("two", "")
	testkit.Must(t, os.Remove(file))
	expect("two", "the last good ones still apply")
}

// No body makes the server panic, and the server can store and show every body that it accepts.
func FuzzCheckin(f *testing.F) {
	for _, b := range []string{`{"facts":{"macaddress":"52:54:00:00:00:01"}}`, `{"facts":{"a":[1,{"b":1e400}],"\u0000":null}}`, `{"facts":"x"}`, `[[[`, `{"facts":{"uptime":-0.0,"uuid":5}}`} {
		f.Add([]byte(b))
	}
	c := DefaultConfig()
	f.Fuzz(func(t *testing.T, body []byte) {
		p := &posted{}
		err := p.readFacts(body, &c)
		if _, refused := errors.AsType[*refusal](err); refused {
			return
		}
		testkit.Must(t, err)
		var again rules.Facts
		if err := json.Unmarshal(p.canonical, &again); err != nil {
			t.Fatalf("stored facts are not readable: %v", err)
		}
		if d := changesOf(again, p.facts); len(d) != 0 {
			t.Fatalf("stored facts differ: %v", d)
		}
	})
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
