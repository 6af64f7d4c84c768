package razor

import (
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"

	"mkbuild/e2e/testkit"
)

// rig is a server under test.
type rig struct {
	testkit.Site
	s *Server
}

// newRig starts a server; tweak may change the options.
func newRig(t testing.TB, tweak func(*Options)) *rig {
	t.Helper()
	o := Options{Config: DefaultConfig(), DataDir: filepath.Join(t.TempDir(), "data")}
	if tweak != nil {
		tweak(&o)
	}
	s, err := New(o)
	testkit.Must(t, err)
	h := httptest.NewServer(s.Handler(nil))
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{testkit.Site{T: t, URL: h.URL}, s}
}

func (r *rig) load(id uint64) *Node {
	r.T.Helper()
	var n *Node
	if err := r.s.nodes.store.view(func(t *txn) (err error) { n, err = t.node(id); return err }); err != nil {
		r.T.Fatal(err)
	}
	return n
}

// logOf returns a node's log, newest entry first.
func (r *rig) logOf(id uint64) []LogEntry {
	r.T.Helper()
	var l []LogEntry
	if err := r.s.nodes.store.view(func(t *txn) (err error) { l, err = t.readLog(id); return err }); err != nil {
		r.T.Fatal(err)
	}
	slices.Reverse(l)
	return l
}

func write(t testing.TB, file, content string) string {
	t.Helper()
	testkit.WriteFile(t, file, content, 0o644)
	return file
}

// withRules puts rules into a file and the file into the options.
func withRules(t testing.TB, rules string) func(*Options) {
	file := write(t, filepath.Join(t.TempDir(), "rules.yaml"), rules)
	return func(o *Options) { o.RulesFile = file }
}

const mac1 = "52:54:00:00:00:01"

// facts1 returns the facts of a machine with mac1 and more: names and values in turn.
func facts1(more ...any) map[string]any {
	f := map[string]any{"macaddress": mac1, "macaddress_eth0": mac1}
	for i := 0; i+1 < len(more); i += 2 {
		f[more[i].(string)] = more[i+1]
	}
	return f
}
