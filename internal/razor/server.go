package razor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server is the check-in server. [New] makes one; its zero value is not usable.
type Server struct {
	opts   Options
	config Config
	store  *store
	rules  *ruleSource
	faults *faults
	hub    *hub
	log    *slog.Logger
	now    func() time.Time
	start  time.Time
	// done ends what would otherwise outlive a shutdown: event streams, injected hangs.
	done   context.Context
	cancel context.CancelFunc
}

// New opens the database and loads the rules. The caller closes the server.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Server{opts: o, config: o.Config, log: o.Log, now: o.Now, hub: newHub(), faults: newFaults(o.Faults)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.start = s.now()
	var err error
	if s.rules, err = newRuleSource(o.RulesFile); err != nil {
		return nil, err
	}
	if s.store, err = openStore(o.DataDir); err != nil {
		return nil, err
	}
	rules, _ := s.rules.current()
	for _, w := range rules.Warnings {
		s.log.Warn("rules", "finding", w)
	}
	s.done, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close ends event streams and closes the database.
func (s *Server) Close() error {
	s.cancel()
	if err := s.store.close(); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// Times of the HTTP server. Writing has no limit of its own: initrds are big, event streams
// endless, and a client that goes away ends both.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	graceTime     = 5 * time.Second
	rulesInterval = time.Second
	maxHeader     = 64 << 10
)

// httpServer is the HTTP server with its limits.
func (s *Server) httpServer(guardHost bool) *http.Server {
	return &http.Server{
		Handler: s.Handler(guardHost), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Serve answers requests on l until ctx ends, then lets running requests finish.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := s.httpServer(isLoopback(l.Addr()))
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	s.log.Info("serving", "address", l.Addr().String(), "data", s.opts.DataDir, "faithful", !s.opts.HTTPCorrect, "dry_run", s.opts.DryRun)
	if !isLoopback(l.Addr()) {
		s.log.Warn("reachable from the network: nodes, facts and the extension can be read without the token")
	}
	tick := time.NewTicker(rulesInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-failed:
			s.log.Error("stopping", "why", err)
			return fmt.Errorf("serve: %w", err)
		case <-tick.C:
			s.ReloadRules()
		case <-ctx.Done():
			s.log.Info("stopping", "why", context.Cause(ctx))
			return s.shutdown(ctx, srv)
		}
	}
}

func (s *Server) shutdown(ctx context.Context, srv *http.Server) error {
	s.cancel()
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

// isLoopback reports whether only this machine can reach the address.
func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// ReloadRules loads the rules file again if it has changed, and evaluates all tags anew. Serve
// calls it every second.
func (s *Server) ReloadRules() {
	if !s.rules.refresh() {
		return
	}
	rules, err := s.rules.current()
	if err != nil {
		s.log.Error("reload rules", "error", err)
		s.hub.publish(0)
		return
	}
	s.log.Info("rules reloaded", "tags", len(rules.Tags), "policies", len(rules.Policies))
	if err := s.store.update(func(t *txn) error { return s.retag(t, rules) }); err != nil {
		s.log.Error("evaluate tags", "error", err)
	}
	s.hub.publish(0)
}

// retag gives every node the tags of new rules, as Razor does when a tag is changed: here an
// error concerns one tag only.
func (s *Server) retag(t *txn, rules *Rules) error {
	var nodes []*Node
	if err := t.each(func(n *Node) error { nodes = append(nodes, n); return nil }); err != nil {
		return err
	}
	for _, old := range nodes {
		n := old.clone()
		if err := s.retagNode(t, n, rules); err != nil {
			return err
		}
		if err := t.put(old, n); err != nil {
			return err
		}
	}
	return nil
}

// retagNode evaluates all tags on one node without a check-in.
func (s *Server) retagNode(t *txn, n *Node, rules *Rules) error {
	if !n.Registered {
		return nil
	}
	v, err := s.values(t, n)
	if err != nil {
		return err
	}
	n.Tags = nil
	for _, r := range rules.Results(v) {
		if r.Matched {
			n.Tags = append(n.Tags, r.Name)
		}
	}
	return nil
}

// values is what rules look at for a stored node.
func (s *Server) values(t *txn, n *Node) (Values, error) {
	v := Values{Metadata: n.Metadata, State: n.state()}
	if b := t.facts(n.ID); len(b) > 0 {
		if err := decodeJSON(b, &v.Facts); err != nil {
			return v, fmt.Errorf("read facts of %s: %w", n.Name, err)
		}
	}
	return v, nil
}
