package facts

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// NIC is a network interface in /sys/class/net.
type NIC struct {
	Name string
	MAC  string // lower-case with colons; empty without one
	// Physical is true for a hardware interface. A dummy, bond, bridge or VLAN has no "device" link, and often a
	// random address, which must not identify a machine.
	Physical bool
	Ethernet bool // ARPHRD_ETHER
}

// NICs lists the interfaces, sorted by name bytewise.
func (r Root) NICs() []NIC {
	var nics []NIC
	for _, name := range r.names("sys/class/net") {
		dir := "sys/class/net/" + name
		if !isDir(r.Path(dir)) {
			continue // bonding_masters is a file
		}
		nics = append(nics, NIC{
			Name: name, MAC: r.mac(dir), Ethernet: r.Line(dir+"/type") == "1", Physical: isDir(r.Path(dir + "/device")),
		})
	}
	return nics
}

// mac prefers the permanent address of an enslaved card: a bond gives all its members the same one.
func (r Root) mac(dir string) string {
	mac := strings.ToLower(cmp.Or(r.Line(dir+"/bonding_slave/perm_hwaddr"), r.Line(dir+"/address")))
	if strings.Trim(mac, "0:") == "" {
		return ""
	}
	return mac
}

// Identifying returns the interfaces whose addresses may identify the machine.
func Identifying(nics []NIC) []NIC {
	return slices.DeleteFunc(slices.Clone(nics), func(n NIC) bool { return !n.Physical || !n.Ethernet || n.MAC == "" })
}

// hardwareID is the reference client's hw_id without virtual interfaces: addresses in the
// order of the interfaces' names, without colons, joined by "_".
func hardwareID(nics []NIC) string {
	var macs []string
	for _, n := range Identifying(nics) {
		macs = append(macs, strings.ReplaceAll(n.MAC, ":", ""))
	}
	return strings.Join(macs, "_")
}

var notFactChar = regexp.MustCompile(`[^A-Za-z0-9_]`)

// factInterface spells an interface's name as Facter does inside a fact's name.
func factInterface(name string) string {
	return strings.ToLower(notFactChar.ReplaceAllString(name, "_"))
}

// isIdentity reports whether the Razor server identifies nodes by the fact.
func isIdentity(name string) bool {
	return strings.HasPrefix(name, "macaddress") || name == "serialnumber" || name == "uuid"
}

// cleanIdentity prepares the identifying facts: it drops addresses of virtual interfaces, and turns the others
// into text, because the server answers 500 to anything else. It returns the dropped names.
func cleanIdentity(facts Facts, nics []NIC) (dropped []string) {
	virtual := map[string]bool{} // names of facts, and addresses that only virtual interfaces have
	for _, n := range nics {
		if !n.Physical {
			virtual["macaddress_"+factInterface(n.Name)], virtual[n.MAC] = true, true
		}
	}
	for _, n := range nics {
		if n.Physical {
			virtual[n.MAC] = false // a bond has the address of one of its cards
		}
	}
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		if !isIdentity(name) {
			continue
		}
		text, ok := ScalarText(facts[name])
		if !ok || virtual[name] || name == "macaddress" && virtual[strings.ToLower(text)] {
			delete(facts, name)
			dropped = append(dropped, name)
			continue
		}
		facts[name] = text
	}
	if _, ok := facts["macaddress"]; !ok {
		if real := Identifying(nics); len(real) > 0 {
			facts["macaddress"] = real[0].MAC
		}
	}
	return dropped
}

// ScalarText turns a scalar into text; false for null, lists and maps.
func ScalarText(v any) (string, bool) {
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
