package razor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Conditions of the database.
var (
	// ErrDatabase says that the database file is damaged or is not one of this server.
	ErrDatabase = errors.New("database is damaged")
	// ErrDatabaseBusy says that another process holds the database.
	ErrDatabaseBusy = errors.New("database is in use by another process")
	// ErrNoNode says that there is no such node.
	ErrNoNode = errors.New("no such node")
)

// Buckets of the database. Node numbers are big-endian, so that key order is number order.
var (
	bucketMeta  = []byte("meta")  // schema → "1"; see also logCounterKey
	bucketNodes = []byte("nodes") // number → Node as JSON
	bucketFacts = []byte("facts") // number → facts as JSON, absent until registered
	bucketHW    = []byte("hw")    // entry NUL number → empty
	bucketLog   = []byte("log")   // number sequence → LogEntry as JSON
	bucketBound = []byte("bound") // policy NUL number → empty
	allBuckets  = [][]byte{bucketMeta, bucketNodes, bucketFacts, bucketHW, bucketLog, bucketBound}
	keySchema   = []byte("schema")
)

const (
	schema       = "1"
	databaseName = "razor.db"
	// lockWait is how long another process may hold the database before we give up.
	lockWait = time.Second
	// batchDelay gathers concurrent check-ins into one transaction and one fsync.
	batchDelay = 5 * time.Millisecond
)

// store keeps nodes, their facts and their log. Every write is one bbolt transaction, on disk
// before the answer goes out; concurrent ones share a transaction.
type store struct {
	db   *bolt.DB
	file string
}

// openStore opens or makes the database in dir and reads all of it once, so that damage shows
// at start and not in the middle of a check-in.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &store{file: filepath.Join(dir, databaseName)}
	if err := s.open(); err != nil {
		if s.db != nil {
			_ = s.db.Close() // the first error is the one to tell
		}
		return nil, err
	}
	return s, nil
}

func (s *store) damaged(cause any) error {
	return fmt.Errorf("open %s: %w: %v (move the file away to start with an empty one)", s.file, ErrDatabase, cause)
}

// open turns what bbolt does on hostile files (errors, panics, faults of its memory map) into
// one error. A file that exists is read through first, read-only: opened for writing, bbolt
// may walk it in a goroutine of its own, whose panic nobody could catch.
func (s *store) open() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = s.damaged(p)
		}
	}()
	if st, err := os.Stat(s.file); err == nil && st.Size() > 0 {
		if err := s.openAs(true); err != nil {
			return err
		}
		if err := s.db.View(verify); err != nil {
			return s.damaged(err)
		}
		if err := s.db.Close(); err != nil {
			return fmt.Errorf("open database: %w", err)
		}
	}
	if err := s.openAs(false); err != nil {
		return err
	}
	if err := s.db.Update(createBuckets); err != nil {
		return s.damaged(err)
	}
	return nil
}

func (s *store) openAs(readOnly bool) error {
	db, err := bolt.Open(s.file, 0o600, &bolt.Options{
		Timeout: lockWait, ReadOnly: readOnly, FreelistType: bolt.FreelistMapType,
	})
	if err != nil {
		return s.openError(err)
	}
	db.MaxBatchDelay = batchDelay
	s.db = db
	return nil
}

func (s *store) openError(err error) error {
	var pathErr *os.PathError
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("open %s: %w", s.file, ErrDatabaseBusy)
	case errors.As(err, &pathErr):
		return fmt.Errorf("open database: %w", err)
	}
	return s.damaged(err)
}

func createBuckets(tx *bolt.Tx) error {
	for _, b := range allBuckets {
		if _, err := tx.CreateBucketIfNotExists(b); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keySchema, []byte(schema))
}

