package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// gemspec is a gem's specification, as far as a gem of pure Ruby needs it.
type gemspec struct {
	name, version                  string
	summary, description, homepage string
	authors, email                 []string
	licenses, executables, files   []string
	ruby                           []string // required_ruby_version: ">= 2.5", "< 4.0"
	dependencies                   []gemDependency
}

// gemDependency is one runtime dependency.
type gemDependency struct {
	name         string
	requirements []string
}

var (
	gemString  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	gemRuntime = regexp.MustCompile(`(?m)^\s*s\.add_runtime_dependency\(%q<([^>]+)>\.freeze, \[(.*)\]\)`)
)

// parseGemspec reads the output of Gem::Specification#to_ruby: one assignment a line, all values literal. Debian's
// packages have their specifications in this form.
func parseGemspec(text string) *gemspec {
	first := func(key string) string {
		if all := gemValues(text, key); len(all) > 0 {
			return all[0]
		}
		return ""
	}
	s := &gemspec{
		name: first("name"), version: first("version"), summary: first("summary"), description: first("description"), homepage: first("homepage"),
		authors: gemValues(text, "authors"), email: gemValues(text, "email"), licenses: gemValues(text, "licenses"),
		executables: gemValues(text, "executables"), ruby: gemValues(text, "required_ruby_version"),
	}
	for _, m := range gemRuntime.FindAllStringSubmatch(text, -1) {
		s.dependencies = append(s.dependencies, gemDependency{name: m[1], requirements: rubyStrings(m[2])})
	}
	return s
}

// gemValues returns the strings of the assignment to s.<key>.
func gemValues(text, key string) []string {
	line := regexp.MustCompile(`(?m)^\s*s\.` + key + ` = (.*)$`).FindStringSubmatch(text)
	if line == nil {
		return nil
	}
	return rubyStrings(line[1])
}

// rubyStrings returns the double-quoted strings in a piece of Ruby. Their escapes equal Go's in every specification
// seen; a string with another escape stays as written.
func rubyStrings(s string) []string {
	var out []string
	for _, lit := range gemString.FindAllString(s, -1) {
		v, err := strconv.Unquote(lit)
		if err != nil {
			v = lit[1 : len(lit)-1]
		}
		out = append(out, v)
	}
	return out
}

// yaml returns a gem's metadata in the layout of Gem::Specification#to_yaml.
func (s *gemspec) yaml() string {
	var y strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&y, format+"\n", args...) }
	list := func(key string, values []string) {
		if len(values) == 0 {
			line("%s: []", key)
			return
		}
		line("%s:", key)
		for _, v := range values {
			line("- %q", v)
		}
	}
	line("--- !ruby/object:Gem::Specification")
	line("name: %s", s.name)
	line("version: !ruby/object:Gem::Version\n  version: %s", s.version)
	line("platform: ruby")
	list("authors", s.authors)
	line("autorequire:\nbindir: bin\ncert_chain: []\ndate: 2012-05-09 00:00:00.000000000 Z")
	y.WriteString(s.yamlDependencies())
	line("description: %q", s.description)
	list("email", s.email)
	list("executables", s.executables)
	line("extensions: []\nextra_rdoc_files: []")
	list("files", s.files)
	line("homepage: %q", s.homepage)
	list("licenses", s.licenses)
	line("metadata: {}\npost_install_message:\nrdoc_options: []\nrequire_paths:\n- lib")
	y.WriteString("required_ruby_version: " + yamlRequirement(s.ruby, ""))
	y.WriteString("required_rubygems_version: " + yamlRequirement(nil, ""))
	line("requirements: []\nrubygems_version: 3.3.15\nsigning_key:\nspecification_version: 4")
	line("summary: %q\ntest_files: []", s.summary)
	return y.String()
}

// yamlDependencies is the key dependencies of the metadata.
func (s *gemspec) yamlDependencies() string {
	if len(s.dependencies) == 0 {
		return "dependencies: []\n"
	}
	var y strings.Builder
	y.WriteString("dependencies:\n")
	for _, d := range s.dependencies {
		fmt.Fprintf(&y, "- !ruby/object:Gem::Dependency\n  name: %s\n", d.name)
		y.WriteString("  requirement: " + yamlRequirement(d.requirements, "  "))
		y.WriteString("  type: :runtime\n  prerelease: false\n")
		y.WriteString("  version_requirements: " + yamlRequirement(d.requirements, "  "))
	}
	return y.String()
}

// yamlRequirement writes a Gem::Requirement; none is ">= 0".
func yamlRequirement(requirements []string, indent string) string {
	if len(requirements) == 0 {
		requirements = []string{">= 0"}
	}
	s := "!ruby/object:Gem::Requirement\n" + indent + "  requirements:\n"
	for _, r := range requirements {
		op, version, ok := strings.Cut(r, " ")
		if !ok {
			op, version = "=", r
		}
		s += fmt.Sprintf("%s  - - %q\n%s    - !ruby/object:Gem::Version\n%s      version: '%s'\n", indent, op, indent, indent, version)
	}
	return s
}
