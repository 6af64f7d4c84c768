package facts

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// native replaces Facter: it has the identifying facts and the most used ones, under the names of Facter 1.x and
// as text.
func (r Root) native(nics []NIC) Facts {
	facts := Facts{}
	r.nativeSystem(facts)
	r.nativeMachine(facts)
	var names []string
	for _, disk := range r.disks() {
		names = append(names, disk.name)
		fact := "blockdevice_" + factInterface(disk.name) + "_"
		facts.put(fact+"size", strconv.FormatInt(disk.size, 10))
		facts.put(fact+"model", disk.model)
		facts.put(fact+"vendor", disk.vendor)
	}
	facts.put("blockdevices", strings.Join(names, ","))
	nativeNetwork(facts, nics)
	return facts
}

// nativeSystem describes kernel, processors and memory.
func (r Root) nativeSystem(facts Facts) {
	release := r.Line("proc/sys/kernel/osrelease")
	facts.put("kernel", "Linux")
	facts.put("kernelrelease", release)
	version, _, _ := strings.Cut(release, "-")
	facts.put("kernelversion", version)
	if parts := strings.Split(version, "."); len(parts) > 1 {
		facts.put("kernelmajversion", parts[0]+"."+parts[1])
	}
	facts.put("hostname", r.Line("proc/sys/kernel/hostname"))
	facts.put("architecture", map[string]string{"386": "i386", "amd64": "amd64"}[runtime.GOARCH])
	facts.put("hardwaremodel", map[string]string{"386": "i686", "amd64": "x86_64"}[runtime.GOARCH])
	models := r.cpuModels()
	facts.put("processorcount", strconv.Itoa(len(models)))
	for i, m := range models {
		facts.put("processor"+strconv.Itoa(i), m)
	}
	if kb := r.Memory()["MemTotal"]; kb > 0 {
		facts.put("memorysize_mb", strconv.FormatFloat(float64(kb)/1024, 'f', 2, 64))
		facts.put("memorysize", strconv.FormatFloat(float64(kb)/(1<<20), 'f', 2, 64)+" GB")
	}
}

// cpuModels lists the model of each logical processor.
func (r Root) cpuModels() (models []string) {
	b, _ := os.ReadFile(r.Path("proc/cpuinfo"))
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

// Memory reads /proc/meminfo: KiB by name.
func (r Root) Memory() map[string]int64 {
	b, _ := os.ReadFile(r.Path("proc/meminfo"))
	kb := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		kb[name] = leadingInt(strings.TrimSpace(rest))
	}
	return kb
}