// verify reads every record.
func verify(tx *bolt.Tx) error {
	for _, b := range allBuckets {
		if tx.Bucket(b) == nil {
			return fmt.Errorf("bucket %s is missing", b)
		}
	}
	if v := string(tx.Bucket(bucketMeta).Get(keySchema)); v != schema {
		return fmt.Errorf("schema %q, this program knows %q", v, schema)
	}
	for _, b := range [][]byte{bucketNodes, bucketFacts, bucketLog} {
		err := tx.Bucket(b).ForEach(func(k, v []byte) error {
			if len(k) < 8 || !json.Valid(v) {
				return fmt.Errorf("record %x in %s is not readable", k, b)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, b := range [][]byte{bucketHW, bucketBound} {
		if err := tx.Bucket(b).ForEach(func(_, _ []byte) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) close() error { return s.db.Close() }

// update runs fn in a transaction shared with concurrent ones; fn may run more than once, so
// it sets its results afresh each time. An error before anything was written is the caller's
// alone: it must not make bbolt undo and repeat the work of all the others.
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
	t.wrote = true
	id, err := t.tx.Bucket(bucketNodes).NextSequence()
	if err != nil {
		return err
	}
	n.ID, n.Name = id, fmt.Sprintf("node%d", id)
	return t.put(nil, n)
}

// put stores a node and keeps the indexes; old is the record before, nil for a new node.
func (t *txn) put(old, n *Node) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("store %s: %w", n.Name, err)
	}
	t.wrote = true
	if err := t.tx.Bucket(bucketNodes).Put(numKey(n.ID), b); err != nil {
		return fmt.Errorf("store %s: %w", n.Name, err)
	}
	var before, after Node
	if old != nil {
		before = *old
	}
	after = *n
	return t.reindex(n.ID, &before, &after)
}

func (t *txn) reindex(id uint64, before, after *Node) error {
	hw, bound := t.tx.Bucket(bucketHW), t.tx.Bucket(bucketBound)
	if before.Policy != after.Policy {
		if before.Policy != "" {
			if err := bound.Delete(indexKey(before.Policy, id)); err != nil {
				return err
			}
		}
		if after.Policy != "" {
			if err := bound.Put(indexKey(after.Policy, id), nil); err != nil {
				return err
			}
		}
	}
	for _, e := range without(before.HWInfo, after.HWInfo) {
		if err := hw.Delete(indexKey(e, id)); err != nil {
			return err
		}
	}
	for _, e := range without(after.HWInfo, before.HWInfo) {
		if err := hw.Put(indexKey(e, id), nil); err != nil {
			return err
		}
	}
	return nil
}

// without returns the entries of a that b lacks.
func without(a, b []string) []string {
	have := make(map[string]bool, len(b))
	for _, e := range b {
		have[e] = true
	}
	var out []string
	for _, e := range a {
		if !have[e] {
			out = append(out, e)
		}
	}
	return out
}

// scan calls fn with the number of every node indexed under entry, in order.
func (t *txn) scan(bucket []byte, entry string, fn func(id uint64)) {
	prefix := append([]byte(entry), 0)
	c := t.tx.Bucket(bucket).Cursor()
	for k, _ := c.Seek(prefix); len(k) == len(prefix)+8 && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		fn(binary.BigEndian.Uint64(k[len(prefix):]))
	}
}

// boundCount is the number of nodes bound to a policy.
func (t *txn) boundCount(policy string) int {
	n := 0
	t.scan(bucketBound, policy, func(uint64) { n++ })
	return n
}

// find returns the nodes whose identity overlaps with entries, by number.
func (t *txn) find(entries []string) ([]*Node, error) {
	seen := map[uint64]bool{}
	var out []*Node
	for _, e := range entries {
		var ids []uint64
		t.scan(bucketHW, e, func(id uint64) { ids = append(ids, id) })
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			n, err := t.node(id)
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
	}
	sortNodes(out)
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

// facts returns the stored facts as JSON, nil before registration.
func (t *txn) facts(id uint64) []byte {
	return append([]byte(nil), t.tx.Bucket(bucketFacts).Get(numKey(id))...)
}

func (t *txn) putFacts(id uint64, b []byte) error {
	t.wrote = true
	return t.tx.Bucket(bucketFacts).Put(numKey(id), b)
}

// remove deletes a node with everything that belongs to it.
func (t *txn) remove(n *Node) error {
	t.wrote = true
	if err := t.reindex(n.ID, n, &Node{}); err != nil {
		return err
	}
	if err := t.tx.Bucket(bucketFacts).Delete(numKey(n.ID)); err != nil {
		return err
	}
	if err := t.tx.Bucket(bucketNodes).Delete(numKey(n.ID)); err != nil {
		return err
	}
	if err := t.tx.Bucket(bucketMeta).Delete(logCounterKey(n.ID)); err != nil {
		return err
	}
	return t.trimLog(n.ID, 0)
}
