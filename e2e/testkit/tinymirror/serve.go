package tinymirror

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mkbuild/e2e/testkit"
)

// Main runs the tests of a package as its TestMain, with a mirror that no test changes and a cache that no test
// inspects: each separate file costs a sync to disk.
func Main(m *testing.M, mirror, cache *string) (status int) {
	dir, err := os.MkdirTemp("", "tinymirror-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	*mirror, *cache = filepath.Join(dir, "mirror"), filepath.Join(dir, "cache")
	if err := Make(*mirror); err != nil {
		panic(err)
	}
	return m.Run()
}

// New makes a separate mirror for a test to break.
func New(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	testkit.Must(t, Make(dir))
	return dir
}

// Publish writes a file with a matching md5 into a mirror on disk.
func Publish(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	for file, text := range map[string][]byte{p: b, p + ".md5.txt": fmt.Appendf(nil, "%x  %s\n", md5.Sum(b), filepath.Base(p))} {
		testkit.Put(t, file, text)
	}
}

// Fault is a server's faulty answer in place of a file.
type Fault func(w http.ResponseWriter, body []byte)

// Server is a mirror over HTTP that records its requests.
type Server struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	broken string
	fault  Fault
}

// ServeDir serves a mirror on disk until the test ends.
func ServeDir(t testing.TB, dir string) *Server {
	t.Helper()
	s := &Server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		fault := s.fault
		if !strings.HasSuffix(r.URL.Path, s.broken) {
			fault = nil
		}
		s.mu.Unlock()
		if fault == nil {
			http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
			return
		}
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		fault(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// Break makes the server answer with a fault for paths that end in suffix, from now on. Without a fault it repairs
// the server.
func (s *Server) Break(suffix string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.fault = suffix, fault
}

// Requests returns the requested paths.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Gone answers that the file does not exist.
func Gone(w http.ResponseWriter, _ []byte) { http.Error(w, "gone", http.StatusNotFound) }

// Failing answers with a server error.
func Failing(w http.ResponseWriter, _ []byte) {
	http.Error(w, "oops", http.StatusInternalServerError)
}

// Dying closes the connection.
func Dying(http.ResponseWriter, []byte) { panic(http.ErrAbortHandler) }

// HTML sends a page.
func HTML(w http.ResponseWriter, _ []byte) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<!DOCTYPE html><html><body>Welcome to our network</body></html>"))
}

// Lying sends a file with one wrong bit.
func Lying(w http.ResponseWriter, body []byte) {
	wrong := bytes.Clone(body)
	wrong[len(wrong)/2] ^= 1
	_, _ = w.Write(wrong)
}

// Short sends half of the file as if it were the whole file.
func Short(w http.ResponseWriter, body []byte) { _, _ = w.Write(body[:len(body)/2]) }

// Shrinking announces the whole file but sends less, each time.
func Shrinking(w http.ResponseWriter, body []byte) {
	_, _ = w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
