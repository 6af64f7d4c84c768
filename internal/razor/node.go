package razor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/razor/rules"
)

// Node is a machine, without its facts and its log.
type Node struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
	// HWInfo is the identity: canonical, sorted entries such as "mac=52-54-00-12-34-56".
	HWInfo identity `json:"hw_info"`
	// Registered is true after the first arrival of facts.
	Registered bool           `json:"registered,omitempty"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	// Policy is the name of the policy that the node is bound to, or "".
	Policy string `json:"policy,omitempty"`
	// Installed is "+protected" for a node that no policy may bind, or "".
	Installed string `json:"installed,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
	// Tags are the names of the tags that matched at the last check-in.
	Tags []string `json:"tags,omitempty"`
	// Last describes the last check-in.
	Last CheckIn `json:"last"`
}

// CheckIn describes a node's last check-in.
type CheckIn struct {
	At    time.Time `json:"at,omitzero"`
	Count uint64    `json:"count,omitempty"`
	// Action is the answer: "none" or "reboot". Razor has no others.
	Action string `json:"action,omitempty"`
	// Would is the answer without the dry run, which said "none".
	Would string `json:"would,omitempty"`
	// RuleError says why no tag was set and no policy bound, or "".
	RuleError string `json:"rule_error,omitempty"`
	// ChangedAt is the time of the last changed facts; Changes are the changes.
	ChangedAt time.Time `json:"changed_at,omitzero"`
	Changes   []Change  `json:"changes,omitempty"`
	// Blacklisted names the facts that were dropped.
	Blacklisted []string `json:"blacklisted,omitempty"`
	// FromExtension are the sorted facts of the runtime extension.
	FromExtension []string `json:"from_extension,omitempty"`
	// UserAgent is the client's own description.
	UserAgent string `json:"user_agent,omitempty"`
}

// Changed returns the differences from the previous check-in.
func (c *CheckIn) Changed() []Change {
	if !c.ChangedAt.Equal(c.At) {
		return nil
	}
	return c.Changes
}

// LogEntry is one line of a node's log.
type LogEntry struct {
	Timestamp time.Time `json:"timestamp"`
	// Severity is warn, error, or "" for info.
	Severity string `json:"severity,omitempty"`
	Event    string `json:"event,omitempty"`
	Msg      string `json:"msg,omitempty"`
	// Action is the action of the answer.
	Action string `json:"action,omitempty"`
	Policy string `json:"policy,omitempty"`
}

// Limits of stored data.
const (
	maxMetadata = 1000    // keys of one node
	maxShown    = 2 << 10 // bytes of a fact's value in a change record
	maxChanges  = 500     // changes of one check-in
)

// setMetadata stores one value; as in Razor, a text that is JSON is stored as its value.
func (n *Node) setMetadata(key string, v any) {
	if s, ok := v.(string); ok {
		var parsed any
		if decodeJSON([]byte(s), &parsed) == nil {
			v = parsed
		}
	}
	if n.Metadata == nil {
		n.Metadata = map[string]any{}
	}
	if _, known := n.Metadata[key]; known || len(n.Metadata) < maxMetadata {
		n.Metadata[key] = v
	}
}

// Change is one fact that differs from the previous check-in. Old and New are JSON, shortened.
type Change struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // added, removed or changed
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// changesOf compares two sets of canonical facts, sorted by name.
func changesOf(old, now rules.Facts) []Change {
	var out []Change
	for name, v := range now {
		switch o, had := old[name]; {
		case !had:
			out = append(out, Change{Name: name, Kind: "added", New: clip(string(v), maxShown)})
		case !bytes.Equal(o, v):
			out = append(out, Change{Name: name, Kind: "changed", Old: clip(string(o), maxShown), New: clip(string(v), maxShown)})
		}
	}
	for name, o := range old {
		if _, has := now[name]; !has {
			out = append(out, Change{Name: name, Kind: "removed", Old: clip(string(o), maxShown)})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return out[:min(len(out), maxChanges)]
}

// extensionFact lists the runtime extension's facts, comma-separated. mk-client always sends it.
const extensionFact = "mk_extension_facts"

// fromExtension returns the facts that mk-client attributes to its extension.
func fromExtension(facts rules.Facts) []string {
	var list string
	_ = json.Unmarshal(facts[extensionFact], &list) // not a string
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		if _, ok := facts[strings.TrimSpace(name)]; ok {
			out = append(out, strings.TrimSpace(name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// decodeJSON reads one JSON value and keeps its numbers as they were written.
func decodeJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the JSON value")
	}
	return nil
}
