package rubygems

import (
	"fmt"
	"regexp"
	"strings"
)

// requirementForm is an optional operator and a version.
var requirementForm = regexp.MustCompile(`^\s*(=|!=|>=|<=|~>|>|<)?\s*([0-9A-Za-z.-]+)\s*$`)

// condition is one comparison: ">= 1.2".
type condition struct {
	op      string
	version Version
}

// Requirement is a set of conditions that a version has to meet, all of them. The zero value
// accepts everything, as RubyGems' default ">= 0" does for releases.
type Requirement struct{ conditions []condition }

// ParseRequirement reads conditions such as "~> 1.2" and ">= 1.2.3"; a bare version means "=".
func ParseRequirement(conditions ...string) (Requirement, error) {
	var r Requirement
	for _, text := range conditions {
		m := requirementForm.FindStringSubmatch(text)
		if m == nil {
			return Requirement{}, fmt.Errorf("%w: requirement %.64q", ErrVersion, text)
		}
		if err := r.add(m[1], m[2]); err != nil {
			return Requirement{}, err
		}
	}
	return r, nil
}

func (r *Requirement) add(op, version string) error {
	v, err := ParseVersion(version)
	if err != nil {
		return err
	}
	if op == "" {
		op = "="
	}
	r.conditions = append(r.conditions, condition{op, v})
	return nil
}

// SatisfiedBy reports whether v meets every condition.
func (r Requirement) SatisfiedBy(v Version) bool {
	for _, c := range r.conditions {
		if !c.met(v) {
			return false
		}
	}
	return true
}

func (c condition) met(v Version) bool {
	order := v.Compare(c.version)
	switch c.op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case "<":
		return order < 0
	case ">=":
		return order >= 0
	case "<=":
		return order <= 0
	case "~>":
		return order >= 0 && v.release().Compare(c.version.bump()) < 0
	}
	return false
}

// list returns the conditions as texts, in the order that they were given.
func (r Requirement) list() []string {
	if len(r.conditions) == 0 {
		return []string{">= 0"}
	}
	out := make([]string, 0, len(r.conditions))
	for _, c := range r.conditions {
		out = append(out, c.op+" "+c.version.text)
	}
	return out
}

// String returns the conditions as RubyGems prints them: "~> 1.2, >= 1.2.3".
func (r Requirement) String() string { return strings.Join(r.list(), ", ") }
