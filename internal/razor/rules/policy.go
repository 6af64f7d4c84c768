package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Policy is a policy for nodes with certain tags.
type Policy struct {
	Name string
	// Tags a node must have, all of them; none means every node.
	Tags []string
	// Enabled policies are considered; nil means true.
	Enabled *bool
	// MaxCount is the maximum number of bound nodes; nil means any number.
	MaxCount *int `yaml:"max_count"`
	// HostnamePattern is the name of a bound node; ${id} is the node's number.
	HostnamePattern string `yaml:"hostname"`
	// NodeMetadata is added to a bound node's metadata, for missing keys.
	NodeMetadata map[string]any `yaml:"node_metadata"`
}

// Obstacle returns the reason why the policy cannot bind a node with these tags, or "".
func (p *Policy) Obstacle(tags []string, bound func(policy string) int) string {
	if p.Disabled() {
		return "disabled"
	}
	missing := slices.DeleteFunc(slices.Clone(p.Tags), func(t string) bool { return slices.Contains(tags, t) })
	if len(missing) > 0 {
		return "missing tags: " + strings.Join(missing, ", ")
	}
	if p.MaxCount == nil {
		return ""
	}
	if n := bound(p.Name); n >= *p.MaxCount {
		return fmt.Sprintf("full: %d of %d nodes bound", n, *p.MaxCount)
	}
	return ""
}

var idPattern = regexp.MustCompile(`\$\{\s*id\s*\}`)

// Disabled reports whether the policy is disabled.
func (p *Policy) Disabled() bool { return p.Enabled != nil && !*p.Enabled }

// Hostname is the name of the node with this number.
func (p *Policy) Hostname(id uint64) string {
	return idPattern.ReplaceAllLiteralString(p.HostnamePattern, strconv.FormatUint(id, 10))
}