// leadingInt reads the digits at the start of s, 0 without any.
func leadingInt(s string) (n int64) {
	for _, c := range s {
		if c < '0' || c > '9' || n > 1<<45 {
			return n
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// disk is a hardware block device.
type disk struct {
	name, model, vendor string
	size                int64 // bytes
}

// disks leaves out loop devices, RAM disks and the device mapper, which have no "device".
func (r Root) disks() (disks []disk) {
	for _, name := range r.names("sys/block") {
		dir := "sys/block/" + name
		if _, err := os.Stat(r.Path(dir + "/device")); err == nil {
			disks = append(disks, disk{name, r.Line(dir + "/device/model"), r.Line(dir + "/device/vendor"), leadingInt(r.Line(dir+"/size")) * 512})
		}
	}
	return disks
}

// nativeMachine describes the machine from its firmware.
func (r Root) nativeMachine(facts Facts) {
	const dmi = "sys/class/dmi/id/"
	maker, product := r.Line(dmi+"sys_vendor"), r.Line(dmi+"product_name")
	facts.put("manufacturer", maker)
	facts.put("productname", product)
	facts.put("uuid", strings.ToUpper(r.Line(dmi+"product_uuid")))
	for name, file := range map[string]string{
		"serialnumber": "product_serial", "boardmanufacturer": "board_vendor", "boardproductname": "board_name",
		"boardserialnumber": "board_serial", "bios_vendor": "bios_vendor", "bios_version": "bios_version", "bios_release_date": "bios_date",
	} {
		facts.put(name, r.Line(dmi+file))
	}
	kind := r.virtualKind(maker + " " + product)
	facts.put("virtual", kind)
	facts.put("is_virtual", strconv.FormatBool(kind != "physical"))
}

// virtualKind recognises hypervisors by their firmware's names, as Facter does.
func (r Root) virtualKind(firmware string) string {
	for _, k := range []struct{ text, kind string }{
		{"VMware", "vmware"}, {"VirtualBox", "virtualbox"}, {"KVM", "kvm"}, {"QEMU", "kvm"}, {"Bochs", "kvm"},
		{"Parallels", "parallels"}, {"Xen", "xenhvm"}, {"HVM domU", "xenhvm"}, {"Virtual Machine", "hyperv"},
		{"RHEV", "rhev"}, {"oVirt", "ovirt"}, {"Google Compute Engine", "gce"},
	} {
		if strings.Contains(firmware, k.text) {
			return k.kind
		}
	}
	if r.Line("sys/hypervisor/type") == "xen" {
		return "xenu"
	}
	b, _ := os.ReadFile(r.Path("proc/cpuinfo"))
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "flags") && strings.Contains(line+" ", " hypervisor") {
			return "kvm"
		}
	}
	return "physical"
}

// nativeNetwork lists interfaces; only physical ones get a macaddress fact.
func nativeNetwork(facts Facts, nics []NIC) {
	var names []string
	for _, n := range nics {
		name := factInterface(n.Name)
		names = append(names, name)
		if n.Physical {
			facts.put("macaddress_"+name, n.MAC)
		}
		nativeAddress(facts, n, name)
	}
	facts.put("interfaces", strings.Join(names, ","))
	if real := Identifying(nics); len(real) > 0 {
		facts.put("macaddress", real[0].MAC)
	}
}

// nativeAddress adds an interface's first IPv4 address; the last card's is the machine's.
func nativeAddress(facts Facts, n NIC, name string) {
	iface, err := net.InterfaceByName(n.Name)
	if err != nil {
		return
	}
	facts.put("mtu_"+name, strconv.Itoa(iface.MTU))
	addrs, _ := iface.Addrs()
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok || ipnet.IP.To4() == nil {
			continue
		}
		facts.put("ipaddress_"+name, ipnet.IP.String())
		facts.put("netmask_"+name, net.IP(ipnet.Mask).String())
		facts.put("network_"+name, ipnet.IP.Mask(ipnet.Mask).String())
		if n.Physical {
			facts.put("ipaddress", ipnet.IP.String())
			facts.put("netmask", net.IP(ipnet.Mask).String())
		}
		return
	}
}

// hardware lists cards, disks and processors under the names of lshw's facts.
func (r Root) hardware(facts Facts) {
	count := 0
	for _, n := range r.NICs() {
		if !n.Physical {
			continue
		}
		dir, key := "sys/class/net/"+n.Name, fmt.Sprintf("mk_hw_nic%d_", count)
		facts.put(key+"logical_name", n.Name)
		facts.put(key+"serial", n.MAC)
		facts.put(key+"bus_info", r.link(dir+"/device"))
		facts.put(key+"driver", r.link(dir+"/device/driver"))
		count++
	}
	facts["mk_hw_nic_count"] = strconv.Itoa(count)
	disks, models := r.disks(), r.cpuModels()
	for i, d := range disks {
		key := fmt.Sprintf("mk_hw_disk%d_", i)
		facts.put(key+"logical_name", "/dev/"+d.name)
		facts.put(key+"product", d.model)
		facts.put(key+"vendor", d.vendor)
		facts.put(key+"size", diskSize(d.size))
		facts.put(key+"size_bytes", strconv.FormatInt(d.size, 10))
	}
	for i, m := range models {
		facts.put(fmt.Sprintf("mk_hw_cpu%d_product", i), m)
	}
	facts["mk_hw_disk_count"], facts["mk_hw_cpu_count"] = strconv.Itoa(len(disks)), strconv.Itoa(len(models))
}
