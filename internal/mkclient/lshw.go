package mkclient

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lshwNode is one element of `lshw -xml`. Old versions (B.02.15) and new ones write the same
// elements; only newer ones wrap the tree in <list>.
type lshwNode struct {
	ID       string `xml:"id,attr"`
	Class    string `xml:"class,attr"`
	Disabled string `xml:"disabled,attr"`

	Description string   `xml:"description"`
	Product     string   `xml:"product"`
	Vendor      string   `xml:"vendor"`
	PhysicalID  string   `xml:"physid"`
	BusInfo     string   `xml:"businfo"`
	LogicalName []string `xml:"logicalname"`
	Version     string   `xml:"version"`
	Serial      string   `xml:"serial"`
	Slot        string   `xml:"slot"`
	Size        string   `xml:"size"`
	Capacity    string   `xml:"capacity"`
	Date        string   `xml:"date"`
	Settings    []struct {
		ID    string `xml:"id,attr"`
		Value string `xml:"value,attr"`
	} `xml:"configuration>setting"`
	Nodes []lshwNode `xml:"node"`
}

// volatileSetting are settings of a device that change by themselves.
func volatileSetting(id string) bool {
	return id == "ip" || id == "link" || id == "speed" || id == "duplex" || id == "mount.options" || id == "state"
}

// parseLshw makes mk_hw_{bus,fw,mem}_* and numbered mk_hw_{cpu,disk,nic}N_* with their counts,
// named as the original microkernel named them.
func parseLshw(out []byte) (Facts, error) {
	if at := bytes.IndexByte(out, '<'); at > 0 {
		out = out[at:] // warnings that some builds print first
	}
	var top lshwNode
	dec := xml.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(out, []byte("?"))))
	dec.Strict = false // vendors put raw "&" into strings, and old versions pass them on
	if err := dec.Decode(&top); err != nil {
		return nil, fmt.Errorf("read the output of lshw: %w", err)
	}
	w := lshwWalk{facts: Facts{}, count: map[string]int{"cpu": 0, "disk": 0, "nic": 0}}
	w.visit(&top, 0)
	if w.seen == 0 {
		return nil, fmt.Errorf("nothing usable in the output of lshw")
	}
	for kind, n := range w.count {
		w.facts["mk_hw_"+kind+"_count"] = strconv.Itoa(n)
	}
	return w.facts, nil
}

// lshwWalk numbers devices in the order of the tree.
type lshwWalk struct {
	facts Facts
	count map[string]int
	seen  int
}

const maxLshwDepth = 64

func (w *lshwWalk) visit(n *lshwNode, depth int) {
	if n.Disabled != "true" {
		w.take(n)
	}
	for i := range n.Nodes {
		if depth < maxLshwDepth {
			w.visit(&n.Nodes[i], depth+1)
		}
	}
}

// take turns one node into facts, if it is of a kind that has some.
func (w *lshwWalk) take(n *lshwNode) {
	if n.ID != "" {
		w.seen++
	}
	id, _, _ := strings.Cut(n.ID, ":")
	switch {
	case n.Class == "bus" && id == "core":
		w.put("mk_hw_bus_", n, "")
	case n.Class == "memory" && id == "firmware":
		w.put("mk_hw_fw_", n, binarySize(n.Size))
	case n.Class == "memory" && n.ID == "memory", n.Class == "memory" && n.ID == "memory:0":
		w.put("mk_hw_mem_", n, binarySize(n.Size))
	case n.Class == "disk" && id != "cdrom" && id != "medium" && len(n.LogicalName) > 0:
		bytes, _ := strconv.ParseInt(n.Size, 10, 64)
		w.put(w.next("disk"), n, diskSize(bytes))
	case n.Class == "processor":
		w.put(w.next("cpu"), n, "")
	case n.Class == "network" && n.BusInfo != "":
		w.put(w.next("nic"), n, "")
	}
}

// next is the prefix of the next device of a kind.
func (w *lshwWalk) next(kind string) string {
	i := w.count[kind]
	w.count[kind]++
	return fmt.Sprintf("mk_hw_%s%d_", kind, i)
}

// put adds the fields that a node has. Sizes come in bytes from XML: they get lshw's own
// wording, which rules compare, and a number of bytes, which rules can calculate with.
func (w *lshwWalk) put(prefix string, n *lshwNode, size string) {
	for key, v := range map[string]string{
		"description": n.Description, "product": n.Product, "vendor": n.Vendor, "physical_id": n.PhysicalID,
		"bus_info": n.BusInfo, "logical_name": strings.Join(n.LogicalName, ","), "version": n.Version,
		"serial": n.Serial, "slot": n.Slot, "size": size, "date": n.Date,
	} {
		putText(w.facts, prefix+key, v)
	}
	if size != "" {
		putText(w.facts, prefix+"size_bytes", n.Size)
		if strings.HasPrefix(prefix, "mk_hw_fw_") || strings.HasPrefix(prefix, "mk_hw_mem_") {
			putText(w.facts, prefix+"capacity", binarySize(n.Capacity))
		}
	}
	var conf []string
	for _, s := range n.Settings {
		if !volatileSetting(s.ID) {
			conf = append(conf, s.ID+"="+s.Value)
		}
	}
	putText(w.facts, prefix+"configuration", strings.Join(conf, " "))
}

// binarySize words bytes as lshw words memory: "16GiB".
func binarySize(text string) string {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 {
		return ""
	}
	return scaled(n, 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}

// diskSize words bytes as lshw words disks: "465GiB (500GB)".
func diskSize(n int64) string {
	if n <= 0 {
		return ""
	}
	return scaled(n, 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}) + " (" +
		scaled(n, 1000, []string{"B", "KB", "MB", "GB", "TB", "PB"}) + ")"
}

// scaled divides while more than four digits are left.
func scaled(n, step int64, units []string) string {
	i := 0
	for n >= 10*step && i < len(units)-1 {
		n /= step
		i++
	}
	return strconv.FormatInt(n, 10) + units[i]
}

// linkBase is the last component of a link in sysfs, "" without one.
func linkBase(dir, name string) string {
	target, err := os.Readlink(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}
