package razor

import (
	"errors"
	"fmt"
	"strings"
)

// errNoKey says that a request has nothing that match_nodes_on could use.
var errNoKey = errors.New("no usable match criteria")

// duplicateError says that one identity belongs to several nodes.
type duplicateError struct {
	match []string
	nodes []*Node
}

func (e *duplicateError) Error() string {
	var names []string
	for _, n := range e.nodes {
		names = append(names, fmt.Sprintf("%s (%d)", n.Name, n.ID))
	}
	return fmt.Sprintf("multiple nodes match hw_info %s: %s", strings.Join(e.match, " "), strings.Join(names, ", "))
}

// logDuplicate writes the error into the log of each of the nodes, in a transaction of its own.
func (s *Server) logDuplicate(e *duplicateError) {
	names := make([]string, len(e.nodes))
	for i, n := range e.nodes {
		names[i] = n.Name
	}
	err := s.store.update(func(t *txn) error {
		for _, n := range e.nodes {
			if err := t.log(n.ID, LogEntry{
				Timestamp: s.now(), Severity: "error", Event: "boot", Error: "duplicate_node",
				Msg: e.Error(), Nodes: names, HWInfo: e.match,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.log.Error("log duplicate nodes", "error", err)
	}
	for _, n := range e.nodes {
		s.hub.publish(n.ID)
	}
}

// Limits of an identity: /svc/nodeid and /svc/boot are open to everybody and make nodes.
const (
	maxIdentity = 512     // entries
	maxEntry    = 1 << 10 // bytes of one
	maxNodes    = 1 << 20 // ever made in one database
)

var errTooMany = errors.New("too much of it")

// boundHW refuses an identity that no machine has.
func boundHW(hw []string) error {
	if len(hw) > maxIdentity {
		return fmt.Errorf("look up node: %w: hw_info has %d entries, the limit is %d", errTooMany, len(hw), maxIdentity)
	}
	for _, e := range hw {
		if len(e) > maxEntry || strings.ContainsRune(e, 0) {
			return fmt.Errorf("look up node: %w: hw_info entry %q", errTooMany, clip(e, 40))
		}
	}
	return nil
}

// findByHW finds the nodes whose identity overlaps with hw in what match_nodes_on names.
func (s *Server) findByHW(t *txn, hw []string) (nodes []*Node, match []string, err error) {
	if err := boundHW(hw); err != nil {
		return nil, nil, err
	}
	match = s.config.matchable(hw)
	if len(match) == 0 {
		return nil, nil, fmt.Errorf("look up node: %w: match_nodes_on is %s",
			errNoKey, strings.Join(s.config.MatchNodesOn, ", "))
	}
	nodes, err = t.find(match)
	return nodes, match, err
}

// lookup finds the node of an iPXE script or of /svc/nodeid, or creates it. What such a
// request tells about the machine is little, so the identity of a known node stays as it is,
// apart from fact_* entries.
func (s *Server) lookup(t *txn, hw []string, dhcpMAC string) (*Node, error) {
	nodes, match, err := s.findByHW(t, hw)
	if err != nil {
		return nil, err
	}
	switch len(nodes) {
	case 0:
		return s.createNode(t, hw, dhcpMAC)
	case 1:
		n := nodes[0].clone()
		if dhcpMAC != "" {
			n.DHCPMAC = clip(dhcpMAC, maxEntry)
		}
		var facts []string
		for _, e := range hw {
			if strings.HasPrefix(e, "fact_") {
				facts = append(facts, e)
			}
		}
		n.HWInfo = mergeHW(n.HWInfo, facts)
		return n, t.put(nodes[0], n)
	}
	return nil, &duplicateError{match, nodes}
}

func (s *Server) createNode(t *txn, hw []string, dhcpMAC string) (*Node, error) {
	n := &Node{HWInfo: hw, DHCPMAC: clip(dhcpMAC, maxEntry), Created: s.now()}
	if s.config.ProtectNewNodes {
		n.Installed, n.InstalledAt = "+protected", s.now()
	}
	if made := t.tx.Bucket(bucketNodes).Sequence(); made >= maxNodes {
		return nil, fmt.Errorf("create node: %w: %d were made already", errTooMany, made)
	}
	return n, t.create(n)
}

// register finds out which node these first facts belong to: facts know all interfaces, iPXE
// often only one. Doubles that never registered are merged into the node that is kept.
func (s *Server) register(t *txn, hw []string) (*Node, error) {
	nodes, match, err := s.findByHW(t, hw)
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("register: %w", ErrNoNode)
	}
	keep, kill := nodes[0], nodes[1:]
	var known []*Node
	for i, n := range nodes {
		if n.Registered {
			known = append(known, n)
			keep = n
			kill = append(append([]*Node{}, nodes[:i]...), nodes[i+1:]...)
		}
	}
	if len(known) > 1 {
		return nil, &duplicateError{match, nodes}
	}
	for _, n := range kill {
		if err := t.moveLog(n.ID, keep.ID); err != nil {
			return nil, err
		}
		if err := t.remove(n); err != nil {
			return nil, err
		}
		s.log.Info("merged unregistered node", "node", n.Name, "into", keep.Name)
	}
	merged := keep.clone()
	merged.HWInfo = mergeHW(keep.HWInfo, hw)
	return merged, t.put(keep, merged)
}
