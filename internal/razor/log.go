package razor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// maxLog is how many log entries a node keeps; the oldest go first.
	maxLog = 1000
	// trimEvery is after how many entries of a node its log is counted: a node may have so many
	// more than maxLog meanwhile.
	trimEvery = 100
	// maxMessage bounds one logged text, in bytes: it comes from a query string.
	maxMessage = 8 << 10
)

// LogEntry is one line of a node's log, in the shape of Razor's API.
type LogEntry struct {
	Timestamp time.Time `json:"timestamp"`
	// Severity is info, warn or error.
	Severity string `json:"severity"`
	Event    string `json:"event,omitempty"`
	Msg      string `json:"msg,omitempty"`
	Error    string `json:"error,omitempty"`
	// Action is what the node was told to do.
	Action   string `json:"action,omitempty"`
	Policy   string `json:"policy,omitempty"`
	Task     string `json:"task,omitempty"`
	Template string `json:"template,omitempty"`
	Stage    string `json:"stage,omitempty"`
	// Nodes and HWInfo describe duplicates.
	Nodes  []string `json:"nodes,omitempty"`
	HWInfo []string `json:"hw_info,omitempty"`
	// Vars is what store_metadata was asked to change.
	Vars map[string]any `json:"vars,omitempty"`
}

// log appends to a node's log.
func (t *txn) log(id uint64, e LogEntry) error {
	if e.Severity == "" {
		e.Severity = "info"
	}
	e.Msg = clip(e.Msg, maxMessage)
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("log to node %d: %w", id, err)
	}
	bucket := t.tx.Bucket(bucketLog)
	t.wrote = true
	seq, err := bucket.NextSequence()
	if err != nil {
		return err
	}
	if err := bucket.Put(append(numKey(id), numKey(seq)...), b); err != nil {
		return fmt.Errorf("log to node %d: %w", id, err)
	}
	return t.countLog(id)
}

// logCounterKey names a node's counter of entries since its log was last trimmed. The sequence in
// the entries' own keys is shared by all nodes and tells nothing about one of them.
func logCounterKey(id uint64) []byte { return append([]byte("log "), numKey(id)...) }

// countLog counts one entry, and trims the log when enough have come.
func (t *txn) countLog(id uint64) error {
	meta, key := t.tx.Bucket(bucketMeta), logCounterKey(id)
	n := uint64(1)
	if b := meta.Get(key); len(b) == 8 { // absent in a database of an earlier version
		n += binary.BigEndian.Uint64(b)
	}
	if n < trimEvery {
		return meta.Put(key, numKey(n))
	}
	if err := t.trimLog(id, maxLog); err != nil {
		return err
	}
	return meta.Put(key, numKey(0))
}

// trimLog deletes all but the newest keep entries.
func (t *txn) trimLog(id uint64, keep int) error {
	prefix := numKey(id)
	var keys [][]byte
	c := t.tx.Bucket(bucketLog).Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	if len(keys) <= keep {
		return nil
	}
	for _, k := range keys[:len(keys)-keep] {
		if err := t.tx.Bucket(bucketLog).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// moveLog gives the log of one node to another, as merging doubles does.
func (t *txn) moveLog(from, to uint64) error {
	prefix := numKey(from)
	type kv struct{ k, v []byte }
	var moved []kv
	c := t.tx.Bucket(bucketLog).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		moved = append(moved, kv{bytes.Clone(k), bytes.Clone(v)})
	}
	t.wrote = true
	for _, m := range moved {
		if err := t.tx.Bucket(bucketLog).Put(append(numKey(to), m.k[8:]...), m.v); err != nil {
			return err
		}
	}
	if err := t.trimLog(from, 0); err != nil {
		return err
	}
	return t.trimLog(to, maxLog)
}

// readLog returns at most limit entries, newest first, after leaving out the newest skip.
func (t *txn) readLog(id uint64, limit, skip int) ([]LogEntry, error) {
	prefix := numKey(id)
	out := []LogEntry{}
	c := t.tx.Bucket(bucketLog).Cursor()
	newest := c.Prev
	if next, _ := c.Seek(numKey(id + 1)); next == nil {
		newest = c.Last
	}
	k, v := newest()
	for ; k != nil && bytes.HasPrefix(k, prefix) && len(out) < limit; k, v = c.Prev() {
		if skip > 0 {
			skip--
			continue
		}
		var e LogEntry
		if err := decodeJSON(v, &e); err != nil {
			return nil, fmt.Errorf("read log of node %d: %w", id, err)
		}
		out = append(out, e)
	}
	return out, nil
}
