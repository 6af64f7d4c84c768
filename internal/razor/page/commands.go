package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	"mkbuild/internal/razor"
)

// maxCommand bounds a command's body, in bytes.
const maxCommand = 64 << 10

// allowed compares the token in constant time. It travels in a header that no form and no foreign
// page can set, so a visited web site cannot use it.
func (p *Page) allowed(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(p.opts.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// deleteNode is POST /api/commands/delete-node with the body {"name": NODE}, as Razor has it.
func (p *Page) deleteNode(w http.ResponseWriter, r *http.Request) {
	if !p.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mkbuild serve"`)
		p.writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "this needs the token that mkbuild serve printed at its start"}, nil)
		return
	}
	var arguments struct{ Name string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&arguments); err != nil {
		p.writeJSON(w, http.StatusBadRequest, map[string]string{"error": "unable to parse JSON"}, nil)
		return
	}
	err := p.server.Forget(arguments.Name)
	p.log.Info("delete node", "node", arguments.Name, "error", err)
	p.writeJSON(w, http.StatusAccepted, map[string]string{"result": "node destroyed"}, err)
}

// listJSON is GET /api/collections/nodes.
func (p *Page) listJSON(w http.ResponseWriter, _ *http.Request) {
	items := []*razor.Node{}
	err := p.server.Nodes(func(n *razor.Node) { items = append(items, n) })
	p.writeJSON(w, http.StatusOK, map[string]any{"items": items}, err)
}

// nodeJSON is GET /api/collections/nodes/NAME.
func (p *Page) nodeJSON(w http.ResponseWriter, r *http.Request) {
	report, err := p.server.Report(r.PathValue("name"))
	p.writeJSON(w, http.StatusOK, report, err)
}
