package facts

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/program"
)

const hardwareRetry = 10 * time.Minute // a hanging tool must not delay every check-in

// hardware caches the tools' facts. A full lshw takes seconds, and its facts change only if devices come or go.
type hardware struct {
	devices string
	sources []source
	failed  time.Time // time of a tool's failure, on the monotonic clock; zero without one
}

// source is one contained source of hardware facts.
type source struct {
	name  string
	facts Facts
}

// read reads the system and runs each tool, or returns the cached facts.
func (h *hardware) read(ctx context.Context, o *Options) []source {
	devices := strings.Join(append(o.Root.names("sys/class/net"), o.Root.names("sys/block")...), " ")
	if h.sources != nil && h.devices == devices && (h.failed.IsZero() || time.Since(h.failed) < hardwareRetry) {
		return h.sources
	}
	*h = hardware{devices: devices, sources: []source{{"sysfs", o.sysFacts()}}}
	for _, tool := range []struct {
		name, args string
		parse      func([]byte) (Facts, error)
	}{{"lscpu", "", parseLscpu}, {"dmidecode", "-q", parseDmidecode}, {"lshw", "-xml", parseLshw}} {
		facts, err := o.runTool(ctx, tool.name, strings.Fields(tool.args), tool.parse)
		if err != nil {
			o.Log.Changed("hw "+tool.name, clientlog.Warn, "hardware facts of %s: %v", tool.name, err)
			h.failed = time.Now()
		}
		h.sources = append(h.sources, source{tool.name, facts})
	}
	return h.sources
}

// runTool runs a program and parses its output; even a bug in the parser costs only its facts. A missing program
// is not reported.
func (o *Options) runTool(ctx context.Context, name string, args []string, parse func([]byte) (Facts, error)) (facts Facts, err error) {
	defer func() {
		if p := recover(); p != nil {
			facts, err = nil, fmt.Errorf("bug: %v", p)
		}
	}()
	p, err := program.Find(name, o.Path)
	if err != nil {
		o.Log.Logf(clientlog.Debug, "%v", err)
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.ToolTimeout)
	defer cancel()
	res, err := program.Run(ctx, program.Command{Path: p, Args: args, Env: program.BaseEnv(o.Path), Dir: "/"})
	if err != nil {
		return nil, err
	}
	if facts, err = parse(res.Stdout); err != nil {
		return nil, fmt.Errorf("exit status %d: %w%s", res.Code, err, res.Hint())
	}
	return facts, nil
}

// sysFacts are facts from the kernel: the firmware's kind and the lists of cards, disks and processors, which
// lshw's facts override.
func (o *Options) sysFacts() Facts {
	facts := Facts{"mk_hw_boot_mode": "bios"}
	if isDir(o.Root.Path("sys/firmware/efi")) {
		facts["mk_hw_boot_mode"] = "efi"
	}
	if _, err := program.Find("lshw", o.Path); err != nil {
		o.Root.hardware(facts)
	}
	return facts
}

// hwKey spells a tool's label as part of a fact's name: blanks become "_", dots and brackets go.
func hwKey(label string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case r == '.' || strings.ContainsRune("!@#$%^&*()=+[]{}:", r) || r < 0x20 || r > 0x7e:
			return -1
		}
		return r
	}, strings.TrimSpace(label))
}

// parseLscpu reads "Label: value" lines into mk_hw_lscpu_Label. Flags and vulnerabilities are left out because
// they are long, the current frequency because it always changes.
func parseLscpu(out []byte) (Facts, error) {
	facts := Facts{}
	for line := range strings.Lines(string(out)) {
		label, v, _ := strings.Cut(line, ":")
		if label == "Flags" || label == "CPU MHz" || strings.HasPrefix(label, "CPU(s) scaling") ||
			strings.HasPrefix(strings.TrimSpace(label), "Vulnerability") {
			continue
		}
		facts.put("mk_hw_lscpu_"+hwKey(label), v)
	}
	if facts["mk_hw_lscpu_Architecture"] == nil { // its first line in every version
		return nil, fmt.Errorf("nothing usable in the output of lscpu")
	}
	return facts, nil
}

