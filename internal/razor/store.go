package razor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"mkbuild/internal/fail"
)

// Conditions of the database.
var (
	// ErrDatabase is returned for a file that is damaged or is not a database of this server.
	ErrDatabase = fail.New(fail.Usage, "database is damaged", "move the file away, or choose another directory with --data DIR")
	// ErrDatabaseBusy is returned while another process holds the database.
	ErrDatabaseBusy = fail.New(fail.Usage, "database is in use by another process", "stop the other server, or choose another directory with --data DIR")
	// ErrNoNode is returned for a node that does not exist.
	ErrNoNode = errors.New("no such node")
)

// Buckets of the database. Node numbers are big-endian, so that key order is number order.
var (
	bucketMeta  = []byte("meta")  // schema → "1"
	bucketNodes = []byte("nodes") // number → Node as JSON
	bucketFacts = []byte("facts") // number → facts as JSON, absent until registered
	bucketHW    = []byte("hw")    // identity entry NUL number → empty
	bucketLog   = []byte("log")   // number → LogEntries as JSON, oldest first
	bucketBound = []byte("bound") // policy NUL number → empty
	keySchema   = []byte("schema")
)

// buckets names all of them; true are those whose values are JSON.
var buckets = map[string]bool{"meta": false, "nodes": true, "facts": true, "hw": false, "log": true, "bound": false}

const (
	schema       = "1"
	databaseName = "razor.db"
	// maxNodes is the number of nodes ever made in one database.
	maxNodes = 1 << 20
	// lockWait is the time limit for another process to release the database.
	lockWait = time.Second
	// batchDelay joins concurrent check-ins to one transaction and one fsync.
	batchDelay = 5 * time.Millisecond
)

// store keeps nodes, their facts and their log. Every write is one bbolt transaction, on disk
// before the answer goes out; concurrent ones share a transaction.
type store struct{ db *bolt.DB }

// openStore opens or makes the database in dir and reads all of it once, so that damage shows at the start and
// not during a check-in. bbolt's errors, panics and memory faults on hostile files become one error.
func openStore(dir string) (s *store, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	file := filepath.Join(dir, databaseName)
	damaged := func(cause any) error {
		return fmt.Errorf("open %s: %w: %v (move the file away to start with an empty one)", file, ErrDatabase, cause)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, damaged(p)
		}
	}()
	st, err := os.Stat(file)
	isNew := err != nil || st.Size() == 0
	db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	switch _, isPath := errors.AsType[*os.PathError](err); {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: %w", file, ErrDatabaseBusy)
	case isPath:
		return nil, fmt.Errorf("open database: %w", err)
	case err != nil:
		return nil, damaged(err)
	}
	if isNew {
		err = db.Update(createBuckets)
	} else {
		err = db.View(verify)
	}
	if err != nil {
		return nil, errors.Join(damaged(err), db.Close())
	}
	db.MaxBatchDelay = batchDelay
	return &store{db}, nil
}

func createBuckets(tx *bolt.Tx) error {
	for name := range buckets {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keySchema, []byte(schema))
}

