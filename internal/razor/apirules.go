package razor

import (
	"net/http"
	"slices"
	"strings"
)

func (s *Server) tagObject(r *http.Request, rules *Rules, t Tag) object {
	o := ref(r, "tags", t.Name)
	policies := 0
	for _, p := range rules.Policies {
		if slices.Contains(p.Tags, t.Name) {
			policies++
		}
	}
	id := o["id"].(string)
	o["rule"] = t.Rule
	o["nodes"] = object{"id": id + "/nodes", "name": "nodes", "count": len(s.namesWhere(hasTag(t.Name)))}
	o["policies"] = object{"id": id + "/policies", "name": "policies", "count": policies}
	return o
}

func hasTag(name string) func(*Node) bool {
	return func(n *Node) bool { return slices.Contains(n.Tags, name) }
}

func (s *Server) listTags(w http.ResponseWriter, r *http.Request) {
	deep, ok := s.expanded(w, r)
	if !ok {
		return
	}
	rules, _ := s.rules.current()
	items := []object{}
	for _, t := range rules.Tags {
		if deep {
			items = append(items, s.tagObject(r, rules, t))
			continue
		}
		items = append(items, ref(r, "tags", t.Name))
	}
	s.collection(w, "tags", items, len(items))
}

// tagOf finds the tag of the path or answers 404.
func (s *Server) tagOf(w http.ResponseWriter, r *http.Request) (*Rules, Tag, bool) {
	rules, _ := s.rules.current()
	for _, t := range rules.Tags {
		if strings.EqualFold(t.Name, r.PathValue("name")) {
			return rules, t, true
		}
	}
	s.failure(w, http.StatusNotFound, "no tag matched id="+clip(r.PathValue("name"), 100))
	return nil, Tag{}, false
}

func (s *Server) showTag(w http.ResponseWriter, r *http.Request) {
	if rules, t, ok := s.tagOf(w, r); ok {
		s.writeJSON(w, http.StatusOK, s.tagObject(r, rules, t))
	}
}

func (s *Server) tagNodes(w http.ResponseWriter, r *http.Request) {
	if _, t, ok := s.tagOf(w, r); ok {
		s.nodesWhere(w, r, hasTag(t.Name))
	}
}

func (s *Server) policyObject(r *http.Request, p Policy) object {
	o := ref(r, "policies", p.Name)
	o["enabled"] = p.Enabled
	o["tags"] = refs(r, "tags", p.Tags)
	o["nodes"] = object{"id": o["id"].(string) + "/nodes", "name": "nodes", "count": len(s.namesWhere(boundTo(p.Name)))}
	if p.MaxCount > 0 { // Razor shows 0 as null, too
		o["max_count"] = p.MaxCount
	}
	if p.Hostname != "" {
		o["configuration"] = object{"hostname_pattern": p.Hostname}
	}
	if len(p.NodeMetadata) > 0 {
		o["node_metadata"] = p.NodeMetadata
	}
	for key, v := range map[string]string{"repos": p.Repo, "tasks": p.Task, "brokers": p.Broker} {
		if v != "" {
			o[strings.TrimSuffix(key, "s")] = ref(r, key, v)
		}
	}
	return o
}

func boundTo(policy string) func(*Node) bool {
	return func(n *Node) bool { return n.Policy == policy }
}

func (s *Server) listPolicies(w http.ResponseWriter, r *http.Request) {
	deep, ok := s.expanded(w, r)
	if !ok {
		return
	}
	rules, _ := s.rules.current()
	items := []object{}
	for _, p := range rules.Policies {
		if deep {
			items = append(items, s.policyObject(r, p))
			continue
		}
		items = append(items, ref(r, "policies", p.Name))
	}
	s.collection(w, "policies", items, len(items))
}

func (s *Server) policyOf(w http.ResponseWriter, r *http.Request) (Policy, bool) {
	rules, _ := s.rules.current()
	for _, p := range rules.Policies {
		if p.Name == r.PathValue("name") {
			return p, true
		}
	}
	s.failure(w, http.StatusNotFound, "no policy matched id="+clip(r.PathValue("name"), 100))
	return Policy{}, false
}

func (s *Server) showPolicy(w http.ResponseWriter, r *http.Request) {
	if p, ok := s.policyOf(w, r); ok {
		s.writeJSON(w, http.StatusOK, s.policyObject(r, p))
	}
}

func (s *Server) policyNodes(w http.ResponseWriter, r *http.Request) {
	if p, ok := s.policyOf(w, r); ok {
		s.nodesWhere(w, r, boundTo(p.Name))
	}
}
