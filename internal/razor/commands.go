package razor

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxCommand bounds a command's body, in bytes.
const maxCommand = 64 << 10

// command is the body of POST /api/commands/NAME.
type command struct {
	// Name is the node, as Razor calls the argument.
	Name string `json:"name"`
	// Fault is the argument of set-fault, see [ParseFault].
	Fault string `json:"fault"`
}

// allowed compares the token in constant time. It travels in a header that no form and no
// foreign page can set, so a visited web site cannot use it.
func (s *Server) allowed(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.opts.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// handleCommand is POST /api/commands/{delete-node,reinstall-node,set-fault,clear-faults}: the
// first two are Razor's own. Every command needs the token.
func (s *Server) handleCommand(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mkbuild serve"`)
		s.failure(w, http.StatusUnauthorized, "this needs the token that mkbuild serve printed at its start")
		return
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) != "application/json" {
		s.failure(w, http.StatusUnsupportedMediaType, "only application/json is accepted here")
		return
	}
	var c command
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		s.failure(w, http.StatusBadRequest, "unable to parse JSON")
		return
	}
	result, err := s.runCommand(r.PathValue("name"), c)
	switch {
	case errors.Is(err, errNoCommand), errors.Is(err, ErrNoNode):
		s.failure(w, http.StatusNotFound, err.Error())
	case errors.Is(err, ErrFault):
		s.failure(w, http.StatusUnprocessableEntity, err.Error())
	case err != nil:
		s.log.Error("command", "name", r.PathValue("name"), "error", err)
		s.failure(w, http.StatusInternalServerError, "the command failed: see the server's log")
	default:
		s.log.Info("command", "name", r.PathValue("name"), "node", c.Name, "fault", c.Fault)
		s.writeJSON(w, http.StatusAccepted, map[string]string{"result": result})
	}
}

var errNoCommand = errors.New("no such command")

func (s *Server) runCommand(name string, c command) (string, error) {
	switch name {
	case "delete-node":
		return "node destroyed", s.forget(c.Name)
	case "reinstall-node":
		return "node unbound and no longer installed", s.reinstall(c.Name)
	case "set-fault":
		f, err := ParseFault(c.Fault)
		if err != nil {
			return "", err
		}
		s.faults.put(f)
		s.hub.publish(0)
		return "injecting " + f.String(), nil
	case "clear-faults":
		s.faults.clear()
		s.hub.publish(0)
		return "no faults", nil
	}
	return "", errNoCommand
}

// forget deletes a node with its facts and log; its next check-in is a 404.
func (s *Server) forget(name string) error {
	id := nodeNumberOf(name)
	err := s.store.update(func(t *txn) error {
		n, err := t.node(id)
		if err != nil {
			return err
		}
		return t.remove(n)
	})
	if err == nil {
		s.hub.publish(id)
	}
	return err
}

// reinstall unbinds the node and clears its installed mark, so that policies apply anew.
func (s *Server) reinstall(name string) error {
	id := nodeNumberOf(name)
	return s.change(id, func(t *txn, n *Node) error {
		n.Policy, n.Installed, n.InstalledAt, n.BootCount = "", "", time.Time{}, 0
		return t.log(id, LogEntry{Timestamp: s.now(), Event: "reinstall", Msg: "unbound by command"})
	})
}
