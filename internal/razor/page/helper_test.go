package page

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/internal/razor"
)

const (
	testToken = "0123456789abcdef-test"
	mac1      = "52:54:00:00:00:01"
)

// rig is a server with its page.
type rig struct {
	t   testing.TB
	s   *razor.Server
	p   *Page
	url string
}

// newRig starts a server with these rules.
func newRig(t testing.TB, rules string) *rig {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := razor.New(razor.Options{Config: razor.DefaultConfig(), DataDir: dir, RulesFile: file})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(s, Options{Token: testToken, Hosts: []string{"lab.example"}})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler(p))
	t.Cleanup(func() {
		h.CloseClientConnections() // event streams
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, s: s, p: p, url: h.URL}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// do sends one request. Headers are "Name: value".
func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func (r *rig) get(path string, headers ...string) answer {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", headers...)
}

// node makes a node with this MAC and returns its number.
func (r *rig) node(mac string) uint64 {
	r.t.Helper()
	var v struct{ ID uint64 }
	if a := r.get("/svc/nodeid?net0=" + mac); json.Unmarshal([]byte(a.body), &v) != nil || v.ID == 0 {
		r.t.Fatalf("nodeid: %d %s", a.status, a.body)
	}
	return v.ID
}

// checkin posts facts.
func (r *rig) checkin(id uint64, facts map[string]any, headers ...string) {
	r.t.Helper()
	b, err := json.Marshal(map[string]any{"facts": facts})
	if err != nil {
		r.t.Fatal(err)
	}
	headers = append(headers, "Content-Type: application/json")
	if a := r.do(http.MethodPost, fmt.Sprintf("/svc/checkin/%d", id), string(b), headers...); a.status != http.StatusOK {
		r.t.Fatalf("check-in: %d %s", a.status, a.body)
	}
}

// facts1 are those of a machine with mac1 and more: names and values in turn.
func facts1(more ...any) map[string]any {
	f := map[string]any{"macaddress": mac1}
	for i := 0; i+1 < len(more); i += 2 {
		f[more[i].(string)] = more[i+1]
	}
	return f
}

func mustContain(t testing.TB, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%q is missing in:\n%.3000s", w, got)
		}
	}
}

func mustNotContain(t testing.TB, got string, bad ...string) {
	t.Helper()
	for _, w := range bad {
		if strings.Contains(got, w) {
			t.Errorf("%q is in:\n%.3000s", w, got)
		}
	}
}
