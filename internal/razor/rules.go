package razor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Tag names a rule.
type Tag struct {
	Name string
	Rule *Rule
}

// Policy decides what becomes of nodes with certain tags. This server installs nothing: a
// bound node is told to reboot, and that is all.
type Policy struct {
	Name string
	// Tags a node must have, all of them; none means every node.
	Tags []string
	// Enabled policies are considered; the default is true.
	Enabled bool
	// MaxCount is how many nodes may be bound; negative means any number.
	MaxCount int
	// Hostname is the pattern for a bound node's name; ${id} is the node's number.
	Hostname string
	// NodeMetadata is added to a bound node's metadata where the key is missing.
	NodeMetadata map[string]any
	// Repo, Task and Broker are kept for the API's sake.
	Repo, Task, Broker string
}

// Rules are the tags and policies of one file. They are never changed once made.
type Rules struct {
	Tags     []Tag
	Policies []Policy
	// Warnings are findings that Razor accepts, too, but that will hurt at run time.
	Warnings []string
	byName   map[string]*Rule
}

// Limits of the rules file.
const (
	maxTags     = 2000
	maxPolicies = 2000
)

// LoadRules reads tags and policies from a YAML or JSON file.
func LoadRules(file string) (*Rules, error) {
	b, err := readLimited(file, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return ParseRules(b, file)
}

// ParseRules is [LoadRules] on bytes; file is for error messages.
func ParseRules(b []byte, file string) (*Rules, error) {
	d := yamlDoc{file: file, kind: ErrRules}
	root, err := d.parse(b)
	if err != nil {
		return nil, err
	}
	top, err := d.known(root, "the file", "tags", "policies")
	if err != nil {
		return nil, err
	}
	r := &Rules{byName: map[string]*Rule{}}
	if n, ok := top["tags"]; ok {
		if err := d.tags(n, r); err != nil {
			return nil, err
		}
	}
	if n, ok := top["policies"]; ok {
		if err := d.policies(n, r); err != nil {
			return nil, err
		}
	}
	return r, r.check(d)
}

// known is a map in which no other keys may stand.
func (d yamlDoc) known(n *yaml.Node, what string, keys ...string) (map[string]*yaml.Node, error) {
	m, err := d.mapping(n, what)
	if err != nil {
		return nil, err
	}
	for k, v := range m {
		if !slices.Contains(keys, k) {
			return nil, d.errorf(v, "%s: unknown key %q (known: %s)", what, k, strings.Join(keys, ", "))
		}
	}
	return m, nil
}

func (d yamlDoc) tags(n *yaml.Node, r *Rules) error {
	items, err := d.list(n, "tags")
	if err != nil {
		return err
	}
	if len(items) > maxTags {
		return d.errorf(n, "%d tags, the limit is %d", len(items), maxTags)
	}
	for _, it := range items {
		t, err := d.tag(it)
		if err != nil {
			return err
		}
		key := strings.ToLower(t.Name)
		if _, dup := r.byName[key]; dup {
			return d.errorf(it, "tag %q is there twice (case does not count)", t.Name)
		}
		r.byName[key] = t.Rule
		r.Tags = append(r.Tags, t)
	}
	return nil
}

func (d yamlDoc) tag(n *yaml.Node) (Tag, error) {
	m, err := d.known(n, "tag", "name", "rule")
	if err != nil {
		return Tag{}, err
	}
	name, err := d.name(n, m, "tag")
	if err != nil {
		return Tag{}, err
	}
	if m["rule"] == nil {
		return Tag{}, d.errorf(n, "tag %q has no rule", name)
	}
	v, err := d.value(m["rule"], 0)
	if err != nil {
		return Tag{}, err
	}
	rule, err := NewRule(v)
	if err != nil {
		return Tag{}, d.errorf(m["rule"], "tag %q: %v", name, err)
	}
	return Tag{name, rule}, nil
}

func (d yamlDoc) name(n *yaml.Node, m map[string]*yaml.Node, what string) (string, error) {
	if m["name"] == nil {
		return "", d.errorf(n, "%s has no name", what)
	}
	name, err := d.text(m["name"], what+" name")
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(name) == "" || len(name) > 250 || strings.ContainsRune(name, 0) {
		return "", d.errorf(m["name"], "%s name must have 1 to 250 characters", what)
	}
	return name, nil
}

// value decodes a node into what a JSON decoder would give. Aliases are refused, so that a
// small file cannot become a big value.
func (d yamlDoc) value(n *yaml.Node, depth int) (any, error) {
	if depth > maxRuleDepth {
		return nil, d.errorf(n, "nested deeper than %d", maxRuleDepth)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := d.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		m, err := d.mapping(n, "value")
		if err != nil {
			return nil, err
		}
		out := make(map[string]any, len(m))
		for k, c := range m {
			if out[k], err = d.value(c, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case yaml.ScalarNode:
		return d.scalar(n)
	}
	return nil, d.errorf(n, "anchors and aliases are not supported here")
}

// scalar keeps to the types of JSON: a date or binary is the string it was written as.
func (d yamlDoc) scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), nil
		}
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, d.errorf(n, "%v", err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, d.errorf(n, "%s is no number of JSON", n.Value)
		}
		return json.Number(b), nil
	}
	return n.Value, nil
}

