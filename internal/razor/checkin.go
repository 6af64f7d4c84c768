package razor

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"sort"
	"strconv"
	"time"
)

const (
	// maxBody bounds a check-in, in bytes. Real ones have 2 to 60 kB.
	maxBody = 4 << 20
	// maxNesting is the depth at which Ruby's JSON parser gives up.
	maxNesting = 100
	// maxFacts bounds the number of facts of one node.
	maxFacts = 20000
)

// Actions that a check-in is answered with. Razor has no others.
const (
	actionNone   = "none"
	actionReboot = "reboot"
)

// checkinRequest is a check-in, read and prepared outside of any transaction.
type checkinRequest struct {
	id        uint64
	facts     map[string]any // as sent
	hw        []string
	hwErr     error
	named     []string
	said      bool
	userAgent string

	kept    map[string]any // without the blacklisted ones
	keptRaw map[string]json.RawMessage
	keptAll []byte // canonical JSON of kept
	dropped []string
}

// handleCheckin is POST /svc/checkin/:id.
func (s *Server) handleCheckin(w http.ResponseWriter, r *http.Request) {
	if !s.jsonMedia(r.Header.Get("Content-Type")) {
		s.log.Warn("check-in refused: the media type must be exactly application/json",
			"content_type", clip(r.Header.Get("Content-Type"), 100))
		s.empty(w, s.unlessCorrect(http.StatusBadRequest, http.StatusUnsupportedMediaType))
		return
	}
	req, status := s.readCheckin(w, r)
	if status != 0 {
		s.empty(w, status)
		return
	}
	node, err := s.checkIn(req)
	if err != nil {
		s.checkinError(w, req, err)
		return
	}
	if s.opts.CheckedIn != nil {
		s.opts.CheckedIn(node.Name, req.facts)
	}
	s.writeJSON(w, http.StatusOK, map[string]string{"action": node.Last.Action})
}

// jsonMedia compares as Razor does: the header must be "application/json" and nothing else.
func (s *Server) jsonMedia(ct string) bool {
	if !s.opts.HTTPCorrect {
		return ct == "application/json"
	}
	media, _, err := mime.ParseMediaType(ct)
	return err == nil && media == "application/json"
}

// unlessCorrect picks Razor's status, or the better one of a plain HTTP server.
func (s *Server) unlessCorrect(faithful, correct int) int {
	if s.opts.HTTPCorrect {
		return correct
	}
	return faithful
}

// readCheckin reads and judges the body; the status is 0 when it can be used.
func (s *Server) readCheckin(w http.ResponseWriter, r *http.Request) (*checkinRequest, int) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return nil, http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return nil, http.StatusBadRequest
	}
	facts, status := factsOf(body)
	if status != 0 {
		return nil, s.unlessCorrect(status, http.StatusBadRequest)
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, s.unlessCorrect(http.StatusBadRequest, http.StatusNotFound)
	}
	if id < 1 {
		return nil, http.StatusNotFound
	}
	req := &checkinRequest{id: uint64(id), facts: facts, userAgent: clip(r.UserAgent(), 200)}
	req.named, req.said = headerNames(r.Header.Values(extensionHeader))
	if err := req.prepare(&s.config); err != nil {
		return nil, http.StatusBadRequest
	}
	return req, 0
}

// factsOf takes the facts out of a body. A body that is no JSON, or without facts, is a 400;
// facts of a type that Razor's code runs into an error with are a 500.
func factsOf(body []byte) (map[string]any, int) {
	if !json.Valid(body) || nesting(body) > maxNesting {
		return nil, http.StatusBadRequest
	}
	var top map[string]any
	if err := decodeJSON(body, &top); err != nil {
		return nil, http.StatusBadRequest
	}
	switch f := top["facts"].(type) {
	case map[string]any:
		if len(f) > maxFacts {
			return nil, http.StatusRequestEntityTooLarge
		}
		return f, 0
	case string, json.Number:
		return nil, http.StatusInternalServerError
	case bool:
		if f {
			return nil, http.StatusInternalServerError
		}
	}
	return nil, http.StatusBadRequest
}

