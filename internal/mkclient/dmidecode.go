package mkclient

import (
	"fmt"
	"strconv"
	"strings"
)

// dmiSections maps the sections of `dmidecode -q` to the part of a fact's name.
func dmiSection(title string) string {
	switch title {
	case "BIOS Information":
		return "bios"
	case "System Information":
		return "system"
	case "Base Board Information":
		return "board"
	case "Chassis Information":
		return "chassis"
	case "Memory Device":
		return "dimm"
	}
	return ""
}

// dmiFields are the labels worth a fact; all of them are one line long.
func dmiField(label string) bool {
	switch label {
	case "Vendor", "Version", "Release Date", "Manufacturer", "Product Name", "Serial Number", "UUID", "SKU Number",
		"Family", "Asset Tag", "Type", "Size", "Locator", "Bank Locator", "Speed", "Part Number", "Form Factor":
		return true
	}
	return false
}

// parseDmidecode makes mk_hw_dmi_{bios,system,board,chassis}_* from the first section of each
// kind, and mk_hw_dimmN_* with mk_hw_dimm_count from the memory slots that are filled.
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
				putText(facts, name, v)
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

// dmiSplit cuts the output at titles, which stand at the start of a line; fields are indented
// by one tab, their lists by two.
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
