package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// factFile checks a file below facts.d/ for Facter 1.7, 2 and 4, which go by its ending.
func (f *file) factFile() {
	base := path.Base(f.Path)
	switch ext := ending(f.Path); {
	case f.dir() != "facts.d":
		f.report(Error, "fact-subdirectory", 0, "Facter does not look into directories below facts.d/", "move it to facts.d/"+base)
	case strings.HasPrefix(base, "."):
		f.report(Warning, "fact-dotfile", 0, "Facter skips files whose name starts with a dot", "rename it, or remove it")
	case isData(f.Path):
		f.dataFile(ext)
	case ext == ".yml":
		f.report(Error, "fact-yml", 0, "Facter reads .yaml and ignores .yml", "rename it to "+strings.TrimSuffix(f.Path, path.Ext(f.Path))+".yaml")
	case ext == ".exe" || ext == ".bat" || ext == ".cmd" || ext == ".com":
		f.report(Error, "fact-windows", 0, "Facter on Linux ignores programs with the ending "+ext, "rename it without the ending")
	case f.Executable():
		f.shellName(base)
	case !f.isELF() && !bytes.HasPrefix(f.body, []byte("#!")):
		f.report(Warning, "fact-ignored", 0, "Facter reads .txt, .yaml, .json and executable files here, and ignores this one",
			"give it one of these endings, or chmod +x, or move it out of facts.d/")
	case !f.l.src.NoModes:
		f.report(Error, "fact-not-executable", 0, "it is a program but not executable: Facter ignores it", "chmod +x")
	}
}

// shellName checks the name of a program: Facter hands its path to a shell, inside double quotes if there is a
// blank in it, and as it is otherwise.
func (f *file) shellName(base string) {
	special := "\"'`$;&|<>()\\"
	if strings.Contains(base, " ") {
		special = "\"`$\\"
	}
	const fix = "rename it: letters, digits, dots, - and _ are safe"
	if i := strings.IndexAny(base, special); i >= 0 {
		f.report(Error, "fact-shell-name", 0, fmt.Sprintf("Facter starts it through a shell, where the %c in its name is special: it never runs", base[i]), fix)
	} else if i := strings.IndexAny(base, "*?["); i >= 0 {
		f.report(Warning, "fact-shell-name", 0, fmt.Sprintf("Facter starts it through a shell, where the %c in its name is a pattern: another program may run instead", base[i]), fix)
	}
}

// ending returns a file's ending in lower case, as Facter compares it.
func ending(p string) string { return strings.ToLower(path.Ext(p)) }

// isData reports whether Facter parses a file because of its ending.
func isData(p string) bool { return slices.Contains([]string{".txt", ".yaml", ".json"}, ending(p)) }

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
	read := f.jsonFacts
	if ext == ".yaml" {
		read = f.yamlFacts
	}
	names, err := read()
	switch {
	case f.marked() || !utf8.Valid(f.body): // encoding tells
	case err != nil:
		f.report(Error, "fact-syntax", 0, "it is not a "+strings.ToUpper(ext[1:])+" mapping of fact names to values: "+err.Error(), "correct it, and try `mkbuild extension run`")
	case len(names) == 0:
		f.noFacts()
	}
	for _, name := range names {
		f.fact(0, name)
	}
}

func (f *file) noFacts() {
	f.report(Warning, "fact-empty", 0, "there is no fact in it", "add one, or remove the file")
}

// jsonFacts lists the keys of the mapping in a .json file.
func (f *file) jsonFacts() ([]string, error) {
	var v map[string]any
	if len(bytes.TrimSpace(f.body)) == 0 {
		return nil, nil
	}
	err := json.Unmarshal(f.body, &v)
	if err == nil && v == nil {
		err = errNoMapping
	}
	return slices.Sorted(maps.Keys(v)), err
}

// yamlFacts lists the keys of the mapping in a .yaml file.
func (f *file) yamlFacts() (names []string, err error) {
	var doc yaml.Node
	if err = yaml.Unmarshal(f.body, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil // all Facters report it as empty, and go on
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, errNoMapping
	}
	for i, n := range doc.Content[0].Content {
		if i%2 == 0 { // names and values take turns
			names = append(names, n.Value)
		}
	}
	f.yamlValues(&doc)
	return names, nil
}

var errNoMapping = errors.New("it is something else")

