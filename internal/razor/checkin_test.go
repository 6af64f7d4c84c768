package razor

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFactsDiffAndBlacklist(t *testing.T) {
	r := newRig(t, nil)
	id := r.node(mac1)
	r.checkin(id, facts1("a", "1", "b", 2, "uptime", "5 min", "kernelrelease", "3.0.21", "s", map[string]any{"y": 1, "x": 2}))
	n := r.load(id)
	if len(n.Last.Changes) != 0 || strings.Join(n.Last.Blacklisted, " ") != "kernelrelease uptime" {
		t.Errorf("first: %+v", n.Last)
	}
	r.checkin(id, facts1("a", "2", "c", nil, "uptime", "6 min", "s", map[string]any{"x": 2, "y": 1}))
	n = r.load(id)
	want := `[{"name":"a","kind":"changed","old":"\"1\"","new":"\"2\""},{"name":"b","kind":"removed","old":"2"},{"name":"c","kind":"added","new":"null"}]`
	if got, _ := json.Marshal(n.Last.Changes); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.checkin(id, facts1("a", "2", "c", nil, "s", map[string]any{"x": 2, "y": 1}))
	n = r.load(id)
	if len(n.Last.Changes) != 0 || len(n.Last.Recent) != 3 || n.Last.ChangedAt.IsZero() || n.Last.Count != 3 {
		t.Errorf("unchanged: %+v", n.Last)
	}
}

func TestExtensionFacts(t *testing.T) {
	check := func(t *testing.T, n *Node, by string, want ...string) {
		t.Helper()
		if o := n.Last.Extension; o.By != by || strings.Join(o.Facts, " ") != strings.Join(want, " ") {
			t.Errorf("got %+v, want %s by %s", o, want, by)
		}
	}
	t.Run("the client says", func(t *testing.T) {
		r := newRig(t, nil)
		id := r.node(mac1)
		f := facts1("rack", "b4", "with blank", "x", "mk_extension_sha256", "s1")
		r.checkin(id, f, extensionHeader+": rack, gone,with%20blank,,rack")
		check(t, r.load(id), ByClient, "rack", "with blank")
		r.checkin(id, f, extensionHeader+": ")
		check(t, r.load(id), ByClient)
	})
	t.Run("the client says in a fact", func(t *testing.T) {
		r := newRig(t, nil)
		id := r.node(mac1)
		f := facts1("rack", "b4", "row", 7, "mk_extension_sha256", "s1", "mk_extension_facts", "row,rack,gone")
		r.checkin(id, f)
		check(t, r.load(id), ByClient, "rack", "row")
		f["mk_extension_facts"] = ""
		r.checkin(id, f)
		check(t, r.load(id), ByClient)
	})
	t.Run("by comparison", func(t *testing.T) {
		r := newRig(t, nil)
		id := r.node(mac1)
		r.checkin(id, facts1("a", "1"))
		check(t, r.load(id), "")
		r.checkin(id, facts1("a", "1", "rack", "b4", "mk_extension_sha256", "s1", "mk_extension_status", "ok"))
		check(t, r.load(id), ByComparison, "rack")
		// Later changes are not the extension's, as long as its hash stays.
		r.checkin(id, facts1("a", "2", "rack", "b4", "mk_extension_sha256", "s1"))
		check(t, r.load(id), ByComparison, "rack")
		r.checkin(id, facts1("a", "2", "rack", "b4", "row", "7", "mk_extension_sha256", "s2"))
		check(t, r.load(id), ByComparison, "rack", "row")
		r.checkin(id, facts1("a", "2", "row", "7", "mk_extension_sha256", "s2"))
		check(t, r.load(id), ByComparison, "row")
		r.checkin(id, facts1("a", "2"))
		check(t, r.load(id), "")
	})
	t.Run("there from the start", func(t *testing.T) {
		r := newRig(t, nil)
		id := r.node(mac1)
		r.checkin(id, facts1("a", "1", "mk_extension_sha256", "s1"))
		check(t, r.load(id), "")
	})
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
	one, two := r.node("52:54:00:00:00:01"), r.node("52:54:00:00:00:02")
	if a := r.checkin(one, facts1("virtual", "physical")); a.body != `{"action":"none"}` {
		t.Errorf("no policy: %s", a.body)
	}
	r.get(fmt.Sprintf("/svc/store_metadata/%d?site=kept", one))
	if a := r.checkin(one, facts1("virtual", "kvm")); a.body != `{"action":"reboot"}` {
		t.Errorf("bound: %s", a.body)
	}
	n := r.load(one)
	if n.Policy != "small" || n.Hostname != "host1.example" || n.BootCount != 1 || showValue(n.Metadata) != `{"role":"db","site":"kept"}` {
		t.Errorf("bound node: %+v", n)
	}
	// Bound nodes stay bound, whatever their facts do.
	if a := r.checkin(one, facts1("virtual", "physical")); a.body != `{"action":"reboot"}` || r.load(one).Policy != "small" {
		t.Errorf("bound, other facts: %s", a.body)
	}
	// max_count is reached.
	second := map[string]any{"macaddress": "52:54:00:00:00:02", "virtual": "kvm"}
	if a := r.checkin(two, second); a.body != `{"action":"none"}` {
		t.Errorf("full policy: %s", a.body)
	}
	r.get(fmt.Sprintf("/svc/store_metadata/%d?role=db", two))
	if a := r.checkin(two, second); a.body != `{"action":"reboot"}` || r.load(two).Policy != "databases" {
		t.Errorf("second policy: %s", a.body)
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
			answers[i] = r.checkin(r.node(mac), map[string]any{"macaddress": mac}).body
		})
	}
	wg.Wait()
	bound := 0
	for _, a := range answers {
		if a == `{"action":"reboot"}` {
			bound++
		}
	}
	if bound != 7 || len(r.s.namesWhere(boundTo("seven"))) != 7 {
		t.Errorf("%d nodes bound, want 7", bound)
	}
}

