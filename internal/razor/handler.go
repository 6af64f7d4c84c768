package razor

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Handler returns all endpoints. With guardHost the page and the API answer to host names
// that can only mean this machine, so that a web site cannot reach them through its own name.
func (s *Server) Handler(guardHost bool) http.Handler {
	mux := http.NewServeMux()
	s.svcRoutes(mux)
	s.apiRoutes(mux)
	s.pageRoutes(mux)
	h := s.guardSvc(mux)
	if guardHost {
		h = s.guardHost(h)
	}
	return s.logged(h)
}

// svcRoutes are what nodes talk to. They are open to everybody, as Razor's are.
func (s *Server) svcRoutes(mux *http.ServeMux) {
	mux.Handle("GET /svc/mk/extension.zip", s.withFault(FaultExtension, s.handleExtension))
	mux.Handle("POST /svc/checkin/{id}", s.withFault(FaultCheckin, s.handleCheckin))
	mux.HandleFunc("GET /svc/nodeid", s.handleNodeID)
	mux.HandleFunc("GET /svc/boot", s.handleBoot)
	mux.HandleFunc("GET /svc/repo/{path...}", s.handleRepo)
	mux.HandleFunc("GET /svc/log/{id}", s.handleLog)
	mux.HandleFunc("GET /svc/store_metadata/{id}", s.handleStoreMetadata)
	mux.HandleFunc("GET /svc/stage-done/{id}", s.handleStageDone)
	mux.HandleFunc("GET /api/microkernel/bootstrap", s.handleBootstrap)
}

// statusWriter remembers the status for the log. It passes flushing on.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements [http.ResponseWriter].
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// logged writes one line per request and turns a panic into a 500.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		sw := &statusWriter{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
					panic(p)
				}
				s.log.Error("request panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				if sw.status == 0 {
					http.Error(sw, "internal error", http.StatusInternalServerError)
				}
			}
			s.log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", sw.status,
				"remote", r.RemoteAddr, "ms", time.Since(begin).Milliseconds())
		}()
		next.ServeHTTP(sw, r)
	})
}

// guardSvc refuses what a browser asks of the nodes' endpoints on behalf of another site: they are
// open to everybody and change something even by GET, so an image in any page could reach them.
// Nodes and iPXE are no browsers and send neither header.
func (s *Server) guardSvc(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/svc/") && foreign(r) {
			s.failure(w, http.StatusForbidden, "web pages of other sites may not ask for this")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreign reports whether the headers name another site as the one that asks: Sec-Fetch-Site as in
// the Fetch Metadata specification, which browsers send to loopback, and Origin as in RFC 6454. An
// address typed in has none.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}

// guardHost refuses unknown host names, except for what nodes and iPXE ask for.
func (s *Server) guardHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		open := strings.HasPrefix(p, "/svc/") || p == "/api/microkernel/bootstrap"
		if !open && !s.knownHost(r.Host) {
			http.Error(w, "unknown host name: ask for an IP address or localhost", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(s.opts.Hosts, host)
}

// empty answers with a status and nothing else, in Razor's default media type.
func (s *Server) empty(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
}

// failure answers with Razor's error object.
func (s *Server) failure(w http.ResponseWriter, status int, msg string) {
	s.writeJSON(w, status, map[string]string{"error": msg})
}

func (s *Server) writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.log.Error("encode answer", "error", err)
		s.empty(w, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is nobody's error
}
