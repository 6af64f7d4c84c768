// Package razor is a check-in server for development and small labs: it speaks the protocol that
// the Razor provisioning server speaks with a microkernel, quirks included, so that an image and
// its runtime extensions can be tried without PostgreSQL, JRuby and a data centre.
//
// It reads Razor's own config.yaml, hands out the extension and the boot files, takes check-ins,
// evaluates tag rules (package rules) and binds policies as Razor does, and keeps what it learns in
// one embedded database. Package page shows it.
//
// It refuses to be more than that: it installs nothing, powers nothing on, and its /svc endpoints
// are as open as Razor's own, so it belongs on loopback or on a laboratory network. Start reading
// at [New]; svc.go answers requests, nodes.go and decide.go change what is known, store.go keeps it.
package razor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"mkbuild/internal/razor/rules"
)

// Options are the options of a [Server].
type Options struct {
	// Config is Razor's own configuration, see [LoadConfig].
	Config Config
	// RulesFile holds tags and policies, see [rules.Parse]; "" means none. It is followed.
	RulesFile string
	// DataDir holds the database; it is made if missing.
	DataDir string
	// HTTPCorrect serves the extension according to RFC 9110 (304, 206) instead of Razor's way.
	HTTPCorrect bool
	// DryRun always answers "none" and binds nothing, but shows what would happen.
	DryRun bool
	// Kernel and Initrd are /svc/repo/microkernel/vmlinuz0 and initrd0.img; nil is 404.
	Kernel, Initrd http.Handler
	// Folder is a PXE folder whose files are below /microkernel/, or "".
	Folder string
	// Segments returns the paths of the blobs in Folder for /svc/boot, the kernel's first; without any, Kernel
	// and Initrd are used.
	Segments func() []string
	// PackDir zips a folder that microkernel.extension-zip names; nil refuses folders.
	PackDir func(dir string) (zip []byte, modTime time.Time, err error)
	// CheckedIn, when set, is called after each check-in with the node's name and the facts as it
	// sent them; it must not block.
	CheckedIn func(node string, facts map[string]any)
	// Log takes the structured log; nil discards it.
	Log *slog.Logger
}

// Server is the check-in server. [New] makes one; its zero value is not usable.
type Server struct {
	opts  *Options
	nodes *nodes
}

// New opens the database and loads the rules. The caller closes the server.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	file, err := openRules(o.RulesFile, o.Log)
	if err != nil {
		return nil, err
	}
	db, err := openStore(o.DataDir)
	if err != nil {
		return nil, err
	}
	return &Server{&o, &nodes{store: db, rules: file, opts: &o, changed: func(uint64) {}}}, nil
}

// Close closes the database.
func (s *Server) Close() error {
	if err := s.nodes.store.close(); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// OnChange calls fn with the number of each changed node. Set it before the server answers requests.
func (s *Server) OnChange(fn func(node uint64)) { s.nodes.changed = fn }

// Status is the status of the server.
type Status struct {
	DryRun, HTTPCorrect bool
	CheckinInterval     time.Duration
	RulesFile           string
	RulesError          string // why a newer version of the file is not active
	Extension           string // file or folder; "" if none is configured
}

// Status describes the server.
func (s *Server) Status() Status {
	st := Status{
		DryRun: s.opts.DryRun, HTTPCorrect: s.opts.HTTPCorrect, RulesFile: s.opts.RulesFile, Extension: s.opts.Config.Microkernel.ExtensionZip,
		CheckinInterval: time.Duration(s.opts.Config.CheckinInterval) * time.Second,
	}
	if _, err := s.nodes.rules.current(); err != nil {
		st.RulesError = err.Error()
	}
	return st
}

// Rules returns the active rules.
func (s *Server) Rules() *rules.Rules {
	r, _ := s.nodes.rules.current()
	return r
}

// Nodes calls fn with every node in order of number, and its facts as JSON, nil before registration. fn must not
// keep them.
func (s *Server) Nodes(fn func(n *Node, facts []byte)) error {
	return s.nodes.store.view(func(t *txn) error {
		return t.each(func(n *Node) error { fn(n, t.facts(n.ID)); return nil })
	})
}

// Forget deletes a node with its facts and its log; its next check-in is a 404.
func (s *Server) Forget(name string) error { return s.nodes.forget(nodeNumber(name)) }

// Handler answers requests of nodes and iPXE; other answers the rest, nil with 404.
func (s *Server) Handler(other http.Handler) http.Handler {
	mux := http.NewServeMux()
	v := &svc{
		nodes: s.nodes, opts: s.opts, big: make(chan struct{}, maxBig),
		files: map[string]http.Handler{"microkernel/vmlinuz0": s.opts.Kernel, "microkernel/initrd0.img": s.opts.Initrd},
	}
	v.routes(mux)
	mux.Handle("GET /svc/mk/extension.zip", &extension{s.opts})
	if s.opts.Folder != "" {
		mux.Handle("GET "+folderPath+"{path...}", folderBoot(s.opts.Folder))
	}
	if other != nil {
		mux.Handle("/", other)
	}
	return s.logged(sameSite(mux))
}

// logged writes one line per request.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r)
		s.opts.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", sw.status,
			"remote", r.RemoteAddr, "ms", time.Since(begin).Milliseconds())
	})
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *statusWriter) WriteHeader(code int) {
	w.status = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sameSite refuses a browser's requests to the nodes' endpoints from another site: the endpoints are open to
// everybody, and even a GET changes something, so an image in any page could reach them. Nodes and iPXE send
// neither Sec-Fetch-Site nor Origin.
func sameSite(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asPost := &http.Request{Method: http.MethodPost, Host: r.Host, URL: r.URL, Header: r.Header} // a GET would pass
		if strings.HasPrefix(r.URL.Path, "/svc/") && guard.Check(asPost) != nil {
			failure(w, http.StatusForbidden, "web pages of other sites must not use this")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Times of the HTTP server. Writing has no limit of its own: initrds are big, event streams
// endless, and a client that goes away ends both.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	graceTime     = 5 * time.Second
	maxHeader     = 64 << 10
)

// httpServer is the HTTP server with its limits. Requests end with ctx.
func (s *Server) httpServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelError),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
}

// Serve answers requests on l until ctx ends, then lets running requests finish; see [Server.Handler].
func (s *Server) Serve(ctx context.Context, l net.Listener, other http.Handler) error {
	srv := s.httpServer(ctx, s.Handler(other))
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	s.opts.Log.Info("serving", "address", l.Addr().String(), "data", s.opts.DataDir, "faithful", !s.opts.HTTPCorrect, "dry_run", s.opts.DryRun)
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		s.opts.Log.Warn("reachable from the network: anybody can read nodes, facts and the extension without the token")
	}
	select {
	case err := <-failed:
		s.opts.Log.Error("stopping", "why", err)
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.opts.Log.Info("stopping", "why", context.Cause(ctx))
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
