package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"mkbuild/internal/razor"
)

// maxCommand bounds a command's body, in bytes.
const maxCommand = 64 << 10

// api is the page as JSON, for scripts.
type api struct {
	server *razor.Server
	token  string
	log    *slog.Logger
}

// allowed compares the token in constant time. It is in a header that no form and no foreign page can set, so a
// web site cannot use it.
func (a *api) allowed(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(a.token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// deleteNode is POST /api/commands/delete-node with the body {"name": NODE}, as Razor has it.
func (a *api) deleteNode(w http.ResponseWriter, r *http.Request) {
	if !a.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mkbuild serve"`)
		a.write(w, http.StatusUnauthorized, map[string]string{"error": "this needs the token that mkbuild serve printed at the start"}, nil)
		return
	}
	var arguments struct{ Name string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&arguments); err != nil {
		a.write(w, http.StatusBadRequest, map[string]string{"error": "unable to parse JSON"}, nil)
		return
	}
	err := a.server.Forget(arguments.Name)
	a.log.Info("delete node", "node", arguments.Name, "error", err)
	a.write(w, http.StatusAccepted, map[string]string{"result": "node destroyed"}, err)
}

// list is GET /api/collections/nodes.
func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	items := []*razor.Node{}
	err := a.server.Nodes(func(n *razor.Node, _ []byte) { items = append(items, n) })
	a.write(w, http.StatusOK, map[string]any{"items": items}, err)
}

// node is GET /api/collections/nodes/NAME.
func (a *api) node(w http.ResponseWriter, r *http.Request) {
	report, err := a.server.Report(r.PathValue("name"))
	a.write(w, http.StatusOK, report, err)
}

// write answers with a value, or with an error object.
func (a *api) write(w http.ResponseWriter, status int, v any, err error) {
	switch {
	case errors.Is(err, razor.ErrNoNode):
		status, v = http.StatusNotFound, map[string]string{"error": err.Error()}
	case err != nil:
		a.log.Error("answer", "error", err)
		status, v = http.StatusInternalServerError, map[string]string{"error": "the server failed: see its log"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away is not an error
}