// Tags follow metadata at once, without a check-in.
func TestMetadataChangesTags(t *testing.T) {
	r := newRig(t, withRules(t, "tags: [{name: db, rule: ['=', [metadata, role, null], db]}]"))
	id := r.node(mac1)
	r.checkin(id, facts1())
	r.get(fmt.Sprintf("/svc/store_metadata/%d?role=db", id))
	if got := r.load(id).Tags; len(got) != 1 {
		t.Errorf("tags %q", got)
	}
}

// What no machine has cannot become an identity.
func TestIdentityIsBounded(t *testing.T) {
	r := newRig(t, nil)
	many := url.Values{}
	for i := range maxIdentity + 1 {
		many.Set(fmt.Sprintf("net%d", i), fmt.Sprint(i))
	}
	for name, q := range map[string]string{"long": "net0=" + strings.Repeat("a", maxEntry), "NUL": "net0=a%00b", "many": many.Encode()} {
		for _, path := range []string{"/svc/nodeid?", "/svc/boot?"} {
			if a := r.get(path + q); a.status != 400 {
				t.Errorf("%s%s: got %d", path, name, a.status)
			}
		}
	}
	id := r.node(mac1)
	if a := r.checkin(id, facts1("uuid", strings.Repeat("u", 40000))); a.status != 400 {
		t.Errorf("long uuid: got %d", a.status)
	}
}

// A rule that fails sets nothing and binds nothing, though another tag matches; also a bound
// node is then told "none".
func TestRuleErrorAnswersNone(t *testing.T) {
	r := newRig(t, withRules(t, `
tags:
- {name: kvm, rule: ["=", ["fact", "virtual", ""], "kvm"]}
- {name: rack, rule: ["=", ["fact", "rack"], "b4"]}
policies:
- {name: all, tags: [kvm]}
`))
	id := r.node(mac1)
	if a := r.checkin(id, facts1("virtual", "kvm")); a.status != 200 || a.body != `{"action":"none"}` {
		t.Errorf("got %d %s", a.status, a.body)
	}
	n := r.load(id)
	if n.Policy != "" || len(n.Tags) != 0 || !strings.Contains(n.Last.RuleError, `tag "rack": Couldn't find fact 'rack' and no default supplied`) {
		t.Errorf("node: %+v", n)
	}
	l := r.logOf(id)
	if len(l) != 1 || l[0].Severity != "error" || l[0].Msg != `Couldn't find fact 'rack' and no default supplied while evaluating rule: ["=",["fact","rack"],"b4"]` {
		t.Errorf("log: %+v", l)
	}
	r.checkin(id, facts1("virtual", "kvm", "rack", "x"))
	if n := r.load(id); n.Policy != "all" || n.Last.RuleError != "" {
		t.Errorf("mended: %+v", n)
	}
	if a := r.checkin(id, facts1("virtual", "kvm")); a.body != `{"action":"none"}` {
		t.Errorf("bound node with a rule error: %s", a.body)
	}
}

