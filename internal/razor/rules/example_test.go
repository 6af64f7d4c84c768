package rules_test

import (
	"encoding/json"
	"fmt"

	"mkbuild/internal/razor/rules"
)

// Facts are tried on the tags of a file, and the tags choose a policy.
func Example() {
	r, err := rules.Parse([]byte(`
tags:
- name: web
  rule: ["=", ["fact", "role", "none"], "web"]
policies:
- name: install-web
  tags: [web]
  hostname: web${id}.example.com
`), "rules.yaml")
	if err != nil {
		panic(err)
	}
	tags, err := r.Match(rules.Values{Facts: rules.Facts{"role": json.RawMessage(`"web"`)}})
	if err != nil {
		panic(err)
	}
	policy := r.Choose(tags, func(string) int { return 0 })
	fmt.Println(tags, policy.Name, policy.Hostname(7))
	// Output: [web] install-web web7.example.com
}

// A rule is checked before any node sees it.
func ExampleParseRule() {
	_, err := rules.ParseRule([]byte(`[">=", ["fact", "processorcount"], 4]`))
	fmt.Println(err)
	r, err := rules.ParseRule([]byte(`[">=", ["num", ["fact", "processorcount", 0]], 4]`))
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Match(rules.Values{Facts: rules.Facts{"processorcount": json.RawMessage(`"8"`)}}))
	// Output:
	// invalid rules: function "fact" could return string or boolean or null for argument 0 of ">=", which takes number only: wrap it in "num"
	// true <nil>
}
