package razor

import (
	"errors"
	"net/http"
	"net/url"
	"sort"
	"strconv"
)

// nodeNumber reads the :id of a /svc path. Razor asks its database, which refuses what is no
// number with an error that becomes a 400.
func (s *Server) nodeNumber(w http.ResponseWriter, r *http.Request) (uint64, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		s.failure(w, s.unlessCorrect(http.StatusBadRequest, http.StatusNotFound), "invalid node number")
		return 0, false
	}
	return uint64(max(id, 0)), true
}

// change loads a node, lets fn change it and stores it, in one transaction.
func (s *Server) change(id uint64, fn func(*txn, *Node) error) error {
	err := s.store.update(func(t *txn) error {
		old, err := t.node(id)
		if err != nil {
			return err
		}
		n := old.clone()
		if err := fn(t, n); err != nil {
			return err
		}
		return t.put(old, n)
	})
	if err == nil {
		s.hub.publish(id)
	}
	return err
}

// handleLog is GET /svc/log/:id?msg=…&severity=….
func (s *Server) handleLog(w http.ResponseWriter, r *http.Request) {
	id, ok := s.nodeNumber(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	severity := last(q["severity"])
	switch severity {
	case "":
		severity = "info"
	case "info", "warn", "error":
	default:
		s.failure(w, http.StatusBadRequest, "severity must be info, warn or error")
		return
	}
	e := LogEntry{Timestamp: s.now(), Severity: severity, Msg: last(q["msg"])}
	err := s.store.update(func(t *txn) error {
		if _, err := t.node(id); err != nil {
			return err
		}
		return t.log(id, e)
	})
	switch {
	case errors.Is(err, ErrNoNode):
		s.failure(w, http.StatusNotFound, "node "+r.PathValue("id")+" does not exist")
		return
	case err != nil:
		s.failure(w, http.StatusInternalServerError, "the log entry was not stored")
		return
	}
	s.log.Info("node says", "node", id, "severity", severity, "msg", clip(e.Msg, 500))
	s.hub.publish(id)
	w.WriteHeader(http.StatusNoContent)
}

// handleStoreMetadata is GET /svc/store_metadata/:id?key=value&remove[]=key.
func (s *Server) handleStoreMetadata(w http.ResponseWriter, r *http.Request) {
	id, ok := s.nodeNumber(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	if q.Has("remove") {
		s.failure(w, http.StatusBadRequest, "remove must be an array: write remove[]=key")
		return
	}
	update, remove := metadataQuery(q)
	vars := map[string]any{"update": update}
	if len(remove) > 0 {
		vars["remove"] = remove
	}
	err := s.change(id, func(t *txn, n *Node) error {
		n.modifyMetadata(update, remove)
		rules, _ := s.rules.current()
		if err := s.retagNode(t, n, rules); err != nil { // Razor, too, evaluates tags when metadata change
			return err
		}
		return t.log(id, LogEntry{Timestamp: s.now(), Event: "store_metadata", Vars: vars})
	})
	s.noContent(w, err)
}

// metadataQuery splits the query into values to set and keys to remove.
func metadataQuery(q url.Values) (update map[string]string, remove []string) {
	update = map[string]string{}
	for k, v := range q {
		if k == "remove[]" {
			remove = append(remove, v...)
			continue
		}
		update[k] = clip(last(v), maxMessage)
	}
	sort.Strings(remove)
	return update, remove
}

func (s *Server) noContent(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrNoNode):
		s.empty(w, http.StatusNotFound)
	case err != nil:
		s.log.Error("store", "error", err)
		s.failure(w, http.StatusInternalServerError, "nothing was stored")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// handleStageDone is GET /svc/stage-done/:id?name=…. "finished" marks a bound node as
// installed. For an unknown node Razor fails with 500.
func (s *Server) handleStageDone(w http.ResponseWriter, r *http.Request) {
	id, ok := s.nodeNumber(w, r)
	if !ok {
		return
	}
	name := clip(r.URL.Query().Get("name"), 200)
	err := s.change(id, func(t *txn, n *Node) error {
		stage := name
		if stage == "" {
			stage = strconv.Itoa(n.BootCount)
		}
		n.BootCount++
		if name == "finished" && n.Policy != "" {
			n.Installed, n.InstalledAt = n.Policy, s.now()
		}
		return t.log(id, LogEntry{Timestamp: s.now(), Event: "stage_done", Stage: stage})
	})
	if errors.Is(err, ErrNoNode) {
		s.empty(w, s.unlessCorrect(http.StatusInternalServerError, http.StatusNotFound))
		return
	}
	s.noContent(w, err)
}
