package razor

import (
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/razor/rules"
)

// Report is everything about one node at one moment.
type Report struct {
	Node     *Node          `json:"node"`
	Facts    rules.Facts    `json:"facts"`
	Results  []rules.Result `json:"results"`
	Policies []Chance       `json:"policies"`
	Log      []LogEntry     `json:"log"` // newest first
}

// Chance is the reason why the node has a policy or not.
type Chance struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Chosen bool   `json:"chosen"`
}

// Report returns the report of a node such as "node12". For an unknown node the error wraps [ErrNoNode].
func (s *Server) Report(name string) (*Report, error) {
	id := nodeNumber(name)
	r := &Report{}
	err := s.nodes.store.view(func(t *txn) error {
		n, err := t.node(id)
		if err != nil {
			return err
		}
		v, err := values(t, n)
		if err != nil {
			return err
		}
		current, _ := s.nodes.rules.current()
		r.Node, r.Facts, r.Results = n, v.Facts, current.Results(v)
		r.Policies = chances(current, n, t.bound)
		r.Log, err = t.readLog(id)
		slices.Reverse(r.Log)
		return err
	})
	return r, err
}

// chances explains the choice of a node's policy.
func chances(current *rules.Rules, n *Node, bound func(string) int) []Chance {
	var all []Chance
	for _, p := range current.Policies {
		c := Chance{Name: p.Name, Why: p.Obstacle(n.Tags, bound)}
		switch {
		case p.Name == n.Policy:
			c.Why, c.Chosen = "bound", true
		case c.Why != "":
		case n.Policy != "" || n.Installed != "":
			c.Why = "would match, but the node is bound or installed"
		default:
			c.Why = "would match"
		}
		all = append(all, c)
	}
	if n.Policy != "" && !slices.ContainsFunc(all, func(c Chance) bool { return c.Chosen }) {
		all = append(all, Chance{Name: n.Policy, Why: "bound, but no longer in the rules file", Chosen: true})
	}
	return all
}

// nodeNumber returns the number in a name such as "node12"; 0, which no node has, for other names.
func nodeNumber(name string) uint64 {
	digits, ok := strings.CutPrefix(name, "node")
	id, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil || strconv.FormatUint(id, 10) != digits {
		return 0
	}
	return id
}
