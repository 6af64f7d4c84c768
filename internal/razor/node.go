package razor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sort"
	"time"
)

// Node is what the server knows about a machine, apart from its facts and its log.
type Node struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
	// HWInfo is the identity: canonical, sorted entries such as "mac=52-54-00-12-34-56".
	HWInfo  []string `json:"hw_info"`
	DHCPMAC string   `json:"dhcp_mac,omitempty"`
	// Registered says that facts have arrived at least once.
	Registered bool           `json:"registered,omitempty"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	// Policy is the name of the policy the node is bound to, or "".
	Policy string `json:"policy,omitempty"`
	// Installed is the name of the policy that was installed, "+protected", or "".
	Installed   string    `json:"installed,omitempty"`
	InstalledAt time.Time `json:"installed_at,omitzero"`
	Hostname    string    `json:"hostname,omitempty"`
	BootCount   int       `json:"boot_count,omitempty"`
	// Tags are the names of the tags that matched when tags were last evaluated.
	Tags    []string  `json:"tags,omitempty"`
	Created time.Time `json:"created"`
	// Last describes the last check-in.
	Last CheckIn `json:"last"`
}

// CheckIn is what happened when a node last checked in.
type CheckIn struct {
	At    time.Time `json:"at,omitzero"`
	Count uint64    `json:"count,omitempty"`
	// Action is what the node was told: "none" or "reboot".
	Action string `json:"action,omitempty"`
	// Would is what it would have been told, when a dry run said "none" instead.
	Would string `json:"would,omitempty"`
	// RuleError is why no tag was set and no policy bound, or "".
	RuleError string `json:"rule_error,omitempty"`
	// Changes are the differences to the check-in before.
	Changes []Change `json:"changes,omitempty"`
	// Blacklisted names the facts that were dropped.
	Blacklisted []string `json:"blacklisted,omitempty"`
	// ChangedAt is when facts last differed, Recent how they did.
	ChangedAt time.Time `json:"changed_at,omitzero"`
	Recent    []Change  `json:"recent,omitempty"`
	// Extension tells which facts the runtime extension gave.
	Extension Origin `json:"extension,omitzero"`
	// UserAgent is the client's own description.
	UserAgent string `json:"user_agent,omitempty"`
}

func sortNodes(n []*Node) { sort.Slice(n, func(i, j int) bool { return n[i].ID < n[j].ID }) }

// clone copies a node deeply enough for [txn.put] to compare it with its changed self.
func (n *Node) clone() *Node {
	c := *n
	return &c
}

// state is what the rule function "state" looks into.
func (n *Node) state() map[string]any {
	if n.Installed == "" {
		return map[string]any{"installed": nil}
	}
	return map[string]any{"installed": n.Installed}
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
