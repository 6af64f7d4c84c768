package razor

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestAPICollections(t *testing.T) {
	r := newRig(t, withRules(t, policyRules))
	id := r.node(mac1)
	r.checkin(id, facts1("virtual", "kvm", "odd name/..", "x"))
	r.node("52:54:00:00:00:02")
	for _, c := range []struct {
		path   string
		status int
		want   []string
	}{
		{"/api/collections/nodes", 200, []string{`"spec":"http://api.puppetlabs.com/razor/v1/collections/nodes"`, `"total":2`, `"name":"node1"`, r.url + `/api/collections/nodes/node1"`}},
		{"/api/collections/nodes?depth=1", 200, []string{`"hw_info":{"mac":["52-54-00-00-00-01"]}`, `"virtual":"kvm"`}},
		{"/api/collections/nodes?limit=1&start=1", 200, []string{`"items":[{"id":"` + r.url + `/api/collections/nodes/node2"`}},
		{"/api/collections/nodes?depth=2", 400, []string{"not a valid value for the depth"}},
		{"/api/collections/nodes?limit=x", 400, nil},
		{"/api/collections/nodes/node1", 200, []string{`"policy":{`, `"name":"small"`, `"tags":[{`, `"state":{"installed":false}`, `"hostname":"host1.example"`, `"last_checkin":"`}},
		{"/api/collections/nodes/node01", 404, []string{"no node matched name=node01"}},
		{"/api/collections/nodes/nobody", 404, nil},
		{"/api/collections/nodes/node1/log", 200, []string{`"event":"bind"`, `"timestamp":"`}},
		{"/api/collections/nodes/node1/log?limit=1", 200, []string{`"action":"reboot"`}},
		{"/api/collections/tags", 200, []string{`"name":"kvm"`}},
		{"/api/collections/tags?depth=1", 200, []string{`"rule":["=",["fact","virtual",""],"kvm"]`}},
		{"/api/collections/tags/KVM", 200, []string{`"count":1`}},
		{"/api/collections/tags/kvm/nodes", 200, []string{`"name":"node1"`, `"total":1`}},
		{"/api/collections/tags/none", 404, nil},
		{"/api/collections/policies", 200, []string{`"name":"small"`}},
		{"/api/collections/policies?depth=1", 200, []string{`"enabled":false`}},
		{"/api/collections/policies/small", 200, []string{`"max_count":1`, `"hostname_pattern":"host${id}.example"`, `"count":1`}},
		{"/api/collections/policies/small/nodes", 200, []string{`"name":"node1"`}},
		{"/api/collections/policies/none", 404, nil},
	} {
		a := r.get(c.path)
		if a.status != c.status || !json.Valid([]byte(a.body)) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s", c.path, a.status, a.body)
		}
		mustContain(t, a.body, c.want...)
	}
}

func TestSearchByMACInAnySpelling(t *testing.T) {
	r := newRig(t, nil)
	r.node(mac1)
	for q, want := range map[string]bool{"52:54:00:00:00:01": true, "52-54-00": true, "NODE1": true, "zzz": false} {
		if got := strings.Contains(r.get("/?q="+url.QueryEscape(q)).body, "row-1"); got != want {
			t.Errorf("%s: got %t", q, got)
		}
	}
}
