package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// factFile checks a file below facts.d/ against what Facter 1.7, 2 and 4 do with it, which depends on
// its ending.
func (f *file) factFile() {
	base := path.Base(f.Path)
	switch ext := path.Ext(base); {
	case f.dir() != "facts.d":
		f.report(Error, "fact-subdirectory", 0, "Facter does not look into directories below facts.d/", "move it to facts.d/"+base)
	case strings.HasPrefix(base, "."):
		f.report(Warning, "fact-dotfile", 0, "Facter skips files whose name starts with a dot", "rename it, or remove it")
	case isData(f.Path):
		f.dataFile(ext)
	case ext == ".yml":
		f.report(Error, "fact-yml", 0, "Facter reads .yaml and ignores .yml", "rename it to "+strings.TrimSuffix(f.Path, ".yml")+".yaml")
	case ext == ".exe" || ext == ".bat" || ext == ".cmd" || ext == ".com":
		f.report(Error, "fact-windows", 0, "Facter on Linux ignores programs with the ending "+ext, "rename it without the ending")
	case f.Executable():
	case !f.isELF() && !bytes.HasPrefix(f.body, []byte("#!")):
		f.report(Warning, "fact-ignored", 0, "Facter reads .txt, .yaml, .json and executable files here, and ignores this one",
			"give it one of these endings, or chmod +x, or move it out of facts.d/")
	case !f.l.src.NoModes:
		f.report(Error, "fact-not-executable", 0, "it is a program but not executable: Facter ignores it", "chmod +x")
	}
}

// isData reports whether Facter parses a file because of its ending.
func isData(p string) bool {
	ext := path.Ext(p)
	return ext == ".txt" || ext == ".yaml" || ext == ".json"
}

// dataFile checks a file that Facter parses.
func (f *file) dataFile(ext string) {
	if bytes.HasPrefix(f.body, []byte("#!")) {
		f.report(Error, "fact-data-script", 0, "Facter goes by the ending: it parses this script as "+ext[1:]+" and never runs it", "rename it without "+ext)
		return
	}
	if f.Executable() {
		f.report(Warning, "fact-data-executable", 0, "it is executable, but Facter parses it because of its ending", "chmod -x")
	}
	if ext == ".txt" {
		f.pairs()
		return
	}
	names, err := factNames(f.body, ext)
	if err != nil {
		f.report(Error, "fact-syntax", 0, "it is no "+strings.ToUpper(ext[1:])+" mapping of fact names to values: "+err.Error(), "correct it, and try `mkbuild extension run`")
	}
	for _, name := range names {
		f.fact(0, name)
	}
}

// factNames lists the keys of the mapping that a file holds.
func factNames(b []byte, ext string) (names []string, err error) {
	if ext == ".json" {
		var v map[string]json.RawMessage
		if err = json.Unmarshal(b, &v); err == nil && v == nil {
			err = errEmpty
		}
		return slices.Sorted(maps.Keys(v)), err
	}
	var doc yaml.Node
	if err = yaml.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errEmpty
	}
	for i, n := range doc.Content[0].Content {
		if i%2 == 0 { // names and values take turns
			names = append(names, n.Value)
		}
	}
	return names, nil
}

var errEmpty = errors.New("there is none in it")

// pairs checks NAME=VALUE lines, of which Facter trims nothing and skips nothing that has a "=".
func (f *file) pairs() {
	for i, line := range strings.Split(string(f.body), "\n") {
		line = strings.TrimSuffix(line, "\r")
		name, value, ok := strings.Cut(line, "=")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || !ok && strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(trimmed, "#"):
			f.report(Error, "fact-comment", i+1, fmt.Sprintf("there are no comments here: this line is a fact named %q", strings.ToLower(name)), `remove the line, or its "="`)
		case !ok || name == "" || value == "":
			f.report(Warning, "fact-line", i+1, "it is no NAME=VALUE: Facter ignores it", "write NAME=VALUE, neither of them empty")
		case strings.TrimSpace(name) != name || strings.TrimSpace(value) != value:
			f.report(Error, "fact-blanks", i+1, fmt.Sprintf("blanks belong to name and value: this is fact %q with value %q", strings.ToLower(name), value), "remove the blanks around name, = and value")
		default:
			f.fact(i+1, name)
		}
	}
}

// fact checks the name of a fact whose value is the same on every machine.
func (f *file) fact(line int, name string) {
	lower := strings.ToLower(name)
	switch {
	case strings.ContainsAny(name, " \t"):
		f.report(Warning, "fact-name", line, fmt.Sprintf("the name %q has blanks", name), "use lower-case letters, digits and _")
	case name != lower:
		f.report(Warning, "fact-name", line, fmt.Sprintf("Facter turns the name %q into lower case: rules have to say %q", name, lower), "name it "+lower)
	}
	switch {
	case Identity(lower):
		f.report(Error, "identity", line, fmt.Sprintf("Razor tells machines apart by %q: with one value for all of them they become one", lower), "choose another name")
	case f.l.opt.Drops != nil && f.l.opt.Drops(lower):
		f.report(Warning, "dropped", line, fmt.Sprintf("Razor drops %q by its default facts.blacklist: no rule can use it", lower), "choose another name, for example site_"+lower)
	}
	if first, ok := f.l.names[lower]; ok && first != f.Path {
		f.report(Warning, "fact-twice", line, fmt.Sprintf("%s has %q already: Facter 1.7 and 2 keep the first file's value, Facter 4 the last one's", first, lower), "keep one of them")
		return
	}
	f.l.names[lower] = f.Path
}

// Identity reports whether Razor makes a machine's identity out of a fact of that name
// (Node.register: macaddress*, serialnumber, uuid).
func Identity(name string) bool {
	return strings.HasPrefix(name, "macaddress") || name == "serialnumber" || name == "uuid"
}

// encoding finds text that only its author's editor can read: neither the kernel nor Ruby knows byte
// order marks or UTF-16, and one wrong byte in external facts can cost a machine all of its facts.
func (f *file) encoding() {
	mark := ""
	for _, m := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(f.body, []byte(m)) {
			mark = m
		}
	}
	dir := f.dir()
	switch {
	case dir != "bin" && dir != "facts.d" && path.Ext(f.Path) != ".rb":
	case len(mark) == 2:
		f.report(Error, "encoding", 0, "it is UTF-16: nothing on a microkernel reads that", "iconv -f UTF-16 -t UTF-8, and remove the byte order mark")
	case mark != "":
		f.report(Error, "encoding", 1, "it begins with a byte order mark, which becomes a part of the first fact's name or hides a #! line", "sed -i '1s/^\\xEF\\xBB\\xBF//'")
	case dir == "facts.d" && isData(f.Path) && !utf8.Valid(f.body):
		f.report(Error, "encoding", 0, "it is not UTF-8: Facter may print no facts at all", "iconv -f LATIN1 -t UTF-8")
	}
}
