package razor

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"mkbuild/internal/razor/rules"
)

const (
	// maxNesting is the maximum depth of Ruby's JSON parser.
	maxNesting = 100
	// maxValues bounds the facts of one node with all nested values. A decoded value takes many times the memory
	// of its text.
	maxValues = 50000
)

// posted is a check-in, read and prepared outside any transaction.
type posted struct {
	node      uint64
	userAgent string
	identity  identity
	badID     error       // why the facts do not identify the machine
	sent      []byte      // facts as sent
	facts     rules.Facts // without the blacklisted ones, each in its canonical form
	canonical []byte      // facts as JSON
	dropped   []string    // names of the blacklisted ones
}

// readFacts takes the facts out of a body.
func (p *posted) readFacts(body []byte, c *Config) error {
	var top map[string]json.RawMessage
	depth, values := extent(body)
	switch {
	case depth > maxNesting, json.Unmarshal(body, &top) != nil:
		return refused("the body is not JSON")
	case values > maxValues:
		return &refusal{status: http.StatusRequestEntityTooLarge, text: "too many values"}
	}
	p.sent = top["facts"]
	var all rules.Facts
	if err := json.Unmarshal(p.sent, &all); err != nil || all == nil {
		return refused("there are no facts")
	}
	p.identity, p.badID = c.factsIdentity(all)
	return p.keep(all, &c.Facts.Blacklist)
}

// extent measures possible JSON: its depth, and about how many values it has.
func extent(b []byte) (deepest, values int) {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == ',':
			values++
		case c == '[' || c == '{':
			depth++
			values++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest, values
}

// keep drops the blacklisted facts and gives the others the form in which they are stored and
// compared: keys sorted, numbers as they were written.
func (p *posted) keep(all rules.Facts, blacklist *NameSet) (err error) {
	p.facts = make(rules.Facts, len(all))
	for name, raw := range all {
		if blacklist.Has(name) {
			p.dropped = append(p.dropped, name)
			continue
		}
		var v any
		if err := decodeJSON(raw, &v); err != nil {
			return refused("fact %.100q: %v", name, err)
		}
		if p.facts[name], err = json.Marshal(v); err != nil {
			return refused("fact %.100q: %v", name, err)
		}
	}
	slices.Sort(p.dropped)
	p.canonical, err = json.Marshal(p.facts)
	return err
}

// checkIn does one check-in in one transaction.
func (s *nodes) checkIn(p *posted) (*Node, error) {
	var n *Node
	var first bool
	err := s.update(func(t *txn) error {
		old, err := t.node(p.node)
		if err != nil {
			return err
		}
		if first = !old.Registered; first {
			if p.badID != nil {
				return p.badID
			}
			if old, err = s.register(t, p.identity); err != nil {
				return err
			}
		}
		changed := *old
		n = &changed
		n.Registered = true
		if err := s.takeFacts(t, n, p); err != nil {
			return err
		}
		if err := s.decide(t, n, p.facts); err != nil {
			return err
		}
		return t.put(old, n)
	})
	if err != nil {
		return nil, err
	}
	s.logCheckIn(n, first)
	s.changed(n.ID)
	return n, nil
}

// takeFacts stores the facts and finds the changes.
func (s *nodes) takeFacts(t *txn, n *Node, p *posted) error {
	last := CheckIn{
		At: time.Now(), Count: n.Last.Count + 1, Blacklisted: p.dropped, UserAgent: p.userAgent,
		ChangedAt: n.Last.ChangedAt, Changes: n.Last.Changes, FromExtension: fromExtension(p.facts),
	}
	before := t.facts(n.ID)
	if len(before) > 0 && !bytes.Equal(before, p.canonical) {
		var was rules.Facts
		if err := json.Unmarshal(before, &was); err != nil {
			return err
		}
		last.ChangedAt, last.Changes = last.At, changesOf(was, p.facts)
	}
	n.Last = last
	if bytes.Equal(before, p.canonical) {
		return nil
	}
	return t.putFacts(n.ID, p.canonical)
}

// decide evaluates tags, binds a policy and sets the action. A failed rule leaves tags and policy unchanged and
// makes the answer "none", even for a bound node.
func (s *nodes) decide(t *txn, n *Node, facts rules.Facts) error {
	current, _ := s.rules.current()
	tags, err := current.Match(rules.Values{Facts: facts, Metadata: n.Metadata, Installed: n.Installed})
	n.Last.Action = "none"
	if err != nil {
		n.Last.RuleError = err.Error()
		return t.log(n.ID, LogEntry{Timestamp: n.Last.At, Severity: "error", Event: "tag_match", Msg: err.Error()})
	}
	n.Tags = tags
	if n.Installed != "" || n.Policy != "" {
		return s.reboot(t, n)
	}
	if p := current.Choose(tags, t.bound); p != nil {
		return s.bind(t, n, p)
	}
	return nil
}

// bind binds the node to the policy. In a dry run it only records what it would do.
func (s *nodes) bind(t *txn, n *Node, p *rules.Policy) error {
	if s.opts.DryRun {
		n.Last.Would = "bind to policy " + p.Name + " and reboot"
		return nil
	}
	n.Policy, n.Hostname = p.Name, p.Hostname(n.ID)
	for k, v := range p.NodeMetadata {
		if old := n.Metadata[k]; old == nil || old == false {
			n.setMetadata(k, v)
		}
	}
	if err := t.log(n.ID, LogEntry{Timestamp: n.Last.At, Event: "bind", Policy: p.Name}); err != nil {
		return err
	}
	return s.reboot(t, n)
}

// reboot is the answer to a bound or installed node.
func (s *nodes) reboot(t *txn, n *Node) error {
	if s.opts.DryRun {
		n.Last.Would = "reboot"
		return nil
	}
	n.Last.Action = "reboot"
	e := LogEntry{Timestamp: n.Last.At, Action: "reboot", Policy: n.Policy}
	if n.Policy == "" {
		e.Msg = "Node counts as installed because of protect_new_nodes"
	}
	return t.log(n.ID, e)
}

func (s *nodes) logCheckIn(n *Node, first bool) {
	level := slog.LevelDebug
	switch {
	case n.Last.RuleError != "":
		level = slog.LevelError
	case n.Last.Would != "" || first:
		level = slog.LevelInfo
	}
	s.opts.Log.Log(context.Background(), level, "check-in", "node", n.Name, "first", first, "action", n.Last.Action,
		"would", n.Last.Would, "rule_error", n.Last.RuleError, "changes", len(n.Last.Changed()))
}