// verify reads every record.
func verify(tx *bolt.Tx) error {
	for name, isJSON := range buckets {
		b := tx.Bucket([]byte(name))
		if b == nil {
			return fmt.Errorf("bucket %s is missing", name)
		}
		err := b.ForEach(func(k, v []byte) error {
			if isJSON && (len(k) < 8 || !json.Valid(v)) {
				return fmt.Errorf("record %x in %s is not readable", k, name)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if v := string(tx.Bucket(bucketMeta).Get(keySchema)); v != schema {
		return fmt.Errorf("schema %q, this program knows %q", v, schema)
	}
	return nil
}

func (s *store) close() error { return s.db.Close() }

// update runs fn in a transaction shared with concurrent ones; fn may run more than once, so it sets its results
// each time. An error before the first write is the caller's alone: bbolt must not undo and repeat the work of
// the others.
func (s *store) update(fn func(*txn) error) error {
	var refused error
	err := s.db.Batch(func(tx *bolt.Tx) error {
		t := &txn{tx: tx}
		refused = fn(t)
		if refused != nil && t.wrote {
			return refused
		}
		return nil
	})
	if err != nil {
		return err
	}
	return refused
}

func (s *store) view(fn func(*txn) error) error {
	return s.db.View(func(tx *bolt.Tx) error { return fn(&txn{tx: tx}) })
}

// txn is one transaction, in terms of nodes.
type txn struct {
	tx    *bolt.Tx
	wrote bool
}

func numKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func indexKey(entry string, id uint64) []byte {
	return append(append([]byte(entry), 0), numKey(id)...)
}

// node returns a node by number, or [ErrNoNode].
func (t *txn) node(id uint64) (*Node, error) {
	b := t.tx.Bucket(bucketNodes).Get(numKey(id))
	if b == nil {
		return nil, fmt.Errorf("node %d: %w", id, ErrNoNode)
	}
	n := &Node{}
	if err := decodeJSON(b, n); err != nil {
		return nil, fmt.Errorf("read node %d: %w", id, err)
	}
	return n, nil
}

// create gives a new node the next number; numbers are never used again.
func (t *txn) create(n *Node) error {
	if t.tx.Bucket(bucketNodes).Sequence() >= maxNodes {
		return refused("%d nodes were made already", maxNodes)
	}
	t.wrote = true
	id, err := t.tx.Bucket(bucketNodes).NextSequence()
	if err != nil {
		return err
	}
	n.ID, n.Name = id, fmt.Sprintf("node%d", id)
	return t.put(&Node{}, n)
}

// put stores a node and keeps the indexes; old is the record before.
func (t *txn) put(old, n *Node) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("store %s: %w", n.Name, err)
	}
	t.wrote = true
	if err := t.tx.Bucket(bucketNodes).Put(numKey(n.ID), b); err != nil {
		return fmt.Errorf("store %s: %w", n.Name, err)
	}
	return t.reindex(old, n)
}

// reindex updates the indexes of a node to its new record.
func (t *txn) reindex(old, n *Node) error {
	id := max(old.ID, n.ID)
	policies := func(n *Node) []string {
		if n.Policy == "" {
			return nil
		}
		return []string{n.Policy}
	}
	return errors.Join(
		index(t.tx.Bucket(bucketHW), id, old.HWInfo, n.HWInfo),
		index(t.tx.Bucket(bucketBound), id, policies(old), policies(n)),
	)
}

func index(b *bolt.Bucket, id uint64, old, now []string) error {
	for _, e := range old {
		if !slices.Contains(now, e) {
			if err := b.Delete(indexKey(e, id)); err != nil {
				return err
			}
		}
	}
	for _, e := range now {
		if !slices.Contains(old, e) {
			if err := b.Put(indexKey(e, id), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// indexed returns the numbers of the nodes that an index has under entry, in order.
func (t *txn) indexed(bucket []byte, entry string) []uint64 {
	prefix := append([]byte(entry), 0)
	var ids []uint64
	c := t.tx.Bucket(bucket).Cursor()
	for k, _ := c.Seek(prefix); len(k) == len(prefix)+8 && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		ids = append(ids, binary.BigEndian.Uint64(k[len(prefix):]))
	}
	return ids
}

// bound is the number of nodes that a policy has.
func (t *txn) bound(policy string) int { return len(t.indexed(bucketBound, policy)) }

// find returns the nodes whose identity has one of the entries, by number.
func (t *txn) find(entries []string) ([]*Node, error) {
	var ids []uint64
	for _, e := range entries {
		ids = append(ids, t.indexed(bucketHW, e)...)
	}
	slices.Sort(ids)
	var out []*Node
	for _, id := range slices.Compact(ids) {
		n, err := t.node(id)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// each calls fn with every node in order of number.
func (t *txn) each(fn func(*Node) error) error {
	return t.tx.Bucket(bucketNodes).ForEach(func(k, v []byte) error {
		n := &Node{}
		if err := decodeJSON(v, n); err != nil {
			return fmt.Errorf("read node %x: %w", k, err)
		}
		return fn(n)
	})
}

// facts returns the stored facts as JSON, nil before registration. They are the database's own bytes, valid only
// in this transaction.
func (t *txn) facts(id uint64) []byte { return t.tx.Bucket(bucketFacts).Get(numKey(id)) }

func (t *txn) putFacts(id uint64, b []byte) error {
	t.wrote = true
	return t.tx.Bucket(bucketFacts).Put(numKey(id), b)
}

// remove deletes a node with everything that belongs to it.
func (t *txn) remove(n *Node) error {
	t.wrote = true
	return errors.Join(
		t.reindex(n, &Node{}),
		t.tx.Bucket(bucketFacts).Delete(numKey(n.ID)),
		t.tx.Bucket(bucketNodes).Delete(numKey(n.ID)),
		t.tx.Bucket(bucketLog).Delete(numKey(n.ID)),
	)
}

// maxLog is the number of log entries of a node; the oldest are dropped first.
const maxLog = 100

// log appends to a node's log.
func (t *txn) log(id uint64, more ...LogEntry) error {
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

// moveLog moves the log of one node to another.
func (t *txn) moveLog(from, to uint64) error {
	entries, err := t.readLog(from)
	if err != nil {
		return err
	}
	return errors.Join(t.log(to, entries...), t.tx.Bucket(bucketLog).Delete(numKey(from)))
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
