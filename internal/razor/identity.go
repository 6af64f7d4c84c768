package razor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/razor/rules"
)

// Limits of an identity: /svc/nodeid and /svc/boot are open to everybody and make nodes.
const (
	maxIdentity = 512     // entries
	maxEntry    = 1 << 10 // bytes of one
)

// identity is Razor's hw_info: "mac=…", "serial=…", "asset=…", "uuid=…" and "fact_…=…", lower-case,
// without blanks around, ':' as '-', sorted, each once.
type identity []string

// add adds a raw value. It drops empty values and keys without an identity; netN is mac.
func (id *identity) add(key, value string) {
	v := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(value)), ":", "-")
	k := strings.ToLower(key)
	if netKey.MatchString(key) {
		k = "mac"
	}
	if v != "" && (slices.Contains(hwKeys, k) || strings.HasPrefix(k, "fact_")) {
		*id = append(*id, k+"="+v)
	}
}

// sorted sorts the entries and drops repeats.
func (id identity) sorted() identity {
	slices.Sort(id)
	return slices.Compact(id)
}

// netKey is not anchored in Razor, either.
var netKey = regexp.MustCompile(`net[0-9]`)

func keyOf(entry string) string {
	k, _, _ := strings.Cut(entry, "=")
	return k
}

// queryIdentity reads the identity from the query of /svc/boot and /svc/nodeid. The last value of a repeated key
// counts, as in Razor.
func queryIdentity(q url.Values) identity {
	var id identity
	for k, v := range q {
		id.add(k, v[len(v)-1])
	}
	return id.sorted()
}

// factsIdentity reads the identity out of a node's first facts: every fact whose name starts with
// "macaddress" (virtual interfaces included), serialnumber, uuid, and what facts.match_on names.
func (c *Config) factsIdentity(facts rules.Facts) (identity, error) {
	var id identity
	for name, raw := range facts {
		for _, key := range c.identityKeys(name) {
			var v any
			_ = json.Unmarshal(raw, &v) // it is part of valid JSON
			text, ok := v.(string)
			if !ok && (v != nil || key == "mac") {
				// The real server calls string methods on it.
				return nil, &refusal{status: http.StatusInternalServerError, text: fmt.Sprintf("identity fact %.100q must be a string, not %T", name, v)}
			}
			id.add(key, text)
		}
	}
	return id.sorted(), nil
}

// identityKeys are the keys of an identity's facts.
func (c *Config) identityKeys(fact string) []string {
	var keys []string
	switch {
	case strings.HasPrefix(fact, "macaddress"):
		keys = append(keys, "mac")
	case fact == "serialnumber":
		keys = append(keys, "serial")
	case fact == "uuid":
		keys = append(keys, "uuid")
	}
	if c.Facts.MatchOn.Has(fact) {
		keys = append(keys, "fact_"+fact)
	}
	return keys
}

// searchKeys keeps the entries for finding nodes, and refuses an identity without any, or an impossible one.
// fact_boot_type is iPXE's report on the firmware and identifies nothing.
func (c *Config) searchKeys(id identity) ([]string, error) {
	if len(id) > maxIdentity {
		return nil, refused("hw_info has %d entries, the limit is %d", len(id), maxIdentity)
	}
	var out []string
	for _, e := range id {
		if len(e) > maxEntry || strings.ContainsRune(e, 0) {
			return nil, refused("hw_info entry %.40q is too long or not text", e)
		}
		k := keyOf(e)
		if slices.Contains(c.MatchNodesOn, k) || strings.HasPrefix(k, "fact_") && k != "fact_boot_type" {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, refused("no usable match criteria: match_nodes_on is %s", strings.Join(c.MatchNodesOn, ", "))
	}
	return out, nil
}

// facts returns the fact_* entries.
func (id identity) facts() identity {
	return slices.DeleteFunc(slices.Clone(id), func(e string) bool { return !strings.HasPrefix(e, "fact_") })
}

// merge replaces older identity values by newer ones: a key in newer replaces all values of that key.
func (id identity) merge(newer identity) identity {
	out := slices.Clone(newer)
	for _, e := range id {
		if !slices.ContainsFunc(newer, func(n string) bool { return keyOf(n) == keyOf(e) }) {
			out = append(out, e)
		}
	}
	return out.sorted()
}
