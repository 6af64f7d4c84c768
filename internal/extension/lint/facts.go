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
func (l *linter) factFile(it *piece) {
	base := path.Base(it.Path)
	switch ext := path.Ext(base); {
	case path.Dir(it.Path) != "facts.d":
		l.add(Error, "fact-subdirectory", it.Path, 0, "Facter does not look into directories below facts.d/", "move it to facts.d/"+base)
	case strings.HasPrefix(base, "."):
		l.add(Warning, "fact-dotfile", it.Path, 0, "Facter skips files whose name starts with a dot", "rename it, or remove it")
	case isData(it.Path):
		l.dataFile(it, ext)
	case ext == ".yml":
		l.add(Error, "fact-yml", it.Path, 0, "Facter reads .yaml and ignores .yml", "rename it to "+strings.TrimSuffix(it.Path, ".yml")+".yaml")
	case ext == ".exe" || ext == ".bat" || ext == ".cmd" || ext == ".com":
		l.add(Error, "fact-windows", it.Path, 0, "Facter on Linux ignores programs with the ending "+ext, "rename it without the ending")
	case it.Executable():
	case !it.isELF() && !bytes.HasPrefix(it.body, []byte("#!")):
		l.add(Warning, "fact-ignored", it.Path, 0, "Facter reads .txt, .yaml, .json and executable files here, and ignores this one",
			"give it one of these endings, or chmod +x, or move it out of facts.d/")
	case !l.src.NoModes:
		l.add(Error, "fact-not-executable", it.Path, 0, "it is a program but not executable: Facter ignores it", "chmod +x")
	}
}

// isData reports whether Facter parses a file because of its ending.
func isData(p string) bool {
	ext := path.Ext(p)
	return ext == ".txt" || ext == ".yaml" || ext == ".json"
}

// dataFile checks a file that Facter parses.
func (l *linter) dataFile(it *piece, ext string) {
	if bytes.HasPrefix(it.body, []byte("#!")) {
		l.add(Error, "fact-data-script", it.Path, 0, "Facter goes by the ending: it parses this script as "+ext[1:]+" and never runs it", "rename it without "+ext)
		return
	}
	if it.Executable() {
		l.add(Warning, "fact-data-executable", it.Path, 0, "it is executable, but Facter parses it because of its ending", "chmod -x")
	}
	if ext == ".txt" {
		l.pairs(it)
		return
	}
	names, err := factNames(it.body, ext)
	if err != nil {
		l.add(Error, "fact-syntax", it.Path, 0, "it is no "+strings.ToUpper(ext[1:])+" mapping of fact names to values: "+err.Error(), "correct it, and try `mkbuild extension run`")
	}
	for _, name := range names {
		l.fact(it, 0, name)
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
func (l *linter) pairs(it *piece) {
	for i, line := range strings.Split(string(it.body), "\n") {
		line = strings.TrimSuffix(line, "\r")
		name, value, ok := strings.Cut(line, "=")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || !ok && strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(trimmed, "#"):
			l.add(Error, "fact-comment", it.Path, i+1, fmt.Sprintf("there are no comments here: this line is a fact named %q", strings.ToLower(name)), `remove the line, or its "="`)
		case !ok || name == "" || value == "":
			l.add(Warning, "fact-line", it.Path, i+1, "it is no NAME=VALUE: Facter ignores it", "write NAME=VALUE, neither of them empty")
		case strings.TrimSpace(name) != name || strings.TrimSpace(value) != value:
			l.add(Error, "fact-blanks", it.Path, i+1, fmt.Sprintf("blanks belong to name and value: this is fact %q with value %q", strings.ToLower(name), value), "remove the blanks around name, = and value")
		default:
			l.fact(it, i+1, name)
		}
	}
}

// fact checks the name of a fact whose value is the same on every machine.
func (l *linter) fact(it *piece, line int, name string) {
	lower := strings.ToLower(name)
	switch {
	case strings.ContainsAny(name, " \t"):
		l.add(Warning, "fact-name", it.Path, line, fmt.Sprintf("the name %q has blanks", name), "use lower-case letters, digits and _")
	case name != lower:
		l.add(Warning, "fact-name", it.Path, line, fmt.Sprintf("Facter turns the name %q into lower case: rules have to say %q", name, lower), "name it "+lower)
	}
	switch {
	case Identity(lower):
		l.add(Error, "identity", it.Path, line, fmt.Sprintf("Razor tells machines apart by %q: with one value for all of them they become one", lower), "choose another name")
	case l.opt.Drops != nil && l.opt.Drops(lower):
		l.add(Warning, "dropped", it.Path, line, fmt.Sprintf("Razor drops %q by its default facts.blacklist: no rule can use it", lower), "choose another name, for example site_"+lower)
	}
	if first, ok := l.names[lower]; ok && first != it.Path {
		l.add(Warning, "fact-twice", it.Path, line, fmt.Sprintf("%s has %q already: Facter 1.7 and 2 keep the first file's value, Facter 4 the last one's", first, lower), "keep one of them")
		return
	}
	l.names[lower] = it.Path
}

// Identity reports whether Razor makes a machine's identity out of a fact of that name
// (Node.register: macaddress*, serialnumber, uuid).
func Identity(name string) bool {
	return strings.HasPrefix(name, "macaddress") || name == "serialnumber" || name == "uuid"
}

// encoding finds text that only its author's editor can read: neither the kernel nor Ruby knows byte
// order marks or UTF-16, and one wrong byte in external facts can cost a machine all of its facts.
func (l *linter) encoding(it *piece) {
	mark := ""
	for _, m := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(it.body, []byte(m)) {
			mark = m
		}
	}
	dir := path.Dir(it.Path)
	switch {
	case dir != "bin" && dir != "facts.d" && path.Ext(it.Path) != ".rb":
	case len(mark) == 2:
		l.add(Error, "encoding", it.Path, 0, "it is UTF-16: nothing on a microkernel reads that", "iconv -f UTF-16 -t UTF-8, and remove the byte order mark")
	case mark != "":
		l.add(Error, "encoding", it.Path, 1, "it begins with a byte order mark, which becomes a part of the first fact's name or hides a #! line", "sed -i '1s/^\\xEF\\xBB\\xBF//'")
	case dir == "facts.d" && isData(it.Path) && !utf8.Valid(it.body):
		l.add(Error, "encoding", it.Path, 0, "it is not UTF-8: Facter may print no facts at all", "iconv -f LATIN1 -t UTF-8")
	}
}
