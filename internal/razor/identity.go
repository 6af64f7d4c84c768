package razor

import (
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// hwPair is one raw identity value of a node, before canonicalisation.
type hwPair struct{ key, value string }

// canonicalHW turns raw identity values into Razor's hw_info: "mac=…", "serial=…", "asset=…",
// "uuid=…" and "fact_…=…", lower-case, blanks trimmed, ':' as '-', empty values dropped, netN
// as mac, sorted by key and value, each once. Unknown keys are dropped.
func canonicalHW(pairs []hwPair) []string {
	kept := make([]hwPair, 0, len(pairs))
	for _, p := range pairs {
		v := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(p.value)), ":", "-")
		if v == "" {
			continue
		}
		k := strings.ToLower(p.key)
		if isNetKey(p.key) {
			k = "mac"
		}
		if slices.Contains(hwKeys, k) || strings.HasPrefix(k, "fact_") {
			kept = append(kept, hwPair{k, v})
		}
	}
	sort.Slice(kept, func(i, j int) bool {
		if kept[i].key != kept[j].key {
			return kept[i].key < kept[j].key
		}
		return kept[i].value < kept[j].value
	})
	out := make([]string, len(kept))
	for i, p := range kept {
		out[i] = p.key + "=" + p.value
	}
	return slices.Compact(out)
}

// isNetKey finds "net" followed by a digit anywhere in the key, as Razor's unanchored pattern does.
func isNetKey(k string) bool {
	for {
		i := strings.Index(k, "net")
		if i < 0 {
			return false
		}
		k = k[i+3:]
		if k != "" && k[0] >= '0' && k[0] <= '9' {
			return true
		}
	}
}

// matchable keeps the entries of hw that are used for finding nodes. fact_boot_type is what
// iPXE reports about the firmware and identifies nothing.
func (c *Config) matchable(hw []string) []string {
	var out []string
	for _, e := range hw {
		k, _, _ := strings.Cut(e, "=")
		if slices.Contains(c.MatchNodesOn, k) || strings.HasPrefix(k, "fact_") && k != "fact_boot_type" {
			out = append(out, e)
		}
	}
	return out
}

// queryHW reads the identity out of the query of /svc/boot and /svc/nodeid. dhcp_mac is kept
// apart: it says which interface asked and is no search key.
func queryHW(q url.Values) (hw []string, dhcpMAC string) {
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var pairs []hwPair
	for _, k := range keys {
		if k == "dhcp_mac" {
			dhcpMAC = last(q[k])
			continue
		}
		pairs = append(pairs, hwPair{k, last(q[k])})
	}
	return canonicalHW(pairs), dhcpMAC
}

// last is the value that counts when a query repeats a key.
func last(v []string) string {
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// notStringError is a fact that names a machine but is not a string. The real server calls
// string methods on it and fails with 500.
type notStringError struct {
	fact  string
	value any
}

func (e *notStringError) Error() string {
	return fmt.Sprintf("identity fact %q must be a string, not %T", e.fact, e.value)
}

// factsHW reads the identity out of a node's first facts: every fact whose name starts with
// "macaddress" (virtual interfaces included), serialnumber, uuid, and what facts.match_on names.
func (c *Config) factsHW(facts map[string]any) ([]string, error) {
	names := make([]string, 0, len(facts))
	for n := range facts {
		names = append(names, n)
	}
	sort.Strings(names)
	var pairs []hwPair
	for _, n := range names {
		key := ""
		switch {
		case strings.HasPrefix(n, "macaddress"):
			key = "mac"
		case n == "serialnumber":
			key = "serial"
		case n == "uuid":
			key = "uuid"
		}
		for _, k := range []string{key, c.factKey(n)} {
			if k == "" {
				continue
			}
			v, ok := facts[n].(string)
			if !ok && (facts[n] != nil || key == "mac") {
				return nil, &notStringError{n, facts[n]}
			}
			pairs = append(pairs, hwPair{k, v})
		}
	}
	return canonicalHW(pairs), nil
}

func (c *Config) factKey(name string) string {
	if c.MatchOn.Has(name) {
		return "fact_" + name
	}
	return ""
}

// mergeHW lays newer identity values over older ones: a key that newer has replaces all values
// of that key.
func mergeHW(older, newer []string) []string {
	replaced := map[string]bool{}
	for _, e := range newer {
		k, _, _ := strings.Cut(e, "=")
		replaced[k] = true
	}
	out := slices.Clone(newer)
	for _, e := range older {
		if k, _, _ := strings.Cut(e, "="); !replaced[k] {
			out = append(out, e)
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// hwHash shows hw_info as Razor's API does: mac is a list, everything else one string.
func hwHash(hw []string) map[string]any {
	h := map[string]any{}
	for _, e := range hw {
		k, v, _ := strings.Cut(e, "=")
		if k == "mac" {
			macs, _ := h["mac"].([]string)
			h["mac"] = append(macs, v)
			continue
		}
		h[k] = v
	}
	return h
}
