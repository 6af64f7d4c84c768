// Package sdboot reads and edits the entries of systemd-boot: one file each, loader/entries/*.conf, with a keyword
// and a value on each line. The format is that of the Boot Loader Specification, type #1. Start reading at [Read].
package sdboot

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
	"mkbuild/internal/fail"
)

// ErrInvalid is returned for an entry that is not text.
var ErrInvalid = fail.New(fail.Verification, "invalid entry of systemd-boot", "")

// IsEntry reports whether a path is a place of systemd-boot's entries.
func IsEntry(name string) bool {
	dir, base := path.Split(strings.ToLower(name))
	return strings.HasSuffix(base, ".conf") && (dir == "loader/entries/" || strings.HasSuffix(dir, "/loader/entries/"))
}

// line is a keyword with its value, as written.
type line struct{ text, keyword, value, end string }

func parse(text []byte) ([]line, error) {
	if slices.Contains(text, 0) {
		return nil, fmt.Errorf("%w: it has NUL bytes", ErrInvalid)
	}
	var out []line
	for s := range strings.Lines(string(text)) {
		l := line{text: strings.TrimRight(s, "\r\n \t")}
		l.end = s[len(l.text):]
		body := strings.TrimLeft(l.text, " \t")
		if n := strings.IndexAny(body, " \t"); n > 0 && body[0] != '#' {
			l.keyword, l.value = body[:n], strings.TrimLeft(body[n:], " \t")
		}
		out = append(out, l)
	}
	return out, nil
}

// Read returns the boot entry of a file.
func Read(text []byte, _ bootmenu.Open) (*bootmenu.Menu, error) {
	lines, err := parse(text)
	if err != nil {
		return nil, err
	}
	out, e := &bootmenu.Menu{}, bootmenu.Entry{}
	for i, l := range lines {
		switch l.keyword {
		case "title":
			e.Name = l.value
		case "linux":
			e.Kernel, e.Line = l.value, i+1
		case "initrd":
			e.Initrds = append(e.Initrds, l.value)
		case "options":
			e.Append = strings.TrimSpace(e.Append + " " + l.value)
		case "efi", "uki", "uki-url", "devicetree-overlay":
			out.Doubts = append(out.Doubts, bootmenu.Doubt{Place: bootmenu.Place{Line: i + 1}, Text: fmt.Sprintf("it starts %s, of which mkbuild cannot say what it boots", l.value)})
		}
	}
	for _, a := range cmdline.Split(e.Append) {
		if a.Name == "initrd" {
			e.Initrds = append(e.Initrds, a.Value)
		}
	}
	if e.Kernel != "" {
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

// Edit returns an entry with other kernel arguments, on its last line of arguments or on a new line. An entry has
// no timeout.
func Edit(text []byte, o bootmenu.Edit) ([]byte, error) {
	lines, err := parse(text)
	if err != nil {
		return nil, err
	}
	at, linux := -1, -1
	for i, l := range lines {
		switch l.keyword {
		case "options":
			at = i
		case "linux":
			linux = i
		}
	}
	remove, add := strings.TrimSpace(o.Remove), strings.TrimSpace(o.Append)
	switch {
	case linux < 0:
	case at >= 0:
		l := &lines[at]
		value := cmdline.Add(cmdline.Remove(l.value, remove), add)
		l.text = strings.TrimSuffix(l.text, l.value) + value
		if value == "" && l.value != "" && at == linux+1 { // a line that Edit made
			lines[linux].end = l.end
			lines = slices.Delete(lines, at, at+1)
		}
	case add != "":
		l := &lines[linux]
		end := l.end
		if end == "" {
			l.end = "\n"
		}
		l.end += "options " + add + end
	}
	var out strings.Builder
	for _, l := range lines {
		out.WriteString(l.text + l.end)
	}
	return []byte(out.String()), nil
}
