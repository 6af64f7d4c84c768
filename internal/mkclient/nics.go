package mkclient

import (
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// nic is a network interface as /sys/class/net shows it.
type nic struct {
	Name string
	MAC  string // lower-case with colons; empty without one
	// Physical says that hardware stands behind it. A dummy, bond, bridge or VLAN has no
	// "device" link, and often a random address: it must not become part of an identity.
	Physical bool
	Ethernet bool // ARPHRD_ETHER
}

// readNICs lists the interfaces below a sysfs root, sorted by name bytewise.
func readNICs(sys string) []nic {
	dirs, _ := os.ReadDir(filepath.Join(sys, "class/net"))
	var nics []nic
	for _, d := range dirs {
		dir := filepath.Join(sys, "class/net", d.Name())
		if _, err := os.Stat(filepath.Join(dir, "address")); err != nil {
			continue // bonding_masters is a file
		}
		n := nic{Name: d.Name(), MAC: readMAC(dir), Ethernet: sysLine(dir, "type") == "1"}
		_, err := os.Lstat(filepath.Join(dir, "device"))
		n.Physical = err == nil
		nics = append(nics, n)
	}
	sort.Slice(nics, func(i, j int) bool { return nics[i].Name < nics[j].Name })
	return nics
}

// readMAC prefers the address that an enslaved card was made with: a bond gives all its
// members the same one.
func readMAC(dir string) string {
	mac := strings.ToLower(sysLine(dir, "bonding_slave/perm_hwaddr"))
	if mac == "" {
		mac = strings.ToLower(sysLine(dir, "address"))
	}
	if strings.Trim(mac, "0:") == "" {
		return ""
	}
	return mac
}

// sysLine reads one short file of sysfs, trimmed; "" when it cannot be read.
func sysLine(dir, name string) string {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 4096)
	n, _ := f.Read(buf)
	return strings.TrimSpace(string(buf[:n]))
}

// identityNICs are the ones whose addresses may identify the machine.
func identityNICs(nics []nic) []nic {
	var real []nic
	for _, n := range nics {
		if n.Physical && n.Ethernet && n.MAC != "" {
			real = append(real, n)
		}
	}
	return real
}

// hardwareID is the reference client's hw_id without virtual interfaces: addresses in the
// order of the interfaces' names, without colons, joined by "_".
func hardwareID(nics []nic) string {
	var macs []string
	for _, n := range identityNICs(nics) {
		macs = append(macs, strings.ReplaceAll(n.MAC, ":", ""))
	}
	return strings.Join(macs, "_")
}

var notFactChar = regexp.MustCompile(`[^A-Za-z0-9_]`)

// factInterface spells an interface's name as Facter does inside a fact's name.
func factInterface(name string) string {
	return strings.ToLower(notFactChar.ReplaceAllString(name, "_"))
}