// plainTags are the YAML tags that all Facters accept: Facter 4 loads a file with Psych's safe_load, which drops
// it for the first value of another class.
func plainTags() []string {
	return []string{"", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!binary", "!!timestamp", "!!merge", "!!omap", "!!pairs", "!"}
}

// yamlValues checks a file for tags, symbols, and numbers without a JSON form.
func (f *file) yamlValues(n *yaml.Node) {
	tag := n.ShortTag()
	plain := n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch {
	case n.Kind == yaml.DocumentNode || n.Kind == yaml.AliasNode:
	case !slices.Contains(plainTags(), tag):
		f.report(Error, "fact-yaml", n.Line, fmt.Sprintf("Facter 4 drops the whole file for the tag %s", tag), "remove the tag, or make the fact in lib/ruby/facter/*.rb")
	case plain && len(n.Value) > 1 && n.Value[0] == ':':
		f.report(Error, "fact-yaml", n.Line, fmt.Sprintf("%s is a Ruby symbol: Facter 4 drops the whole file for it", n.Value), "remove the colon, or put quotes around it")
	case plain && noJSON(n):
		f.report(Error, "fact-yaml", n.Line, fmt.Sprintf("%s cannot be written as JSON: Facter prints no facts at all", n.Value), "put quotes around it")
	case tag == "!!timestamp" && plain:
		f.report(Warning, "fact-yaml", n.Line, fmt.Sprintf("Facter 2 drops the fact for the date %s; Facter 1.7 and 4 read it as text", n.Value), "put quotes around it")
	}
	for _, inner := range n.Content {
		f.yamlValues(inner)
	}
}

// noJSON reports whether Ruby reads a scalar as a number that JSON cannot express.
func noJSON(n *yaml.Node) bool {
	var v float64
	if n.ShortTag() == "!!float" {
		return n.Decode(&v) == nil && (math.IsNaN(v) || math.IsInf(v, 0))
	}
	_, err := strconv.ParseFloat(n.Value, 64)
	return errors.Is(err, strconv.ErrRange) && strings.Contains(n.Value, ".")
}

// pairs checks NAME=VALUE lines, of which Facter trims nothing and skips nothing that has a "=".
func (f *file) pairs() {
	switch {
	case f.marked(): // encoding tells
		return
	case len(bytes.TrimSpace(f.body)) == 0:
		f.noFacts()
	}
	for i, line := range strings.Split(string(f.body), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.Contains(line, "\r") {
			f.report(Error, "crlf", i+1, "its lines end in a lone \\r: all of them are one fact", "tr '\\r' '\\n'")
			return
		}
		name, value, ok := strings.Cut(line, "=")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || !ok && strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(trimmed, "#"):
			f.report(Error, "fact-comment", i+1, fmt.Sprintf("there are no comments here: this line is a fact named %q", strings.ToLower(name)), `remove the line, or its "="`)
		case !ok || name == "" || value == "":
			f.report(Warning, "fact-line", i+1, "it is not NAME=VALUE: Facter ignores it", "write NAME=VALUE with a name and a value")
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
		f.report(Warning, "fact-name", line, fmt.Sprintf("Facter turns the name %q into lower case: rules must use %q", name, lower), "name it "+lower)
	}
	switch {
	case Identity(lower):
		f.report(Error, "identity", line, fmt.Sprintf("Razor identifies machines by %q: with one value all machines become one node", lower), "choose another name")
	case f.l.opt.Drops != nil && f.l.opt.Drops(lower):
		f.report(Warning, "dropped", line, fmt.Sprintf("Razor drops %q by its default facts.blacklist: no rule can use it", lower), "choose another name, for example site_"+lower)
	}
	if first, ok := f.l.names[lower]; ok && first != f.Path {
		f.report(Warning, "fact-twice", line, fmt.Sprintf("%s has %q already: Facter 1.7 and 2 use the first file's value, Facter 4 the last one's", first, lower), "keep one of them")
		return
	}
	f.l.names[lower] = f.Path
}

// Identity reports whether Razor identifies a machine by a fact (Node.register: macaddress*, serialnumber, uuid).
func Identity(name string) bool {
	return strings.HasPrefix(name, "macaddress") || name == "serialnumber" || name == "uuid"
}

// mark returns the name of the encoding that a file's byte order mark announces, or "".
func (f *file) mark() string {
	for _, m := range [][2]string{{"\xef\xbb\xbf", "UTF-8"}, {"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"}, {"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"}} {
		if bytes.HasPrefix(f.body, []byte(m[0])) {
			return m[1]
		}
	}
	return ""
}

// marked reports whether encoding's finding makes other findings about a file redundant.
func (f *file) marked() bool { return f.mark() != "" || bytes.IndexByte(f.body, 0) >= 0 }

// encoding finds unreadable text: the kernel and Ruby 1.8 do not know byte order marks, nothing reads UTF-16, and
// one wrong byte in external facts can cost a machine all of them.
func (f *file) encoding() {
	mark, dir, data := f.mark(), f.dir(), f.dir() == "facts.d" && isData(f.Path)
	ruby := ending(f.Path) == ".rb"
	switch {
	case dir != "bin" && dir != "facts.d" && !ruby || f.isELF():
	case mark == "UTF-8" && ruby && !f.l.opt.Image.oldRuby():
	case mark == "UTF-8":
		f.report(Error, "encoding", 1, "it begins with a byte order mark, which becomes a part of the first fact's name or hides a #! line", "sed -i '1s/^\\xEF\\xBB\\xBF//'")
	case mark != "":
		f.report(Error, "encoding", 0, "it is "+mark+": nothing on a microkernel reads that", "iconv -f "+mark+" -t UTF-8, and remove the byte order mark")
	case data && bytes.IndexByte(f.body, 0) >= 0:
		f.report(Error, "encoding", 0, "there are NUL bytes in it: it is UTF-16 or not text", "iconv -f UTF-16LE -t UTF-8")
	case utf8.Valid(f.body):
	case data:
		f.report(Error, "encoding", 0, "it is not UTF-8: Facter may print no facts at all", "iconv -f LATIN1 -t UTF-8")
	case dir == "facts.d" && bytes.IndexByte(f.body, 0) < 0:
		f.report(Warning, "encoding", 0, "it is not UTF-8: if it prints these bytes, Facter may print no facts at all", "iconv -f LATIN1 -t UTF-8")
	}
}