// lshwNode is one element of `lshw -xml`. Old versions (B.02.15) and new ones write the same
// elements; only newer ones wrap the tree in <list>.
type lshwNode struct {
	ID          string   `xml:"id,attr"`
	Class       string   `xml:"class,attr"`
	Disabled    string   `xml:"disabled,attr"`
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
	w.visit(&top)
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

func (w *lshwWalk) visit(n *lshwNode) {
	if n.Disabled != "true" {
		w.take(n)
	}
	for i := range n.Nodes { // encoding/xml bounds their depth
		w.visit(&n.Nodes[i])
	}
}

// take adds the facts of one node, if its kind has any.
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

// put adds the fields of a node. Sizes are in bytes in XML: put adds lshw's own wording, which rules compare, and
// the number of bytes, for calculations.
func (w *lshwWalk) put(prefix string, n *lshwNode, size string) {
	for key, v := range map[string]string{
		"description": n.Description, "product": n.Product, "vendor": n.Vendor, "physical_id": n.PhysicalID,
		"bus_info": n.BusInfo, "logical_name": strings.Join(n.LogicalName, ","), "version": n.Version,
		"serial": n.Serial, "slot": n.Slot, "size": size, "date": n.Date,
	} {
		w.facts.put(prefix+key, v)
	}
	if size != "" {
		w.facts.put(prefix+"size_bytes", n.Size)
		if strings.HasPrefix(prefix, "mk_hw_fw_") || strings.HasPrefix(prefix, "mk_hw_mem_") {
			w.facts.put(prefix+"capacity", binarySize(n.Capacity))
		}
	}
	var conf []string
	for _, s := range n.Settings {
		if !slices.Contains([]string{"ip", "link", "speed", "duplex", "mount.options", "state"}, s.ID) { // they always change
			conf = append(conf, s.ID+"="+s.Value)
		}
	}
	w.facts.put(prefix+"configuration", strings.Join(conf, " "))
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

// dmiSection maps a section of `dmidecode -q` to a part of a fact's name; "" skips it.
func dmiSection(title string) string {
	return map[string]string{
		"BIOS Information": "bios", "System Information": "system", "Base Board Information": "board",
		"Chassis Information": "chassis", "Memory Device": "dimm",
	}[title]
}

// dmiField picks the labels worth a fact; all of them are one line long.
func dmiField(label string) bool {
	return slices.Contains([]string{
		"Vendor", "Version", "Release Date", "Manufacturer", "Product Name", "Serial Number", "UUID", "SKU Number",
		"Family", "Asset Tag", "Type", "Size", "Locator", "Bank Locator", "Speed", "Part Number", "Form Factor",
	}, label)
}

// parseDmidecode makes mk_hw_dmi_{bios,system,board,chassis}_* from the first section of each kind, and
// mk_hw_dimmN_* with mk_hw_dimm_count from the filled memory slots.
func parseDmidecode(out []byte) (Facts, error) {
	facts := Facts{}
	dimms, slots := 0, 0
	for _, s := range dmiSplit(string(out)) {
		kind := dmiSection(s.title)
		prefix := "mk_hw_dmi_" + kind + "_"
		if kind == "dimm" {
			slots++
			if leadingInt(s.fields["Size"]) == 0 {
				continue // "No Module Installed"
			}
			prefix = fmt.Sprintf("mk_hw_dimm%d_", dimms)
			dimms++
		}
		for label, v := range s.fields {
			name := prefix + strings.ToLower(hwKey(label))
			if _, taken := facts[name]; kind != "" && !taken && dmiField(label) && v != "Not Specified" {
				facts.put(name, v)
			}
		}
	}
	if len(facts) == 0 {
		return nil, fmt.Errorf("nothing usable in the output of dmidecode")
	}
	if slots > 0 {
		facts["mk_hw_dimm_count"], facts["mk_hw_dimm_slots"] = strconv.Itoa(dimms), strconv.Itoa(slots)
	}
	return facts, nil
}

type dmiPart struct {
	title  string
	fields map[string]string
}

// dmiSplit cuts the output at titles, which begin at the start of a line; fields are indented by one tab, their
// lists by two.
func dmiSplit(out string) []dmiPart {
	var parts []dmiPart
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "\t\t"):
		case !strings.HasPrefix(line, "\t"):
			parts = append(parts, dmiPart{title: line, fields: map[string]string{}})
		case len(parts) > 0:
			if label, v, ok := strings.Cut(line[1:], ":"); ok {
				parts[len(parts)-1].fields[label] = strings.TrimSpace(v)
			}
		}
	}
	return parts
}
