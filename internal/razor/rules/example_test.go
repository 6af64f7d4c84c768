package rules_test

import (
	"encoding/json"
	"fmt"

	"mkbuild/internal/razor/rules"
)

// The tags of a file are evaluated on facts, and the tags select a policy.
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
