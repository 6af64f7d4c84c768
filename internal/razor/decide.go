package razor

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"mkbuild/internal/razor/rules"
)

const (
	// maxNesting is the depth at which Ruby's JSON parser gives up.
	maxNesting = 100
	// maxFacts and maxValues bound the number of facts of one node, and of all that is in them.
	// Decoded, a value takes many times the room of its text.
	maxFacts  = 20000
	maxValues = 10 * maxFacts
)

// Actions that a check-in is answered with. Razor has no others.
const (
	actionNone   = "none"
	actionReboot = "reboot"
)

// posted is a check-in, read and prepared outside of any transaction.
type posted struct {
	node      uint64
	userAgent string
	identity  identity
	badID     error       // why the facts identify nothing
	sent      []byte      // facts as sent
	facts     rules.Facts // without the blacklisted ones, each in its canonical form
	canonical []byte      // facts as JSON
	dropped   []string    // names of the blacklisted ones
}

// readFacts takes the facts out of a body. The error is a refusal with Razor's own status: 400 for
// a body that is no JSON or has no facts, 500 for facts of a type that Razor's code fails on.
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
	first := byte('n')
	if len(p.sent) > 0 {
		first = p.sent[0]
	}
	switch {
	case first == '"' || first == 't' || first == '-' || first >= '0' && first <= '9':
		return &refusal{status: http.StatusInternalServerError, text: "facts must be an object"}
	case first != '{':
		return refused("there are no facts")
	}
	var all rules.Facts
	if err := json.Unmarshal(p.sent, &all); err != nil {
		return refused("the facts are not JSON")
	}
	if len(all) > maxFacts {
		return &refusal{status: http.StatusRequestEntityTooLarge, text: "too many facts"}
	}
	p.identity, p.badID = c.factsIdentity(all)
	return p.keep(all, &c.Facts.Blacklist)
}

// extent measures what may be JSON: how deep it is nested, and about how many values are in it.
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

// takeFacts stores the facts and works out what changed.
func (s *nodes) takeFacts(t *txn, n *Node, p *posted) error {
	last := CheckIn{
		At: time.Now(), Count: n.Last.Count + 1, Blacklisted: p.dropped, UserAgent: p.userAgent,
		ChangedAt: n.Last.ChangedAt, Recent: n.Last.Recent, FromExtension: fromExtension(p.facts),
	}
	before := t.facts(n.ID)
	if len(before) > 0 && !bytes.Equal(before, p.canonical) {
		var was rules.Facts
		if err := json.Unmarshal(before, &was); err != nil {
			return err
		}
		last.Changes = changesOf(was, p.facts)
		last.ChangedAt, last.Recent = last.At, last.Changes
	}
	n.Last = last
	if bytes.Equal(before, p.canonical) {
		return nil
	}
	return t.putFacts(n.ID, p.canonical)
}

// decide evaluates tags, binds a policy and sets the action. A rule that cannot be evaluated leaves
// tags and policy alone and makes the answer "none", also for a bound node.
func (s *nodes) decide(t *txn, n *Node, facts rules.Facts) error {
	current, _ := s.rules.current()
	tags, err := current.Match(rules.Values{Facts: facts, Metadata: n.Metadata, Installed: n.Installed})
	n.Last.Action = actionNone
	if failed, ok := errors.AsType[*rules.Error](err); ok {
		n.Last.RuleError = "tag " + strconv.Quote(failed.Tag) + ": " + failed.Error()
		return t.log(n.ID, LogEntry{Timestamp: n.Last.At, Severity: "error", Error: "tag_match", Msg: failed.Error()})
	}
	if err != nil {
		return err
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

// bind ties the node to the policy. In a dry run it only notes what it would do.
func (s *nodes) bind(t *txn, n *Node, p *rules.Policy) error {
	if s.dryRun {
		n.Last.Would = "bind to policy " + p.Name + " and reboot"
		return nil
	}
	n.Policy, n.BootCount, n.Installed, n.InstalledAt = p.Name, 1, "", time.Time{}
	n.Hostname = p.Hostname(n.ID)
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
	if s.dryRun {
		n.Last.Would = actionReboot
		return nil
	}
	n.Last.Action = actionReboot
	e := LogEntry{Timestamp: n.Last.At, Action: actionReboot, Policy: n.Policy}
	switch {
	case n.Policy != "":
	case n.Installed == protected:
		e.Msg = "Node is taken to be installed because of protect_new_nodes: reinstall the node, or set protect_new_nodes to false"
	default:
		e.Msg = "Node has no policy but is installed: boots locally"
	}
	return t.log(n.ID, e)
}

func (s *nodes) logCheckIn(n *Node, first bool) {
	l := s.log.With("node", n.Name, "action", n.Last.Action, "changes", len(n.Last.Changes))
	switch {
	case n.Last.RuleError != "":
		l.Error("check-in: a rule failed, so no tag is set and no policy bound", "error", n.Last.RuleError)
	case n.Last.Would != "":
		l.Info("check-in (dry run)", "would", n.Last.Would)
	case first:
		l.Info("first check-in", "hw_info", n.HWInfo)
	default:
		l.Debug("check-in")
	}
}