var policyKeys = []string{
	"name", "tags", "enabled", "max_count", "hostname", "node_metadata", "repo", "task", "broker", "root_password",
}

func (d yamlDoc) policies(n *yaml.Node, r *Rules) error {
	items, err := d.list(n, "policies")
	if err != nil {
		return err
	}
	if len(items) > maxPolicies {
		return d.errorf(n, "%d policies, the limit is %d", len(items), maxPolicies)
	}
	seen := map[string]bool{}
	for _, it := range items {
		p, err := d.policy(it)
		if err != nil {
			return err
		}
		if seen[strings.ToLower(p.Name)] {
			return d.errorf(it, "policy %q is there twice (case does not count)", p.Name)
		}
		seen[strings.ToLower(p.Name)] = true
		for i, tag := range p.Tags {
			name, ok := r.tagName(tag)
			if !ok {
				return d.errorf(it, "policy %q: there is no tag %q", p.Name, tag)
			}
			p.Tags[i] = name
		}
		r.Policies = append(r.Policies, p)
	}
	return nil
}

func (d yamlDoc) policy(n *yaml.Node) (Policy, error) {
	for _, c := range resolve(n).Content {
		if c.Value == "before" || c.Value == "after" {
			return Policy{}, d.errorf(c, "policy: %q is not needed: policies are tried in the order of this file", c.Value)
		}
	}
	m, err := d.known(n, "policy", policyKeys...)
	if err != nil {
		return Policy{}, err
	}
	p := Policy{Enabled: true, MaxCount: -1}
	if p.Name, err = d.name(n, m, "policy"); err != nil {
		return p, err
	}
	for key, dst := range map[string]*string{"hostname": &p.Hostname, "repo": &p.Repo, "task": &p.Task, "broker": &p.Broker} {
		if m[key] != nil {
			if *dst, err = d.text(m[key], "policy "+key); err != nil {
				return p, err
			}
		}
	}
	if v := m["tags"]; v != nil {
		if p.Tags, err = d.texts(v, "policy tags"); err != nil {
			return p, err
		}
	}
	return p, d.policyLimits(m, &p)
}

func (d yamlDoc) policyLimits(m map[string]*yaml.Node, p *Policy) (err error) {
	if v := m["enabled"]; v != nil {
		if p.Enabled, err = d.boolean(v, "policy enabled"); err != nil {
			return err
		}
	}
	if v := m["max_count"]; v != nil && !isNull(v) {
		if p.MaxCount, err = d.integer(v, "policy max_count"); err != nil {
			return err
		}
		if p.MaxCount < 0 {
			return d.errorf(v, "policy max_count must not be negative; leave it out for any number")
		}
	}
	if v := m["node_metadata"]; v != nil && !isNull(v) {
		val, err := d.value(v, 0)
		if err != nil {
			return err
		}
		md, ok := val.(map[string]any)
		if !ok {
			return d.errorf(v, "policy node_metadata must be a map, not %s", kindName(v))
		}
		p.NodeMetadata = md
	}
	return nil
}

// tagName finds a tag whatever the case of its name.
func (r *Rules) tagName(name string) (string, bool) {
	for _, t := range r.Tags {
		if strings.EqualFold(t.Name, name) {
			return t.Name, true
		}
	}
	return "", false
}

// tag is [Values.Tag].
func (r *Rules) tag(name string) (*Rule, bool) {
	rule, ok := r.byName[strings.ToLower(name)]
	return rule, ok
}

// expandHostname fills in ${id}, blanks inside the braces allowed.
func expandHostname(pattern string, id uint64) string {
	var b strings.Builder
	for {
		start := strings.Index(pattern, "${")
		if start < 0 {
			break
		}
		end := strings.IndexByte(pattern[start:], '}')
		if end < 0 {
			break
		}
		b.WriteString(pattern[:start])
		if strings.TrimSpace(pattern[start+2:start+end]) == "id" {
			b.WriteString(strconv.FormatUint(id, 10))
		} else {
			b.WriteString(pattern[start : start+end+1])
		}
		pattern = pattern[start+end+1:]
	}
	return b.String() + pattern
}
