package razor

import (
	"encoding/json"
	"fmt"
)

const (
	// maxLog is how many log entries a node keeps; the oldest go first.
	maxLog = 100
	// maxMessage bounds one logged text, in bytes: it comes from a query string.
	maxMessage = 8 << 10
)

// log appends to a node's log.
func (t *txn) log(id uint64, e LogEntry) error {
	if e.Severity == "" {
		e.Severity = "info"
	}
	e.Msg = clip(e.Msg, maxMessage)
	return t.appendLog(id, []LogEntry{e})
}

// moveLog gives the log of one node to another, as merging doubles does.
func (t *txn) moveLog(from, to uint64) error {
	entries, err := t.readLog(from)
	if err != nil {
		return err
	}
	t.wrote = true
	if err := t.tx.Bucket(bucketLog).Delete(numKey(from)); err != nil {
		return err
	}
	return t.appendLog(to, entries)
}

func (t *txn) appendLog(id uint64, more []LogEntry) error {
	entries, err := t.readLog(id)
	if err != nil {
		return err
	}
	entries = append(entries, more...)
	b, err := json.Marshal(entries[max(len(entries)-maxLog, 0):])
	if err != nil {
		return fmt.Errorf("log to node %d: %w", id, err)
	}
	t.wrote = true
	return t.tx.Bucket(bucketLog).Put(numKey(id), b)
}

// readLog returns the log of a node, oldest entry first.
func (t *txn) readLog(id uint64) ([]LogEntry, error) {
	b := t.tx.Bucket(bucketLog).Get(numKey(id))
	if b == nil {
		return nil, nil
	}
	var entries []LogEntry
	if err := decodeJSON(b, &entries); err != nil {
		return nil, fmt.Errorf("read log of node %d: %w", id, err)
	}
	return entries, nil
}
