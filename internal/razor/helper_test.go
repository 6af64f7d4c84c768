package razor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rig is a server under test.
type rig struct {
	t   testing.TB
	s   *Server
	url string
	dir string
}

// newRig starts a server; tweak may change the options.
func newRig(t testing.TB, tweak func(*Options)) *rig {
	t.Helper()
	dir := t.TempDir()
	o := Options{Config: DefaultConfig(), DataDir: filepath.Join(dir, "data")}
	if tweak != nil {
		tweak(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler(nil))
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, s: s, url: h.URL, dir: dir}
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// do sends one request without following redirects. Headers are "Name: value".
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
			continue
		}
		req.Header.Set(k, v)
	}
	c := http.Client{Timeout: 5 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b), err}
}

func (r *rig) get(path string, headers ...string) answer {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", headers...)
}

// node makes a node with this MAC and returns its number.
func (r *rig) node(mac string) uint64 {
	r.t.Helper()
	a := r.get("/svc/nodeid?net0=" + mac)
	var v struct{ ID uint64 }
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &v) != nil || v.ID == 0 {
		r.t.Fatalf("nodeid: %d %s", a.status, a.body)
	}
	return v.ID
}

// checkin posts facts and returns the answer.
func (r *rig) checkin(id uint64, facts map[string]any, headers ...string) answer {
	r.t.Helper()
	b, err := json.Marshal(map[string]any{"hw_id": "525400000001", "facts": facts})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.do(http.MethodPost, fmt.Sprintf("/svc/checkin/%d", id), string(b),
		append([]string{"Content-Type: application/json"}, headers...)...)
}

func (r *rig) load(id uint64) *Node {
	r.t.Helper()
	var n *Node
	if err := r.s.nodes.store.view(func(t *txn) (err error) { n, err = t.node(id); return err }); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// logOf returns a node's log, newest entry first.
func (r *rig) logOf(id uint64) []LogEntry {
	r.t.Helper()
	var l []LogEntry
	if err := r.s.nodes.store.view(func(t *txn) (err error) { l, err = t.readLog(id); return err }); err != nil {
		r.t.Fatal(err)
	}
	slices.Reverse(l)
	return l
}

func write(t testing.TB, file, content string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// withRules puts rules into a file and the file into the options.
func withRules(t testing.TB, rules string) func(*Options) {
	file := write(t, filepath.Join(t.TempDir(), "rules.yaml"), rules)
	return func(o *Options) { o.RulesFile = file }
}

const mac1 = "52:54:00:00:00:01"

func facts1(more ...any) map[string]any {
	f := map[string]any{"macaddress": mac1, "macaddress_eth0": mac1}
	for i := 0; i+1 < len(more); i += 2 {
		f[more[i].(string)] = more[i+1]
	}
	return f
}

func mustContain(t testing.TB, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%q is missing in:\n%s", w, clip(got, 3000))
		}
	}
}

func mustNotContain(t testing.TB, got string, bad ...string) {
	t.Helper()
	for _, w := range bad {
		if strings.Contains(got, w) {
			t.Errorf("%q is in:\n%s", w, clip(got, 3000))
		}
	}
}

func openBytes(content string, mtime time.Time) BootFile {
	return func() (io.ReadSeeker, time.Time, error) { return bytes.NewReader([]byte(content)), mtime, nil }
}
