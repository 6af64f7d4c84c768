package razor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mkbuild/e2e/testkit"
)

// All answered data exists after a restart.
func TestRestartLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	open := func(t *testing.T) *rig {
		return newRig(t, func(o *Options) {
			withRules(t, policyRules)(o)
			o.DataDir = dir
		})
	}
	snapshot := func(r *rig) string {
		one, err := r.s.Report("node1")
		two, err2 := r.s.Report("node2")
		return fmt.Sprint(asJSON(one), err, asJSON(two), err2)
	}
	var before string
	t.Run("first run", func(t *testing.T) {
		r := open(t)
		id := r.Node(mac1)
		r.Node("52:54:00:00:00:02")
		r.CheckIn(id, facts1("virtual", "physical", "a", 1))
		r.CheckIn(id, facts1("virtual", "kvm", "a", 2, "mk_extension_facts", "a"))
		r.Get(fmt.Sprintf("/svc/log/%d?msg=hello&severity=error", id))
		r.Get(fmt.Sprintf("/svc/store_metadata/%d?k=v", id))
		before = snapshot(r)
		testkit.Contains(t, before, "hello", `"k":"v"`, `"policy":"small"`, `"from_extension":["a"]`, `"virtual":"kvm"`)
	})
	t.Run("second run", func(t *testing.T) {
		r := open(t)
		if after := snapshot(r); after != before {
			t.Errorf("after the restart\n%s\nbefore\n%s", after, before)
		}
		if id := r.Node(mac1); id != 1 {
			t.Errorf("the node is now number %d", id)
		}
		// The binding still counts against max_count.
		if a := r.CheckIn(2, map[string]any{"macaddress": "52:54:00:00:00:02", "virtual": "kvm"}); a.Body != `{"action":"none"}` {
			t.Errorf("second node: %s", a.Body)
		}
		if id := r.Node("52:54:00:00:00:03"); id != 3 {
			t.Errorf("next node got number %d", id)
		}
	})
}

