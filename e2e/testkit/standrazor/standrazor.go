// Package standrazor is a Razor server for tests of mk-client. It serves an extension like one of three kinds of
// servers, with faults on request, and records its requests.
package standrazor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Kind is a server's way to answer conditional requests.
type Kind string

const (
	Razor Kind = "razor" // 200 with an empty body on exact match, never 304
	Nginx Kind = "nginx" // 304 on exact match, with an ETag
	RFC   Kind = "rfc"   // 304 when not modified since
)

// Kinds are all kinds.
var Kinds = []Kind{Razor, Nginx, RFC}

// Post is one check-in that a server received.
type Post struct {
	Path, ContentType, Agent string
	HWID                     string         `json:"hw_id"`
	Facts                    map[string]any `json:"facts"`
}

// Respond makes a handler that answers with a header and a body.
func Respond(status int, header map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// Raw answers with raw bytes and closes the connection.
func Raw(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			fmt.Fprint(conn, raw)
			conn.Close()
		}
	}
}

// Endless sends bytes as fast as the client reads them.
func Endless(w http.ResponseWriter, r *http.Request) {
	block := strings.Repeat("x", 32<<10)
	for r.Context().Err() == nil {
		if _, err := fmt.Fprint(w, block); err != nil {
			return
		}
	}
}

// Stall sends a little and then nothing while the client waits.
func Stall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, "PK")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// Drip sends single bytes, often enough to avoid a stall.
func Drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		fmt.Fprint(w, "P")
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
	}
}

// Server is a Razor server with the quirks of its kind. Its lock guards the fields after it.
type Server struct {
	*httptest.Server
	t    testing.TB
	kind Kind

	sync.Mutex
	zip      []byte // nil: not configured
	mtime    time.Time
	fault    http.HandlerFunc // answers extension requests instead
	Answer   func(Post) string
	Nodes    map[string]bool
	Events   []string
	Requests []*http.Request
	Posts    []Post
	Logs     []string
	NodeIDs  int
	Status   int // for the next check-ins; 0 is 200
}

// New starts a server that knows node 7.
func New(t testing.TB, kind Kind) *Server {
	r := &Server{t: t, kind: kind, Nodes: map[string]bool{"7": true}}
	mux := http.NewServeMux()
	mux.HandleFunc("/svc/mk/extension.zip", r.extension)
	mux.HandleFunc("POST /svc/checkin/{id}", r.checkin)
	mux.HandleFunc("GET /svc/nodeid", r.nodeid)
	mux.HandleFunc("GET /svc/log/{id}", func(w http.ResponseWriter, q *http.Request) {
		r.Lock()
		defer r.Unlock()
		r.Logs = append(r.Logs, q.FormValue("severity")+": "+q.FormValue("msg"))
		w.WriteHeader(204)
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

// Publish makes b the extension, or removes it if b is nil.
func (r *Server) Publish(b []byte, mtime time.Time) {
	r.Lock()
	defer r.Unlock()
	r.zip, r.mtime = b, mtime
}

// SetFault makes h answer requests for the extension; nil ends that.
func (r *Server) SetFault(h http.HandlerFunc) {
	r.Lock()
	defer r.Unlock()
	r.fault = h
}

func (r *Server) extension(w http.ResponseWriter, q *http.Request) {
	r.Lock()
	r.Events = append(r.Events, "GET")
	r.Requests = append(r.Requests, q.Clone(context.Background()))
	fault, b, mtime := r.fault, r.zip, r.mtime
	r.Unlock()
	if fault != nil {
		fault(w, q)
		return
	}
	if b == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(404)
		io.WriteString(w, `{"error":"No extension file configured"}`)
		return
	}
	r.Conditional(w, q, b, mtime.UTC().Format(http.TimeFormat))
}

// Conditional answers a request for b like the server's kind.
func (r *Server) Conditional(w http.ResponseWriter, q *http.Request, b []byte, modified string) {
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	since := q.Header.Get("If-Modified-Since")
	switch r.kind {
	case Razor:
		if since == modified {
			h.Set("Content-Length", "0")
			return
		}
	case Nginx:
		etag := fmt.Sprintf(`"%x-%x"`, modified, len(b))
		h.Set("ETag", etag)
		if match := q.Header.Get("If-None-Match"); match == etag || match == "" && since == modified {
			w.WriteHeader(304)
			return
		}
	case RFC:
		s, err1 := http.ParseTime(since)
		m, err2 := http.ParseTime(modified)
		if err1 == nil && err2 == nil && !m.After(s) {
			w.WriteHeader(304)
			return
		}
	}
	h.Set("Last-Modified", modified)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

func (r *Server) checkin(w http.ResponseWriter, q *http.Request) {
	p := Post{Path: q.URL.Path, ContentType: q.Header.Get("Content-Type"), Agent: q.UserAgent()}
	dec := json.NewDecoder(q.Body)
	dec.UseNumber()
	err := dec.Decode(&p)
	r.Lock()
	defer r.Unlock()
	r.Events = append(r.Events, "POST")
	switch {
	case p.ContentType != "application/json" || err != nil || p.Facts == nil:
		w.WriteHeader(400)
		return
	case !r.Nodes[q.PathValue("id")]:
		w.WriteHeader(404)
		return
	case r.Status != 0:
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(r.Status)
		return
	}
	for name, v := range p.Facts {
		if _, ok := v.(string); !ok && (name == "serialnumber" || name == "uuid" || strings.HasPrefix(name, "macaddress")) {
			w.WriteHeader(500) // like the real server, which calls string methods on them
			return
		}
	}
	r.Posts = append(r.Posts, p)
	action := "none"
	if r.Answer != nil {
		action = r.Answer(p)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"action":%q}`, action)
}

func (r *Server) nodeid(w http.ResponseWriter, q *http.Request) {
	r.Lock()
	defer r.Unlock()
	r.NodeIDs++
	if q.FormValue("net0") == "" {
		w.WriteHeader(400)
		return
	}
	id := strconv.Itoa(40 + r.NodeIDs)
	r.Nodes[id] = true
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"id":`+id+`}`)
}

// Last returns the newest check-in.
func (r *Server) Last() Post {
	r.t.Helper()
	r.Lock()
	defer r.Unlock()
	if len(r.Posts) == 0 {
		r.t.Fatal("no check-in arrived")
	}
	return r.Posts[len(r.Posts)-1]
}

// Count counts requests: GET of the extension, POST of check-ins.
func (r *Server) Count(event string) (n int) {
	r.Lock()
	defer r.Unlock()
	for _, e := range r.Events {
		if e == event {
			n++
		}
	}
	return n
}
