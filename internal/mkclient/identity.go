package mkclient

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Facts maps a fact's name to a JSON value: string, json.Number, bool, nil, []any or
// map[string]any.
type Facts map[string]any

// isIdentity reports whether the Razor server identifies nodes by the fact.
func isIdentity(name string) bool {
	return strings.HasPrefix(name, "macaddress") || name == "serialnumber" || name == "uuid"
}

// cleanIdentity makes facts fit to identify the machine: addresses of virtual interfaces go,
// and what is left is text, because the server calls string methods on it and answers 500 to
// anything else. It returns the names it dropped.
func cleanIdentity(facts Facts, nics []nic) []string {
	virtual, owner := map[string]bool{}, map[string]bool{}
	for _, n := range nics {
		if !n.Physical {
			virtual["macaddress_"+factInterface(n.Name)] = true
		} else {
			owner[n.MAC] = true
		}
	}
	var dropped []string
	for _, name := range sortedKeys(facts) {
		if !isIdentity(name) {
			continue
		}
		text, ok := scalarText(facts[name])
		if !ok || virtual[name] || name == "macaddress" && isVirtualMAC(text, nics, owner) {
			delete(facts, name)
			dropped = append(dropped, name)
			continue
		}
		facts[name] = text
	}
	if _, ok := facts["macaddress"]; !ok {
		if real := identityNICs(nics); len(real) > 0 {
			facts["macaddress"] = real[0].MAC
		}
	}
	return dropped
}

// isVirtualMAC reports whether mac belongs to virtual interfaces only. A bond has the address
// of one of its cards.
func isVirtualMAC(mac string, nics []nic, owner map[string]bool) bool {
	mac = strings.ToLower(mac)
	if owner[mac] {
		return false
	}
	for _, n := range nics {
		if !n.Physical && n.MAC == mac {
			return true
		}
	}
	return false
}

// scalarText turns a scalar into text; false for null, lists and maps.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v), true
	}
	return "", false
}
