package extension

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// factsDir checks the files below facts.d/ against what Facter 1.7, 2 and 4 do with them.
func (l *linter) factsDir(it *piece) {
	base := path.Base(it.Path)
	switch {
	case top(it.Path) != "facts.d":
	case !in(it.Path, "facts.d"):
		l.add(Error, "fact-subdirectory", it.Path, 0, "Facter does not look into directories below facts.d/", "move it to facts.d/"+base)
	case strings.HasPrefix(base, "."):
		l.add(Warning, "fact-dotfile", it.Path, 0, "Facter skips files whose name starts with a dot", "rename it, or remove it")
	default:
		l.factFile(it, path.Ext(base))
	}
}

// factFile checks one file directly in facts.d/ by the kind that its ending makes it.
func (l *linter) factFile(it *piece, ext string) {
	switch ext {
	case ".txt", ".yaml", ".json":
		l.dataFile(it, ext)
	case ".yml":
		l.add(Error, "fact-yml", it.Path, 0, "Facter reads .yaml and ignores .yml", "rename it to "+strings.TrimSuffix(it.Path, ".yml")+".yaml")
	case ".exe", ".bat", ".cmd", ".com":
		l.add(Error, "fact-windows", it.Path, 0, "Facter on Linux ignores programs with the ending "+ext, "rename it without the ending")
	default:
		switch {
		case it.Executable():
			l.programFile(it)
		case it.elf != nil || bytes.HasPrefix(it.text, []byte("#!")):
			if !l.src.NoModes {
				l.add(Error, "fact-not-executable", it.Path, 0, "it is a program but not executable: Facter ignores it", "chmod +x")
			}
		default:
			l.add(Warning, "fact-ignored", it.Path, 0, "Facter reads .txt, .yaml, .json and executable files here, and ignores this one",
				"give it one of these endings, or chmod +x, or move it out of facts.d/")
		}
	}
}

// dataFile checks a file that Facter parses.
func (l *linter) dataFile(it *piece, ext string) {
	if bytes.HasPrefix(it.text, []byte("#!")) {
		l.add(Error, "fact-data-script", it.Path, 0, "Facter goes by the ending: it parses this script as "+ext[1:]+" and never runs it", "rename it without "+ext)
		return
	}
	if it.Executable() {
		l.add(Warning, "fact-data-executable", it.Path, 0, "it is executable, but Facter parses it because of its ending", "chmod -x")
	}
	switch ext {
	case ".txt":
		l.pairs(it)
	case ".json":
		var v map[string]any
		l.structured(it, "JSON", json.Unmarshal(it.text, &v), v)
	case ".yaml":
		var v map[string]any
		l.structured(it, "YAML", yaml.Unmarshal(it.text, &v), v)
	}
}

func (l *linter) structured(it *piece, kind string, err error, v map[string]any) {
	if err == nil && v == nil {
		err = fmt.Errorf("it is empty")
	}
	if err != nil {
		l.add(Error, "fact-syntax", it.Path, 0, "it is no "+kind+" mapping of fact names to values: "+err.Error(), "correct it, and try `mkbuild extension run`")
		return
	}
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		l.fact(it, 0, name, true)
	}
}

// pairs checks NAME=VALUE lines, of which Facter trims nothing and skips nothing that has a "=".
func (l *linter) pairs(it *piece) {
	for i, line := range strings.Split(string(it.text), "\n") {
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
			l.fact(it, i+1, name, true)
		}
	}
}

var (
	printsStructure = regexp.MustCompile(`(?m)\bto_(json|yaml)\b|\bjson\.dumps?\b|\bJSON\.(generate|dump)\b|\bYAML\.dump\b|\b(echo|printf|print|puts|cat)\b[^|>\n]*['"]\s*(\{|\\?"?---)|^---\s*$|^\s*\{\s*\\?"[^"\n]*\\?"\s*:`)
	printsPair      = regexp.MustCompile(`\b(?:echo|printf|print|puts)\s+(?:-[a-z]+\s+)?(?:--\s+)?["']?([A-Za-z_][A-Za-z0-9_. -]*)=`)
)

// programFile checks an executable in facts.d/ by its text, as far as that tells.
func (l *linter) programFile(it *piece) {
	if it.text == nil {
		return
	}
	if at := printsStructure.FindIndex(it.text); at != nil {
		l.add(Warning, "fact-structured", it.Path, lineOf(it.text, at[0]), "programs may print JSON or YAML only from Facter 3.5 on; the image's 1.7 finds no facts in that",
			"print NAME=VALUE lines, one for each fact")
	}
	for _, m := range printsPair.FindAllSubmatchIndex(it.text, -1) {
		l.fact(it, lineOf(it.text, m[2]), string(it.text[m[2]:m[3]]), false)
	}
}

// lineOf is the number of the line that offset at lies on.
func lineOf(text []byte, at int) int { return bytes.Count(text[:at], []byte{'\n'}) + 1 }

// fact checks one fact's name. static says that its value is the same on every machine.
func (l *linter) fact(it *piece, line int, name string, static bool) {
	lower := strings.ToLower(name)
	switch {
	case strings.ContainsAny(name, " \t"):
		l.add(Warning, "fact-name", it.Path, line, fmt.Sprintf("the name %q has blanks", name), "use lower-case letters, digits and _")
	case name != lower:
		l.add(Warning, "fact-name", it.Path, line, fmt.Sprintf("Facter turns the name %q into lower case: rules have to say %q", name, lower), "name it "+lower)
	}
	switch {
	case Identity(lower) && static:
		l.add(Error, "identity", it.Path, line, fmt.Sprintf("Razor tells machines apart by %q: with one value for all of them they become one", lower), "choose another name")
	case Identity(lower):
		l.add(Warning, "identity", it.Path, line, fmt.Sprintf("Razor tells machines apart by %q: another value makes another machine", lower), "choose another name, unless that is what you want")
	case l.opt.Drops != nil && l.opt.Drops(lower):
		l.add(Warning, "dropped", it.Path, line, fmt.Sprintf("Razor drops %q by its default facts.blacklist: no rule can use it", lower), "choose another name, for example site_"+lower)
	}
	if !in(it.Path, "facts.d") {
		return
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
