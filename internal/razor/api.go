package razor

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// specURL is the prefix by which Razor's API names the types of its objects.
const specURL = "http://api.puppetlabs.com/razor/v1/collections"

// apiRoutes are Razor's read-only collections, and the commands that need the token.
func (s *Server) apiRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/collections/nodes", s.listNodes)
	mux.HandleFunc("GET /api/collections/nodes/{name}", s.showNode)
	mux.HandleFunc("GET /api/collections/nodes/{name}/log", s.showLog)
	mux.HandleFunc("GET /api/collections/tags", s.listTags)
	mux.HandleFunc("GET /api/collections/tags/{name}", s.showTag)
	mux.HandleFunc("GET /api/collections/tags/{name}/nodes", s.tagNodes)
	mux.HandleFunc("GET /api/collections/policies", s.listPolicies)
	mux.HandleFunc("GET /api/collections/policies/{name}", s.showPolicy)
	mux.HandleFunc("GET /api/collections/policies/{name}/nodes", s.policyNodes)
	mux.HandleFunc("POST /api/commands/{name}", s.handleCommand)
}

type object = map[string]any

// ref is how Razor refers to an object.
func ref(r *http.Request, collection, name string) object {
	return object{
		"spec": specURL + "/" + collection + "/member",
		"id":   "http://" + r.Host + "/api/collections/" + collection + "/" + url.PathEscape(name),
		"name": name,
	}
}

func refs(r *http.Request, collection string, names []string) []object {
	out := make([]object, len(names))
	for i, n := range names {
		out[i] = ref(r, collection, n)
	}
	return out
}

func (s *Server) collection(w http.ResponseWriter, collection string, items []object, total int) {
	s.writeJSON(w, http.StatusOK, object{"spec": specURL + "/" + collection, "items": items, "total": total})
}

// expanded reads ?depth=; the second result is false when it is neither 0 nor 1.
func (s *Server) expanded(w http.ResponseWriter, r *http.Request) (deep, ok bool) {
	switch d := r.URL.Query().Get("depth"); d {
	case "", "0":
		return false, true
	case "1":
		return true, true
	default:
		s.failure(w, http.StatusBadRequest, "'"+clip(d, 40)+"' is not a valid value for the depth parameter. Valid values are 0 or 1")
		return false, false
	}
}

// window reads ?limit= and ?start=.
func window(q url.Values, def int) (limit, start int, ok bool) {
	limit, start = def, 0
	for key, dst := range map[string]*int{"limit": &limit, "start": &start} {
		if !q.Has(key) {
			continue
		}
		n, err := strconv.Atoi(q.Get(key))
		if err != nil || n < 0 {
			return 0, 0, false
		}
		*dst = n
	}
	return limit, start, true
}

func (s *Server) listNodes(w http.ResponseWriter, r *http.Request) {
	deep, ok := s.expanded(w, r)
	if !ok {
		return
	}
	limit, start, ok := window(r.URL.Query(), -1)
	if !ok {
		s.failure(w, http.StatusBadRequest, "limit and start must be numbers")
		return
	}
	items, total := []object{}, 0
	err := s.store.view(func(t *txn) error {
		return t.each(func(n *Node) error {
			total++
			if total <= start || limit >= 0 && len(items) >= limit {
				return nil
			}
			if !deep {
				items = append(items, ref(r, "nodes", n.Name))
				return nil
			}
			o, err := s.nodeObject(r, t, n)
			items = append(items, o)
			return err
		})
	})
	if err != nil {
		s.failure(w, http.StatusInternalServerError, "nodes are not readable")
		return
	}
	s.collection(w, "nodes", items, total)
}

// nodeObject is a node in the shape of Razor's API. What Razor does not have is below "mkbuild".
func (s *Server) nodeObject(r *http.Request, t *txn, n *Node) (object, error) {
	o := ref(r, "nodes", n.Name)
	id := o["id"].(string)
	o["hw_info"] = hwHash(n.HWInfo)
	o["log"] = object{"id": id + "/log", "name": "log"}
	o["tags"] = refs(r, "tags", n.Tags)
	state := object{"installed": false}
	if n.Installed != "" {
		state["installed"] = n.Installed
		state["installed_at"] = n.InstalledAt.Format(time.RFC3339)
	}
	o["state"] = state
	if n.Policy != "" {
		o["policy"] = ref(r, "policies", n.Policy)
	}
	for key, v := range map[string]string{"dhcp_mac": n.DHCPMAC, "hostname": n.Hostname} {
		if v != "" {
			o[key] = v
		}
	}
	if len(n.Metadata) > 0 {
		o["metadata"] = n.Metadata
	}
	if !n.Last.At.IsZero() {
		o["last_checkin"] = n.Last.At.Format(time.RFC3339)
		o["mkbuild"] = n.Last
	}
	v, err := s.values(t, n)
	if v.Facts != nil {
		o["facts"] = v.Facts
	}
	return o, err
}

// nodeNumberOf reads the number out of a name such as "node12"; 0, which no node has, when the
// name is another.
func nodeNumberOf(name string) uint64 {
	digits, ok := strings.CutPrefix(name, "node")
	id, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil || strconv.FormatUint(id, 10) != digits {
		return 0
	}
	return id
}

// named runs fn on the node of the path, in a read transaction.
func (s *Server) named(w http.ResponseWriter, r *http.Request, fn func(*txn, *Node) (any, error)) {
	id := nodeNumberOf(r.PathValue("name"))
	var out any
	found := false
	err := s.store.view(func(t *txn) error {
		n, err := t.node(id)
		if err != nil {
			return nil //nolint:nilerr // answered with 404 below
		}
		found = true
		out, err = fn(t, n)
		return err
	})
	switch {
	case err != nil:
		s.failure(w, http.StatusInternalServerError, "the node is not readable")
	case !found:
		s.failure(w, http.StatusNotFound, "no node matched name="+clip(r.PathValue("name"), 100))
	default:
		s.writeJSON(w, http.StatusOK, out)
	}
}

func (s *Server) showNode(w http.ResponseWriter, r *http.Request) {
	s.named(w, r, func(t *txn, n *Node) (any, error) { return s.nodeObject(r, t, n) })
}

func (s *Server) showLog(w http.ResponseWriter, r *http.Request) {
	limit, start, ok := window(r.URL.Query(), maxLog)
	if !ok {
		s.failure(w, http.StatusBadRequest, "limit and start must be numbers")
		return
	}
	s.named(w, r, func(t *txn, n *Node) (any, error) {
		items, err := t.readLog(n.ID, limit, start)
		return object{"spec": specURL + "/nodes/log", "items": items}, err
	})
}

// nodesWhere lists references to nodes.
func (s *Server) nodesWhere(w http.ResponseWriter, r *http.Request, keep func(*Node) bool) {
	names := s.namesWhere(keep)
	s.collection(w, "nodes", refs(r, "nodes", names), len(names))
}

func (s *Server) namesWhere(keep func(*Node) bool) []string {
	names := []string{}
	err := s.store.view(func(t *txn) error {
		return t.each(func(n *Node) error {
			if keep(n) {
				names = append(names, n.Name)
			}
			return nil
		})
	})
	if err != nil {
		s.log.Error("list nodes", "error", err)
	}
	return names
}
