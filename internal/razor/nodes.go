package razor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mkbuild/internal/razor/rules"
)

// nodes are the known machines. Each change is one transaction, and is announced when it is on disk.
type nodes struct {
	store   *store
	rules   *ruleFile
	opts    *Options
	changed func(id uint64)
}

// update runs a transaction. If nodes share an identity, it is refused, which each node's log records.
func (s *nodes) update(fn func(*txn) error) error {
	err := s.store.update(fn)
	r, ok := errors.AsType[*refusal](err)
	if !ok || len(r.doubles) == 0 {
		return err
	}
	logged := s.store.update(func(t *txn) error {
		for _, n := range r.doubles {
			if err := t.log(n.ID, LogEntry{Timestamp: time.Now(), Severity: "error", Event: "duplicate_node", Msg: r.text}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, n := range r.doubles {
		s.changed(n.ID)
	}
	return errors.Join(err, logged)
}

// change loads a node, lets fn change it, and stores it.
func (s *nodes) change(id uint64, fn func(*txn, *Node) error) error {
	err := s.update(func(t *txn) error {
		old, err := t.node(id)
		if err != nil {
			return err
		}
		n := *old
		if err := fn(t, &n); err != nil {
			return err
		}
		return t.put(old, &n)
	})
	if err == nil {
		s.changed(id)
	}
	return err
}

// lookup finds the node of an iPXE script or of /svc/nodeid, or creates it; event goes into its log unless it is
// empty. Such a request says little about the machine: the identity of a known node does not change, except
// fact_* entries.
func (s *nodes) lookup(id identity, event string) (*Node, error) {
	var n *Node
	err := s.update(func(t *txn) error {
		found, err := s.find(t, id)
		if err != nil {
			return err
		}
		switch len(found) {
		case 0:
			n = &Node{HWInfo: id}
			if s.opts.Config.ProtectNewNodes {
				n.Installed = protected
			}
			err = t.create(n)
		case 1:
			known := *found[0]
			n = &known
			n.HWInfo = n.HWInfo.merge(id.facts())
			err = t.put(found[0], n)
		default:
			return sameIdentity(id, found)
		}
		if err != nil || event == "" {
			return err
		}
		return t.log(n.ID, LogEntry{Timestamp: time.Now(), Event: event, Policy: n.Policy})
	})
	if err != nil {
		return nil, err
	}
	s.changed(n.ID)
	return n, nil
}

// protected is the mark of a new node under protect_new_nodes.
const protected = "+protected"

// find returns the nodes whose identity shares an entry of match_nodes_on with id.
func (s *nodes) find(t *txn, id identity) ([]*Node, error) {
	keys, err := s.opts.Config.searchKeys(id)
	if err != nil {
		return nil, err
	}
	return t.find(keys)
}

func sameIdentity(id identity, found []*Node) error {
	names := make([]string, len(found))
	for i, n := range found {
		names[i] = fmt.Sprintf("%s (%d)", n.Name, n.ID)
	}
	r := refused("multiple nodes match hw_info %s: %s", strings.Join(id, " "), strings.Join(names, ", "))
	r.doubles = found
	return r
}

// register finds the node of these first facts: facts have all interfaces, iPXE often only one. It merges doubles
// that never registered into one node.
func (s *nodes) register(t *txn, id identity) (*Node, error) {
	found, err := s.find(t, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("register: %w", ErrNoNode)
	}
	keep, registered := found[0], 0
	for _, n := range found {
		if n.Registered {
			keep, registered = n, registered+1
		}
	}
	if registered > 1 {
		return nil, sameIdentity(id, found)
	}
	for _, n := range found {
		if n == keep {
			continue
		}
		if err := errors.Join(t.moveLog(n.ID, keep.ID), t.remove(n)); err != nil {
			return nil, err
		}
		s.opts.Log.Info("merged unregistered node", "node", n.Name, "into", keep.Name)
	}
	merged := *keep
	merged.HWInfo = keep.HWInfo.merge(id)
	return &merged, t.put(keep, &merged)
}

// note appends to a node's log.
func (s *nodes) note(id uint64, severity, msg string) error {
	return s.change(id, func(t *txn, _ *Node) error {
		return t.log(id, LogEntry{Timestamp: time.Now(), Severity: severity, Msg: msg})
	})
}

// storeMetadata sets and removes keys. The next check-in evaluates tags with them.
func (s *nodes) storeMetadata(id uint64, set map[string]string, remove []string) error {
	return s.change(id, func(t *txn, n *Node) error {
		for k, v := range set {
			n.setMetadata(k, v)
		}
		for _, k := range remove {
			delete(n.Metadata, k)
		}
		return t.log(id, LogEntry{Timestamp: time.Now(), Event: "store_metadata", Msg: fmt.Sprintf("set %q, removed %q", set, remove)})
	})
}

// forget deletes a node with its facts and log; its next check-in is a 404.
func (s *nodes) forget(id uint64) error {
	err := s.update(func(t *txn) error {
		n, err := t.node(id)
		if err != nil {
			return err
		}
		return t.remove(n)
	})
	if err == nil {
		s.changed(id)
	}
	return err
}

// values are a stored node's values for rules.
func values(t *txn, n *Node) (rules.Values, error) {
	v := rules.Values{Metadata: n.Metadata, Installed: n.Installed}
	if b := t.facts(n.ID); len(b) > 0 {
		if err := decodeJSON(b, &v.Facts); err != nil {
			return v, fmt.Errorf("read facts of %s: %w", n.Name, err)
		}
	}
	return v, nil
}
