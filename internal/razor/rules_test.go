package razor

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRulesFileErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not a map", "- a", "rules.yaml:1: the file must be a map"},
		{"unknown key", "tag: []", "unknown key \"tag\""},
		{"tags no list", "tags: {a: b}", "rules.yaml:1: tags must be a list"},
		{"tag without name", "tags:\n- rule: [\"=\", 1, 1]", "rules.yaml:2: tag has no name"},
		{"tag without rule", "tags:\n- name: a", "rules.yaml:2: tag \"a\" has no rule"},
		{"tag with an unknown key", "tags:\n- name: a\n  rules: []", "unknown key \"rules\""},
		{"empty name", "tags:\n- name: ' '\n  rule: [\"=\", 1, 1]", "1 to 250 characters"},
		{"name is a number", "tags:\n- name: 5\n  rule: [\"=\", 1, 1]", "must be a string, not 5"},
		{"bad rule", "tags:\n- name: a\n  rule: [fact, x]", "rules.yaml:3: tag \"a\": invalid rules: function \"fact\" could return"},
		{"rule is a map", "tags:\n- name: a\n  rule: {a: 1}", "must be an array"},
		{"same tag", "tags:\n- {name: a, rule: [\"=\", 1, 1]}\n- {name: A, rule: [\"=\", 1, 1]}", "rules.yaml:3: tag \"A\" is there twice"},
		{"alias", "tags:\n- &x {name: a, rule: [\"=\", 1, &y 1]}\n- {name: b, rule: [\"=\", 1, *y]}", "aliases are not supported"},
		{"tag of itself", "tags:\n- {name: a, rule: [\"=\", [tag, b], true]}\n- {name: b, rule: [\"=\", [tag, A], true]}", "refers to itself: a → b → a"},
		{"policy without name", "policies:\n- tags: []", "rules.yaml:2: policy has no name"},
		{"unknown tag", "policies:\n- {name: p, tags: [x]}", "there is no tag \"x\""},
		{"same policy", "policies: [{name: p}, {name: P}]", "is there twice"},
		{"enabled is a string", "policies: [{name: p, enabled: 'yes'}]", "must be true or false"},
		{"max_count is a float", "policies: [{name: p, max_count: 1.5}]", "must be an integer"},
		{"max_count is negative", "policies: [{name: p, max_count: -1}]", "must not be negative"},
		{"max_count is huge", "policies: [{name: p, max_count: 99999999999999999999}]", "max_count"},
		{"metadata is a list", "policies: [{name: p, node_metadata: [1]}]", "must be a map"},
		{"before", "policies: [{name: p, before: q}]", "order of this file"},
		{"repeated key", "tags: []\ntags: []", "twice"},
		{"not YAML", "tags: [", "rules.yaml"},
		{"tab", "\ttags: []", "rules.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseRules([]byte(c.text), "rules.yaml")
			if !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRulesFile(t *testing.T) {
	// JSON as the razor client takes it, and YAML.
	r, err := ParseRules([]byte(`{"tags":[{"name":"small","rule":["<=",["num",["fact","processorcount",0]],2]}],
		"policies":[{"name":"p","repo":"centos","task":"centos","broker":"noop","enabled":false,"hostname":"host${id}.example.com",
		"root_password":"secret","max_count":20,"tags":["SMALL"],"node_metadata":{"key":"value"}}]}`), "rules.json")
	if err != nil {
		t.Fatal(err)
	}
	p := r.Policies[0]
	if p.Enabled || p.MaxCount != 20 || p.Tags[0] != "small" || p.Hostname != "host${id}.example.com" || p.NodeMetadata["key"] != "value" {
		t.Errorf("policy %+v", p)
	}
	if len(r.Warnings) != 0 {
		t.Errorf("warnings %q", r.Warnings)
	}
	r, err = ParseRules([]byte("tags:\n- name: kvm\n  rule:\n  - and\n  - ['=', [fact, virtual], kvm]\n  - ['=', [tag, gone], true]\npolicies:\n- name: p\n"), "rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Policies[0].Enabled || r.Policies[0].MaxCount != -1 {
		t.Errorf("defaults %+v", r.Policies[0])
	}
	mustContain(t, strings.Join(r.Warnings, "\n"), `fact "virtual" has no default`, `asks for tag "gone", which does not exist`)
	if _, err := ParseRules(nil, "empty"); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func TestChoosePolicy(t *testing.T) {
	r, err := ParseRules([]byte(`
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
	if err != nil {
		t.Fatal(err)
	}
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
		if p := r.choose(c.tags, func(string) int { return c.bound }); p == nil || p.Name != c.want {
			t.Errorf("%v, %d bound: got %v, want %s", c.tags, c.bound, p, c.want)
		}
	}
	if p := (&Rules{}).choose(nil, nil); p != nil {
		t.Errorf("no policies: got %v", p)
	}
}

func TestExpandHostname(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "", "host": "host", "host${id}": "host7", "h${ id }.x": "h7.x", "${id}${id}": "77", "${name}": "${name}", "a${id": "a${id", "$id": "$id", "${x}${id}": "${x}7",
	} {
		if got := expandHostname(pattern, 7); got != want {
			t.Errorf("%q: got %q, want %q", pattern, got, want)
		}
	}
}

func FuzzRulesFile(f *testing.F) {
	f.Add([]byte("tags:\n- {name: a, rule: [\"=\", [fact, x], 0x1f]}\npolicies:\n- {name: p, tags: [a], max_count: 3}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<<: {}\ntags: [{name: .inf, rule: [=, .nan, .inf]}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRules(b, "f")
		if err != nil && !errors.Is(err, ErrRules) {
			t.Fatalf("error of another kind: %v", err)
		}
		if err == nil {
			r.Results(Values{})
			_ = fmt.Sprint(r.Warnings)
		}
	})
}
