package page

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/razor"
)

const (
	testToken = "0123456789abcdef-test"
	mac1      = "52:54:00:00:00:01"
)

// rig is a server with its page.
type rig struct {
	testkit.Site
	s *razor.Server
	p *Page
}

// newRig starts a server with these rules.
func newRig(t testing.TB, rules string) *rig {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	testkit.WriteFile(t, file, rules, 0o644)
	s, err := razor.New(razor.Options{Config: razor.DefaultConfig(), DataDir: dir, RulesFile: file})
	testkit.Must(t, err)
	p, err := New(s, Options{Token: testToken, Hosts: []string{"lab.example"}})
	testkit.Must(t, err)
	h := httptest.NewServer(s.Handler(p))
	t.Cleanup(func() {
		h.CloseClientConnections() // event streams
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{testkit.Site{T: t, URL: h.URL}, s, p}
}

// facts1 returns the facts of a machine with mac1 and more: names and values in turn.
func facts1(more ...any) map[string]any {
	f := map[string]any{"macaddress": mac1}
	for i := 0; i+1 < len(more); i += 2 {
		f[more[i].(string)] = more[i+1]
	}
	return f
}
