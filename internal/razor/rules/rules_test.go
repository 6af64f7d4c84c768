package rules

import (
	"fmt"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

func TestRulesFileErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not a map", "- a", "rules.yaml:1: expected a "},
		{"unknown key", "tag: []", "rules.yaml:1: unknown key \"tag\""},
		{"tags no list", "tags: {a: b}", "rules.yaml:1: expected a "},
		{"tag without name", "tags:\n- rule: [\"=\", 1, 1]", "rules.yaml:2: tag name must have 1 to 250 characters"},
		{"tag without rule", "tags:\n- name: a", "rules.yaml:2: tag \"a\": it has no rule"},
		{"policy with an unknown key", "policies:\n- name: a\n  maxcount: 5", "rules.yaml:3: unknown key \"maxcount\""},
		{"tag with an unknown key", "tags:\n- name: a\n  rules: []", "rules.yaml:3: unknown key \"rules\""},
		{"empty name", "tags:\n- name: ' '\n  rule: [\"=\", 1, 1]", "1 to 250 characters"},
		{"bad rule", "tags:\n- name: a\n  rule: [fact, x]", "rules.yaml:3: tag \"a\": invalid rules: function \"fact\" could return"},
		{"rule is a map", "tags:\n- name: a\n  rule: {a: 1}", "must be an array"},
		{"same tag", "tags:\n- {name: a, rule: [\"=\", 1, 1]}\n- {name: A, rule: [\"=\", 1, 1]}", "rules.yaml:3: tag \"A\" is defined twice"},
		{"policy without name", "policies:\n- tags: []", "rules.yaml:2: policy name must have"},
		{"unknown tag", "policies:\n- {name: p, tags: [x]}", "rules.yaml:2: policy \"p\": unknown tag \"x\""},
		{"same policy", "policies: [{name: p}, {name: P}]", "is defined twice"},
		{"enabled is a string", "policies: [{name: p, enabled: maybe}]", "expected true or false, found"},
		{"max_count is a word", "policies: [{name: p, max_count: many}]", "expected a whole number, found"},
		{"max_count is negative", "policies: [{name: p, max_count: -1}]", "must not be negative"},
		{"max_count is huge", "policies: [{name: p, max_count: 99999999999999999999}]", "expected a whole number, found"},
		{"metadata is a list", "policies: [{name: p, node_metadata: [1]}]", "expected a mapping (key: value), found a list"},
		{"metadata is no JSON", "policies: [{name: p, node_metadata: {a: .nan}}]", "not JSON"},
		{"before", "policies: [{name: p, before: q}]", "unknown key \"before\""},
		{"repeated key", "tags: []\ntags: []", "rules.yaml:2: mapping key \"tags\" already defined"},
		{"not YAML", "tags:\n- {name: a rule: []}\n", "rules.yaml:2:"},
		{"tab", "\ttags: []", "rules.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), "rules.yaml")
			if fail.ClassOf(err) != fail.Usage || fail.HintOf(err) == "" || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "rules.Policy") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRulesFile(t *testing.T) {
	// JSON as in the razor client, and YAML.
	r, err := Parse([]byte(`{"tags":[{"name":"small","rule":["<=",["num",["fact","processorcount",0]],2]}],
		"policies":[{"name":"p","repo":"centos","task":"centos","broker":"noop","enabled":false,"hostname":"host${id}.example.com",
		"root_password":"secret","max_count":20,"tags":["SMALL"],"node_metadata":{"key":"value"}}]}`), "rules.json")
	testkit.Must(t, err)
	p := r.Policies[0]
	if !p.Disabled() || *p.MaxCount != 20 || p.Tags[0] != "small" || p.HostnamePattern != "host${id}.example.com" || p.NodeMetadata["key"] != "value" {
		t.Errorf("policy %+v", p)
	}
	if len(r.Warnings) != 0 {
		t.Errorf("warnings %q", r.Warnings)
	}
	r, err = Parse([]byte("tags:\n- name: kvm\n  rule:\n  - and\n  - ['=', [fact, virtual], kvm]\n  - ['=', [tag, gone], true]\npolicies:\n- name: p\n"), "rules.yaml")
	testkit.Must(t, err)
	if r.Policies[0].Disabled() || r.Policies[0].MaxCount != nil {
		t.Errorf("defaults %+v", r.Policies[0])
	}
	if got := strings.Join(r.Warnings, "\n"); len(r.Warnings) != 2 || !strings.Contains(got, `fact "virtual" has no default`) || !strings.Contains(got, `uses tag "gone", which does not exist`) {
		t.Errorf("warnings %s", got)
	}
	if _, err := Parse(nil, "empty"); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func TestChoosePolicy(t *testing.T) {
	r, err := Parse([]byte(`
tags:
- {name: a, rule: ["=", 1, 1]}
- {name: b, rule: ["=", 1, 1]}
policies:
- {name: disabled, enabled: false}
- {name: none at all, max_count: 0}
- {name: both, tags: [a, b], max_count: 2}
- {name: only a, tags: [a]}
- {name: everything}
- {name: never reached}
`), "rules.yaml")
	testkit.Must(t, err)
	for _, c := range []struct {
		tags  []string
		bound int
		want  string
	}{
		{nil, 0, "everything"},
		{[]string{"b"}, 0, "everything"},
		{[]string{"a"}, 0, "only a"},
		{[]string{"a", "b"}, 0, "both"},
		{[]string{"a", "b", "c"}, 1, "both"},
		{[]string{"a", "b"}, 2, "only a"},
	} {
		if p := r.Choose(c.tags, func(string) int { return c.bound }); p == nil || p.Name != c.want {
			t.Errorf("%v, %d bound: got %v, want %s", c.tags, c.bound, p, c.want)
		}
	}
	if p := (&Rules{}).Choose(nil, nil); p != nil {
		t.Errorf("no policies: got %v", p)
	}
}

func TestHostname(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "", "host": "host", "host${id}": "host7", "h${ id }.x": "h7.x", "${id}${id}": "77", "${name}": "${name}", "a${id": "a${id", "$id": "$id", "${x}${id}": "${x}7",
	} {
		if got := (&Policy{HostnamePattern: pattern}).Hostname(7); got != want {
			t.Errorf("%q: got %q, want %q", pattern, got, want)
		}
	}
}

func FuzzRulesFile(f *testing.F) {
	f.Add([]byte("tags:\n- {name: a, rule: [\"=\", [fact, x], 0x1f]}\npolicies:\n- {name: p, tags: [a], max_count: 3}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<<: {}\ntags: [{name: .inf, rule: [=, .nan, .inf]}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b, "f")
		if err != nil && fail.ClassOf(err) != fail.Usage {
			t.Fatalf("error of another kind: %v", err)
		}
		if err == nil {
			r.Results(Values{})
			_ = fmt.Sprint(r.Warnings)
		}
	})
}
