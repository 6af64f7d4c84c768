package mkclient

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// nativeFacts stands in for Facter where it is missing or broken: the facts that the server
// identifies machines by and the ones that rules ask for most, under Facter 1.x's names and as
// text, as there.
func (c *Client) nativeFacts(nics []nic) Facts {
	facts := Facts{}
	put := func(name, v string) {
		if v = strings.TrimSpace(v); v != "" {
			facts[name] = v
		}
	}
	c.nativeSystem(put)
	c.nativeMachine(put)
	nativeNetwork(put, nics)
	return facts
}

// nativeSystem describes kernel, processors, memory and disks.
func (c *Client) nativeSystem(put func(name, v string)) {
	proc := c.path("proc")
	release := sysLine(proc, "sys/kernel/osrelease")
	put("kernel", "Linux")
	put("kernelrelease", release)
	version, _, _ := strings.Cut(release, "-")
	put("kernelversion", version)
	if parts := strings.Split(version, "."); len(parts) > 1 {
		put("kernelmajversion", parts[0]+"."+parts[1])
	}
	put("hostname", sysLine(proc, "sys/kernel/hostname"))
	put("architecture", map[string]string{"386": "i386", "amd64": "amd64"}[runtime.GOARCH])
	put("hardwaremodel", map[string]string{"386": "i686", "amd64": "x86_64"}[runtime.GOARCH])
	models := cpuModels(filepath.Join(proc, "cpuinfo"))
	put("processorcount", strconv.Itoa(len(models)))
	for i, m := range models {
		put("processor"+strconv.Itoa(i), m)
	}
	if kb := memoryTotal(filepath.Join(proc, "meminfo")); kb > 0 {
		put("memorysize_mb", strconv.FormatFloat(float64(kb)/1024, 'f', 2, 64))
		put("memorysize", strconv.FormatFloat(float64(kb)/(1<<20), 'f', 2, 64)+" GB")
	}
	c.nativeDisks(put)
}

// cpuModels lists the model of each logical processor.
func cpuModels(file string) []string {
	b, _ := os.ReadFile(file)
	var models []string
	for line := range strings.Lines(string(b)) {
		name, v, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "processor":
			models = append(models, "")
		case "model name":
			if len(models) > 0 {
				models[len(models)-1] = strings.Join(strings.Fields(v), " ")
			}
		}
	}
	return models
}

// memoryTotal is in KiB.
func memoryTotal(file string) int64 {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			return leadingInt(strings.TrimSpace(rest))
		}
	}
	return 0
}

// nativeDisks lists block devices that hardware stands behind.
func (c *Client) nativeDisks(put func(name, v string)) {
	dir := c.path("sys/block")
	var names []string
	for _, name := range dirNames(dir) {
		d := filepath.Join(dir, name)
		if _, err := os.Stat(filepath.Join(d, "device")); err != nil {
			continue // loop, ram, dm
		}
		names = append(names, name)
		fact := "blockdevice_" + factInterface(name) + "_"
		put(fact+"size", strconv.FormatInt(leadingInt(sysLine(d, "size"))*512, 10))
		put(fact+"model", sysLine(d, "device/model"))
		put(fact+"vendor", sysLine(d, "device/vendor"))
	}
	put("blockdevices", strings.Join(names, ","))
}

// nativeMachine describes the machine as its firmware does.
func (c *Client) nativeMachine(put func(name, v string)) {
	dmi := c.path("sys/class/dmi/id")
	maker, product := sysLine(dmi, "sys_vendor"), sysLine(dmi, "product_name")
	put("manufacturer", maker)
	put("productname", product)
	put("serialnumber", sysLine(dmi, "product_serial"))
	put("uuid", strings.ToUpper(sysLine(dmi, "product_uuid")))
	put("boardmanufacturer", sysLine(dmi, "board_vendor"))
	put("boardproductname", sysLine(dmi, "board_name"))
	put("boardserialnumber", sysLine(dmi, "board_serial"))
	put("bios_vendor", sysLine(dmi, "bios_vendor"))
	put("bios_version", sysLine(dmi, "bios_version"))
	put("bios_release_date", sysLine(dmi, "bios_date"))
	kind := virtualKind(maker+" "+product, c.path("sys"), c.path("proc"))
	put("virtual", kind)
	put("is_virtual", strconv.FormatBool(kind != "physical"))
}

// virtualKind recognises hypervisors by what their firmware calls itself, as Facter does.
func virtualKind(name, sys, proc string) string {
	for _, k := range []struct{ text, kind string }{
		{"VMware", "vmware"}, {"VirtualBox", "virtualbox"}, {"KVM", "kvm"}, {"QEMU", "kvm"}, {"Bochs", "kvm"},
		{"Parallels", "parallels"}, {"Xen", "xenhvm"}, {"HVM domU", "xenhvm"}, {"Virtual Machine", "hyperv"},
		{"RHEV", "rhev"}, {"oVirt", "ovirt"}, {"Google Compute Engine", "gce"},
	} {
		if strings.Contains(name, k.text) {
			return k.kind
		}
	}
	if sysLine(sys, "hypervisor/type") == "xen" {
		return "xenu"
	}
	b, _ := os.ReadFile(filepath.Join(proc, "cpuinfo"))
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "flags") && strings.Contains(line+" ", " hypervisor") {
			return "kvm"
		}
	}
	return "physical"
}

// nativeNetwork lists interfaces; only physical ones get a macaddress fact.
func nativeNetwork(put func(name, v string), nics []nic) {
	var names []string
	for _, n := range nics {
		name := factInterface(n.Name)
		names = append(names, name)
		if n.Physical {
			put("macaddress_"+name, n.MAC)
		}
		nativeAddress(put, n, name)
	}
	put("interfaces", strings.Join(names, ","))
	if real := identityNICs(nics); len(real) > 0 {
		put("macaddress", real[0].MAC)
	}
}

// nativeAddress adds an interface's addresses; the first one of a card is the machine's.
func nativeAddress(put func(name, v string), n nic, name string) {
	iface, err := net.InterfaceByName(n.Name)
	if err != nil {
		return
	}
	put("mtu_"+name, strconv.Itoa(iface.MTU))
	addrs, _ := iface.Addrs()
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok || ipnet.IP.To4() == nil {
			continue
		}
		put("ipaddress_"+name, ipnet.IP.String())
		put("netmask_"+name, net.IP(ipnet.Mask).String())
		put("network_"+name, ipnet.IP.Mask(ipnet.Mask).String())
		if n.Physical {
			put("ipaddress", ipnet.IP.String())
			put("netmask", net.IP(ipnet.Mask).String())
		}
		return
	}
}