// nesting is the depth of valid JSON.
func nesting(b []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

// prepare drops blacklisted facts and makes the canonical form that is stored.
func (q *checkinRequest) prepare(c *Config) error {
	q.hw, q.hwErr = c.factsHW(q.facts)
	q.kept = make(map[string]any, len(q.facts))
	q.keptRaw = make(map[string]json.RawMessage, len(q.facts))
	for name, v := range q.facts {
		if c.Blacklist.Has(name) {
			q.dropped = append(q.dropped, name)
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		q.kept[name], q.keptRaw[name] = v, b
	}
	sort.Strings(q.dropped)
	var err error
	q.keptAll, err = json.Marshal(q.keptRaw)
	return err
}

// checkIn does one check-in in one transaction.
func (s *Server) checkIn(q *checkinRequest) (*Node, error) {
	var node *Node
	var created bool
	err := s.store.update(func(t *txn) error {
		var err error
		node, created, err = s.checkInTx(t, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.logCheckin(node, created)
	s.hub.publish(node.ID)
	return node, nil
}

func (s *Server) checkInTx(t *txn, q *checkinRequest) (n *Node, first bool, err error) {
	old, err := t.node(q.id)
	if err != nil {
		return nil, false, err
	}
	if first = !old.Registered; first {
		if q.hwErr != nil {
			return nil, false, q.hwErr
		}
		if old, err = s.register(t, q.hw); err != nil {
			return nil, false, err
		}
	}
	n = old.clone()
	n.Registered = true
	if err := s.takeFacts(t, n, q); err != nil {
		return nil, first, err
	}
	if err := s.decide(t, n, q); err != nil {
		return nil, first, err
	}
	return n, first, t.put(old, n)
}

// takeFacts stores the facts and works out what changed.
func (s *Server) takeFacts(t *txn, n *Node, q *checkinRequest) error {
	before := t.facts(n.ID)
	last := CheckIn{
		At: s.now(), Count: n.Last.Count + 1, Blacklisted: q.dropped, UserAgent: q.userAgent,
		ChangedAt: n.Last.ChangedAt, Recent: n.Last.Recent,
	}
	if string(before) != string(q.keptAll) {
		var was map[string]json.RawMessage
		if len(before) > 0 {
			if err := decodeJSON(before, &was); err != nil {
				return err
			}
			last.Changes = diffFacts(was, q.keptRaw)
			last.ChangedAt, last.Recent = last.At, last.Changes
		}
		if err := t.putFacts(n.ID, q.keptAll); err != nil {
			return err
		}
	}
	last.Extension = originOf(n.Last.Extension, len(before) > 0, q.kept, last.Changes, q.named, q.said)
	n.Last = last
	return nil
}

// decide evaluates tags, binds a policy and sets the action. A rule that cannot be evaluated
// leaves tags and policy alone and makes the answer "none", also for a bound node.
func (s *Server) decide(t *txn, n *Node, q *checkinRequest) error {
	rules, _ := s.rules.current()
	tags, err := rules.matchTags(Values{Facts: q.kept, Metadata: n.Metadata, State: n.state()})
	var ruleErr *RuleError
	switch {
	case errors.As(err, &ruleErr):
		n.Last.Action, n.Last.RuleError = actionNone, "tag "+strconv.Quote(ruleErr.Tag)+": "+ruleErr.Error()
		return t.log(n.ID, LogEntry{Timestamp: n.Last.At, Severity: "error", Error: "tag_match", Msg: ruleErr.Error()})
	case err != nil:
		return err
	}
	n.Tags = tags
	if n.Installed == "" && n.Policy == "" {
		if p := rules.choose(tags, t.boundCount); p != nil {
			return s.bind(t, n, p)
		}
		n.Last.Action = actionNone
		return nil
	}
	return s.answerBound(t, n)
}

// bind ties the node to the policy. In a dry run it only says what it would do.
func (s *Server) bind(t *txn, n *Node, p *Policy) error {
	if s.opts.DryRun {
		n.Last.Action, n.Last.Would = actionNone, "bind to policy "+p.Name+" and reboot"
		return nil
	}
	n.Policy, n.BootCount, n.Installed, n.InstalledAt = p.Name, 1, "", time.Time{}
	n.Hostname = expandHostname(p.Hostname, n.ID)
	for k, v := range p.NodeMetadata {
		if !truthy(n.Metadata[k]) {
			n.setMetadata(k, v)
		}
	}
	if err := t.log(n.ID, LogEntry{Timestamp: n.Last.At, Event: "bind", Policy: p.Name}); err != nil {
		return err
	}
	return s.answerBound(t, n)
}

// answerBound tells a bound or installed node to reboot.
func (s *Server) answerBound(t *txn, n *Node) error {
	if s.opts.DryRun {
		n.Last.Action, n.Last.Would = actionNone, actionReboot
		return nil
	}
	n.Last.Action = actionReboot
	e := LogEntry{Timestamp: n.Last.At, Action: actionReboot, Policy: n.Policy}
	switch {
	case n.Policy != "":
	case n.Installed == "+protected":
		e.Task = "noop"
		e.Msg = "Node is taken to be installed because of protect_new_nodes: reinstall the node, or set protect_new_nodes to false"
	default:
		e.Task, e.Msg = "noop", "Node has no policy but is installed: boots locally"
	}
	return t.log(n.ID, e)
}

// checkinError answers what Razor answers: 404 unknown node, 500 for identity facts that are
// no strings, 400 for the rest.
func (s *Server) checkinError(w http.ResponseWriter, q *checkinRequest, err error) {
	var dup *duplicateError
	var notString *notStringError
	s.log.Warn("check-in failed", "node", q.id, "error", err)
	switch {
	case errors.As(err, &dup):
		s.logDuplicate(dup)
		s.empty(w, s.unlessCorrect(http.StatusBadRequest, http.StatusConflict))
	case errors.As(err, &notString):
		s.failure(w, s.unlessCorrect(http.StatusInternalServerError, http.StatusBadRequest), err.Error())
	case errors.Is(err, ErrNoNode):
		s.empty(w, http.StatusNotFound)
	case errors.Is(err, errNoKey), errors.Is(err, errArgument), errors.Is(err, errTooMany):
		s.failure(w, http.StatusBadRequest, err.Error())
	default:
		s.failure(w, http.StatusInternalServerError, "the server failed: see its log")
	}
}

func (s *Server) logCheckin(n *Node, first bool) {
	l := s.log.With("node", n.Name, "action", n.Last.Action, "changes", len(n.Last.Changes))
	switch {
	case n.Last.RuleError != "":
		l.Error("check-in: a rule failed, so no tag is set and no policy bound", "error", n.Last.RuleError)
	case n.Last.Would != "":
		l.Info("check-in (dry run)", "would", n.Last.Would)
	case first:
		l.Info("first check-in", "hw_info", n.HWInfo)
	default:
		l.Debug("check-in")
	}
}