func TestRuleArgumentErrorIs400AndStoresNothing(t *testing.T) {
	r := newRig(t, withRules(t, "tags: [{name: m, rule: [has_macaddress, x]}]"))
	id := r.node(mac1)
	r.checkin(id, facts1("a", "1"))
	if a := r.checkin(id, facts1("a", "2", "macaddress_x", 5)); a.status != 400 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if n := r.load(id); n.Last.Count != 1 {
		t.Errorf("a refused check-in was stored: %+v", n.Last)
	}
}

func TestProtectNewNodes(t *testing.T) {
	r := newRig(t, func(o *Options) {
		withRules(t, "policies: [{name: all}]")(o)
		o.Config.ProtectNewNodes = true
	})
	id := r.node(mac1)
	if a := r.checkin(id, facts1()); a.body != `{"action":"reboot"}` {
		t.Errorf("got %s", a.body)
	}
	if n := r.load(id); n.Installed != "+protected" || n.Policy != "" {
		t.Errorf("node: %+v", n)
	}
	mustContain(t, r.logOf(id)[0].Msg, "protect_new_nodes")
}

func TestDryRun(t *testing.T) {
	r := newRig(t, func(o *Options) {
		withRules(t, "policies: [{name: all}]")(o)
		o.DryRun = true
	})
	id := r.node(mac1)
	for range 2 {
		if a := r.checkin(id, facts1()); a.body != `{"action":"none"}` {
			t.Errorf("got %s", a.body)
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
	id := r.node(mac1)
	r.checkin(id, facts1("a", "1"))
	touch := func(text string, age time.Duration) {
		write(t, file, text)
		when := time.Now().Add(-age)
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
		r.s.ReloadRules()
	}
	tags := func() string { return strings.Join(r.load(id).Tags, " ") }
	if tags() != "one" {
		t.Fatalf("tags %q", tags())
	}
	touch("tags: [{name: broken, rule: [fact, a]}]", time.Minute)
	if tags() != "one" {
		t.Errorf("a broken file changed the rules: %q", tags())
	}
	for _, p := range []string{"/", "/rules", fmt.Sprintf("/nodes/node%d", id)} {
		mustContain(t, r.get(p).body, "the last good ones stay in force", "could return")
	}
	touch("tags: [{name: two, rule: ['=', [fact, a, 0], '1']}, {name: fails, rule: ['=', [fact, gone], 1]}]", 2*time.Minute)
	if tags() != "two" {
		t.Errorf("tags %q", tags())
	}
	mustNotContain(t, r.get("/").body, "the last good ones")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.s.ReloadRules()
	if tags() != "two" {
		t.Errorf("without its file: tags %q", tags())
	}
	mustContain(t, r.get("/rules").body, "the last good ones stay in force")
}

// No body makes the server panic, and what it accepts it can store and show.
func FuzzCheckin(f *testing.F) {
	for _, b := range []string{`{"facts":{"macaddress":"52:54:00:00:00:01"}}`, `{"facts":{"a":[1,{"b":1e400}],"\u0000":null}}`, `{"facts":"x"}`, `[[[`, `{"facts":{"uptime":-0.0,"uuid":5}}`} {
		f.Add([]byte(b))
	}
	c := DefaultConfig()
	f.Fuzz(func(t *testing.T, body []byte) {
		facts, status := factsOf(body)
		if status != 0 {
			return
		}
		q := &checkinRequest{facts: facts}
		if err := q.prepare(&c); err != nil {
			t.Fatal(err)
		}
		var again map[string]json.RawMessage
		if err := decodeJSON(q.keptAll, &again); err != nil {
			t.Fatalf("stored facts are not readable: %v", err)
		}
		if d := diffFacts(again, q.keptRaw); len(d) != 0 {
			t.Fatalf("stored facts differ: %v", d)
		}
		factRows(q.kept, &Node{})
	})
}
