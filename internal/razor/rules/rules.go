// Package rules holds Razor's tag rules and policies: reading and checking them, evaluating them on what a node
// reported, and choosing a node's policy. It is pure: it opens no file, knows no clock and changes nothing, so
// rules can be tried on facts.
//
// Package razor decides the answer to a node. Start reading at [Parse].
package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/fail"
	"mkbuild/internal/yamlerr"
)

// Rules are the tags and policies of one file. They never change.
type Rules struct {
	Tags     []Tag
	Policies []Policy
	// Warnings are findings that Razor accepts, but that cause errors at run time.
	Warnings []string
	byName   map[string]*Rule // by lower-case name
}

// Tag names a rule.
type Tag struct {
	Name string
	Rule *Rule
}

// maxName bounds the name of a tag or policy, in bytes.
const maxName = 250

// file is the shape of a rules file, which YAML and JSON share.
type file struct {
	Tags []struct {
		Name string
		Rule yaml.Node
	}
	Policies []struct {
		Policy `yaml:",inline"`
		// For Razor's installations. This server installs nothing.
		Repo, Task, Broker any
		RootPassword       any `yaml:"root_password"`
	}
}

// lines is the same text, for the line of each entry.
type lines struct{ Tags, Policies []yaml.Node }

// Parse reads and checks a rules file in YAML or JSON; name is for messages.
func Parse(b []byte, name string) (*Rules, error) {
	var f file
	var at lines
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	err := d.Decode(&f)
	if errors.Is(err, io.EOF) {
		return &Rules{}, nil
	}
	if err == nil {
		err = yaml.Unmarshal(b, &at)
	}
	if err != nil {
		return nil, invalid(Located(name, err))
	}
	r := &Rules{byName: map[string]*Rule{}}
	if line, err := r.add(&f, &at); err != nil {
		return nil, invalid(fmt.Errorf("%s:%d: %w", name, line, err))
	}
	r.warn()
	return r, nil
}

func invalid(err error) error { return fail.Wrap(fail.Usage, err, ErrInvalid.Hint) }

var unknownField = regexp.MustCompile(`field (\S+) not found in type .*`)

// Located returns the first error of the YAML decoder in the form FILE:LINE: ERROR.
func Located(file string, err error) error {
	line, what, ok := yamlerr.Position(err)
	if !ok {
		return fmt.Errorf("%s: %w", file, err)
	}
	return fmt.Errorf("%s:%d: %s", file, line, unknownField.ReplaceAllString(what, `unknown key "$1"`))
}

// add adds tags and policies; line is the line of an entry, for errors.
func (r *Rules) add(f *file, at *lines) (line int, err error) {
	seen := map[string]bool{}
	for i, t := range f.Tags {
		if err := checkName("tag", t.Name, seen); err != nil {
			return at.Tags[i].Line, err
		}
		if err := r.addTag(t.Name, &t.Rule); err != nil {
			return max(at.Tags[i].Line, t.Rule.Line), fmt.Errorf("tag %q: %w", t.Name, err)
		}
	}
	clear(seen)
	for i, p := range f.Policies {
		if err := checkName("policy", p.Name, seen); err != nil {
			return at.Policies[i].Line, err
		}
		if err := r.addPolicy(p.Policy); err != nil {
			return at.Policies[i].Line, fmt.Errorf("policy %q: %w", p.Name, err)
		}
	}
	return 0, nil
}

// checkName refuses an invalid name, and a name that was seen before in any case.
func checkName(what, name string, seen map[string]bool) error {
	key := strings.ToLower(name)
	switch {
	case strings.TrimSpace(name) == "" || len(name) > maxName || strings.ContainsRune(name, 0):
		return fmt.Errorf("%s name must have 1 to %d characters", what, maxName)
	case seen[key]:
		return fmt.Errorf("%s %q is defined twice (case is ignored)", what, name)
	}
	seen[key] = true
	return nil
}

func (r *Rules) addTag(name string, n *yaml.Node) error {
	if n.IsZero() {
		return errors.New("it has no rule")
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return err
	}
	rule, err := newRule(v)
	if err != nil {
		return err
	}
	r.byName[strings.ToLower(name)] = rule
	r.Tags = append(r.Tags, Tag{name, rule})
	return nil
}

func (r *Rules) addPolicy(p Policy) error {
	if p.MaxCount != nil && *p.MaxCount < 0 {
		return errors.New("max_count must not be negative; leave it out for any number")
	}
	if _, err := json.Marshal(p.NodeMetadata); err != nil {
		return fmt.Errorf("node_metadata is not JSON: %w", err)
	}
	for i, tag := range p.Tags {
		j := slices.IndexFunc(r.Tags, func(t Tag) bool { return strings.EqualFold(t.Name, tag) })
		if j < 0 {
			return fmt.Errorf("unknown tag %q", tag)
		}
		p.Tags[i] = r.Tags[j].Name
	}
	r.Policies = append(r.Policies, p)
	return nil
}

// warn records valid entries that will fail at run time.
func (r *Rules) warn() {
	for _, t := range r.Tags {
		walk(t.Rule.root, func(c *call) {
			name, _ := c.args[0].value.(string)
			switch _, known := r.tagRule(name); {
			case c.fn.name == "tag" && c.args[0].call == nil && !known:
				r.warnf("tag %q uses tag %q, which does not exist: every check-in will get the action none", t.Name, name)
			case (c.fn.name == "fact" || c.fn.name == "metadata") && len(c.args) == 1:
				r.warnf("tag %q: %s has no default: a node without this fact gets the action none and no policy", t.Name, c)
			}
		})
	}
}

func (r *Rules) warnf(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// tagRule finds the rule of a tag whatever the case of its name.
func (r *Rules) tagRule(name string) (*call, bool) {
	rule, ok := r.byName[strings.ToLower(name)]
	if !ok {
		return nil, false
	}
	return rule.root, true
}

// Match returns the names of the matching tags. It stops at the first failed rule: Razor then answers "none" and
// binds nothing.
func (r *Rules) Match(v Values) ([]string, error) {
	decoded := map[string]any{}
	var out []string
	for _, t := range r.Tags {
		ok, err := t.Rule.match(v, decoded, r.tagRule)
		if err != nil {
			return nil, fmt.Errorf("tag %q: %w", t.Name, err)
		}
		if ok {
			out = append(out, t.Name)
		}
	}
	return out, nil
}

// Result is the result of one tag on one node.
type Result struct {
	Name    string `json:"name"`
	Rule    string `json:"rule"`
	Matched bool   `json:"matched"`
	Err     string `json:"error,omitempty"`
}

// Results evaluates every tag on its own, for display: an error does not hide the rest.
func (r *Rules) Results(v Values) []Result {
	decoded := map[string]any{}
	out := make([]Result, len(r.Tags))
	for i, t := range r.Tags {
		ok, err := t.Rule.match(v, decoded, r.tagRule)
		out[i] = Result{Name: t.Name, Rule: t.Rule.String(), Matched: ok}
		if err != nil {
			out[i].Err = err.Error()
		}
	}
	return out
}

// Choose returns the first policy that may bind a node with these tags, or nil; bound returns the number of nodes
// of a policy.
func (r *Rules) Choose(tags []string, bound func(policy string) int) *Policy {
	for i := range r.Policies {
		if p := &r.Policies[i]; p.Obstacle(tags, bound) == "" {
			return p
		}
	}
	return nil
}