func TestDamagedDatabase(t *testing.T) {
	good := func(t *testing.T) string {
		dir := t.TempDir()
		s, err := openStore(dir)
		testkit.Must(t, err)
		err = s.update(func(tx *txn) error {
			for range 200 {
				n := &Node{HWInfo: []string{"mac=x"}, Metadata: map[string]any{"pad": strings.Repeat("x", 500)}}
				if err := tx.create(n); err != nil {
					return err
				}
			}
			return nil
		})
		testkit.Must(t, err)
		testkit.Must(t, s.close())
		return filepath.Join(dir, databaseName)
	}
	spoil := map[string]func([]byte) []byte{
		"text":          func([]byte) []byte { return []byte(strings.Repeat("this is no database\n", 1000)) },
		"short text":    func([]byte) []byte { return []byte("hello") },
		"zeros":         func(b []byte) []byte { return make([]byte, len(b)) },
		"cut in half":   func(b []byte) []byte { return b[:len(b)/2] },
		"only metadata": func(b []byte) []byte { return b[:8192] },
		"noise in the middle": func(b []byte) []byte {
			_, _ = rand.NewChaCha8([32]byte{1}).Read(b[8192:])
			return b
		},
	}
	for name, fn := range spoil {
		t.Run(name, func(t *testing.T) {
			file := good(t)
			b, err := os.ReadFile(file)
			testkit.Must(t, err)
			testkit.Must(t, os.WriteFile(file, fn(b), 0o600))
			s, err := openStore(filepath.Dir(file))
			if err == nil {
				_ = s.close()
			}
			if !errors.Is(err, ErrDatabase) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "move the file away") {
				t.Errorf("got %v, want ErrDatabase", err)
			}
		})
	}
	t.Run("other schema", func(t *testing.T) {
		file := good(t)
		s, err := openStore(filepath.Dir(file))
		testkit.Must(t, err)
		testkit.Must(t, s.update(func(tx *txn) error { return tx.tx.Bucket(bucketMeta).Put(keySchema, []byte("99")) }))
		testkit.Must(t, s.close())
		if _, err := openStore(filepath.Dir(file)); !errors.Is(err, ErrDatabase) || !strings.Contains(err.Error(), `schema "99"`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDatabaseBusyAndUnwritable(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir)
	testkit.Must(t, err)
	defer s.close()
	if _, err := openStore(dir); !errors.Is(err, ErrDatabaseBusy) {
		t.Errorf("second open: %v", err)
	}
	file := write(t, filepath.Join(t.TempDir(), "file"), "")
	if _, err := openStore(filepath.Join(file, "data")); err == nil || errors.Is(err, ErrDatabase) {
		t.Errorf("directory below a file: %v", err)
	}
}

// An error before a write affects only the caller; an error after it undoes the writes.
func TestUpdateKeepsTransactionsApart(t *testing.T) {
	s, err := openStore(t.TempDir())
	testkit.Must(t, err)
	defer s.close()
	bad := errors.New("bad")
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			err := s.update(func(tx *txn) error {
				switch i % 3 {
				case 0:
					return bad
				case 1:
					if err := tx.create(&Node{HWInfo: []string{"mac=bad"}}); err != nil {
						return err
					}
					return bad
				}
				return tx.create(&Node{HWInfo: []string{"mac=good"}})
			})
			if want := i%3 != 2; errors.Is(err, bad) != want || !want && err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	_ = s.view(func(tx *txn) error {
		for entry, want := range map[string]int{"mac=bad": 0, "mac=good": 20} {
			if n, err := tx.find([]string{entry}); err != nil || len(n) != want {
				t.Errorf("%s: %d nodes, %v, want %d", entry, len(n), err, want)
			}
		}
		return nil
	})
}

// A node's log keeps the newest entries, even after a merger of two; a removed node leaves nothing.
func TestLogIsBoundedAndRemoveLeavesNothing(t *testing.T) {
	s, err := openStore(t.TempDir())
	testkit.Must(t, err)
	defer s.close()
	bounded := func(tx *txn, id uint64, newest string) {
		t.Helper()
		l, err := tx.readLog(id)
		if err != nil || len(l) != maxLog || l[maxLog-1].Msg != newest {
			t.Errorf("node %d: %d entries, newest %+v, %v", id, len(l), l[max(len(l)-1, 0):], err)
		}
	}
	err = s.update(func(tx *txn) error {
		for _, mac := range []string{"mac=1", "mac=2"} {
			if err := tx.create(&Node{HWInfo: []string{mac}, Policy: "p"}); err != nil {
				return err
			}
		}
		for i := range maxLog + 10 {
			if err := errors.Join(tx.log(1, LogEntry{Msg: fmt.Sprint("one ", i)}), tx.log(2, LogEntry{Msg: fmt.Sprint("two ", i)})); err != nil {
				return err
			}
		}
		bounded(tx, 1, fmt.Sprint("one ", maxLog+9))
		if err := tx.moveLog(2, 1); err != nil {
			return err
		}
		bounded(tx, 1, fmt.Sprint("two ", maxLog+9))
		return tx.log(2, LogEntry{Msg: "last"})
	})
	testkit.Must(t, err)
	err = s.update(func(tx *txn) error {
		if two, _ := tx.readLog(2); len(two) != 1 {
			t.Errorf("second node has %d entries", len(two))
		}
		n, err := tx.node(1)
		if err != nil {
			return err
		}
		return errors.Join(tx.putFacts(1, []byte("{}")), tx.remove(n))
	})
	testkit.Must(t, err)
	_ = s.view(func(tx *txn) error {
		l, _ := tx.readLog(1)
		found, _ := tx.find([]string{"mac=1"})
		if len(l)+len(found)+len(tx.facts(1)) != 0 || tx.bound("p") != 1 {
			t.Errorf("left: %d log entries, %d index entries, %d bound", len(l), len(found), tx.bound("p"))
		}
		return nil
	})
}
