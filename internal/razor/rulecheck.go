package razor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check looks at all rules together: a tag that asks for itself is refused, what would only
// fail at run time is a warning.
func (r *Rules) check(d yamlDoc) error {
	refs := map[string][]string{}
	for _, t := range r.Tags {
		key := strings.ToLower(t.Name)
		walk(t.Rule.root, func(c *call) {
			r.inspect(t, c)
			if c.fn.name != "tag" || c.args[0].call != nil {
				return
			}
			name, _ := c.args[0].value.(string)
			refs[key] = append(refs[key], strings.ToLower(name))
			if _, ok := r.tag(name); !ok {
				r.warnf("tag %q asks for tag %q, which does not exist: every check-in will answer none", t.Name, name)
			}
		})
	}
	done := map[string]bool{}
	for _, t := range r.Tags {
		if path := cycle(refs, strings.ToLower(t.Name), nil, done); path != nil {
			return d.errorf(nil, "tag %q refers to itself: %s", t.Name, strings.Join(path, " → "))
		}
	}
	return nil
}

func (r *Rules) warnf(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// inspect warns about the trap of facts without a default.
func (r *Rules) inspect(t Tag, c *call) {
	if (c.fn.name == "fact" || c.fn.name == "metadata") && len(c.args) == 1 {
		r.warnf("tag %q: %s has no default: a node without it gets the answer none and no policy, whatever its other tags", t.Name, shown(c))
	}
}

func shown(c *call) string {
	if c.args[0].call != nil {
		return c.op + " with a computed name"
	}
	return c.op + " " + literal(c.args[0].value)
}

func walk(c *call, fn func(*call)) {
	fn(c)
	for _, a := range c.args {
		if a.call != nil {
			walk(a.call, fn)
		}
	}
}

// cycle finds a way from a tag back to itself; done holds the tags that have none.
func cycle(refs map[string][]string, name string, path []string, done map[string]bool) []string {
	if slices.Contains(path, name) {
		return append(path, name)
	}
	if done[name] {
		return nil
	}
	path = append(slices.Clone(path), name)
	for _, next := range refs[name] {
		if p := cycle(refs, next, path, done); p != nil {
			return p
		}
	}
	done[name] = true
	return nil
}

// TagResult is how one tag fared on one node.
type TagResult struct {
	Name    string `json:"name"`
	Matched bool   `json:"matched"`
	Err     string `json:"error,omitempty"`
}

// matchTags evaluates all tags as a check-in does: the first error ends it.
func (r *Rules) matchTags(v Values) ([]string, error) {
	v.Tag = r.tag
	var out []string
	for _, t := range r.Tags {
		ok, err := t.Rule.Match(v)
		if err != nil {
			var re *RuleError
			if errors.As(err, &re) {
				re.Tag = t.Name
			}
			return nil, err
		}
		if ok {
			out = append(out, t.Name)
		}
	}
	return out, nil
}

// Results evaluates every tag on its own, for people to look at: an error does not hide the rest.
func (r *Rules) Results(v Values) []TagResult {
	v.Tag = r.tag
	out := make([]TagResult, 0, len(r.Tags))
	for _, t := range r.Tags {
		ok, err := t.Rule.Match(v)
		res := TagResult{Name: t.Name, Matched: ok}
		if err != nil {
			res.Err = err.Error()
		}
		out = append(out, res)
	}
	return out
}

// choose returns the first policy that may bind a node with these tags: enabled, its tags a
// subset, and fewer than max_count nodes bound.
func (r *Rules) choose(tags []string, bound func(policy string) int) *Policy {
	for i := range r.Policies {
		p := &r.Policies[i]
		if p.Enabled && len(without(p.Tags, tags)) == 0 && (p.MaxCount < 0 || bound(p.Name) < p.MaxCount) {
			return p
		}
	}
	return nil
}
