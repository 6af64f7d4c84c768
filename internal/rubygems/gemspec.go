package rubygems

import (
	"fmt"
	"strings"
)

// gemspec returns the Ruby text of specifications/<full name>.gemspec, which RubyGems evaluates to learn the
// installed gems. All RubyGems from 1.8 on can read it: later attributes are guarded, and the "# stub:" line, with
// which RubyGems since 2.2 skips the evaluation, is a comment in older versions. The list of files is omitted, as
// in `gem install`.
//
// Every text of the gem passes through [rubyString], so that it never becomes Ruby code.
func (g *Gem) gemspec() []byte {
	m := &g.Metadata
	var b strings.Builder
	b.WriteString("# -*- encoding: utf-8 -*-\n")
	fmt.Fprintf(&b, "# stub: %s %s ruby %s\n\n", g.Name, g.Version, strings.Join(m.RequirePaths, "\x00"))
	b.WriteString("Gem::Specification.new do |s|\n")
	fmt.Fprintf(&b, "  s.name = %s\n", rubyString(g.Name))
	fmt.Fprintf(&b, "  s.version = %s\n\n", rubyString(g.Version.String()))
	for _, a := range m.attributes() {
		fmt.Fprintf(&b, "  s.%s = %s if s.respond_to? :%s=\n", a.Key, a.Value, a.Key)
	}
	for _, d := range m.Dependencies {
		kind := "add_dependency"
		if d.Development {
			kind = "add_development_dependency"
		}
		fmt.Fprintf(&b, "  s.%s(%s, %s)\n", kind, rubyString(d.Name), rubyStrings(d.Requirement.list()))
	}
	b.WriteString("end\n")
	return []byte(b.String())
}

// attributes returns the setters of a specification and their values as Ruby text. Empty values keep RubyGems'
// defaults.
func (m *Metadata) attributes() []Pair {
	out := []Pair{{"require_paths", rubyStrings(m.RequirePaths)}}
	add := func(key, ruby string, set bool) {
		if set {
			out = append(out, Pair{key, ruby})
		}
	}
	list := func(key string, values []string) { add(key, rubyStrings(values), len(values) > 0) }
	one := func(key, value string) { add(key, rubyString(value), value != "") }
	rule := func(key string, r Requirement) {
		add(key, "Gem::Requirement.new("+rubyStrings(r.list())+")", true)
	}
	rule("required_rubygems_version", m.RequiredRubyGems) // setting a prerelease version changed it
	rule("required_ruby_version", m.RequiredRuby)
	list("authors", m.Authors)
	one("bindir", m.BinDir)
	list("cert_chain", m.CertChain)
	one("date", m.Date)
	one("description", m.Description)
	if len(m.Email) == 1 {
		one("email", m.Email[0])
	} else {
		list("email", m.Email)
	}
	list("executables", m.Executables)
	list("extra_rdoc_files", m.ExtraRDocFiles)
	one("homepage", m.Homepage)
	list("licenses", m.Licenses)
	add("metadata", rubyHash(m.Extra), len(m.Extra) > 0)
	one("post_install_message", m.PostInstallMessage)
	list("rdoc_options", m.RDocOptions)
	list("requirements", m.Requirements)
	add("specification_version", m.SpecVersion, m.SpecVersion != "")
	one("summary", m.Summary)
	return out
}

// rubyString returns s as a double-quoted Ruby literal of printable ASCII. "#" is escaped, so that "#{", "#$" and
// "#@" interpolate nothing. All other bytes become octal escapes, which every Ruby reads alike; in a UTF-8 source
// they give a UTF-8 string.
func rubyString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '#':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < 0x20 || c > 0x7e:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func rubyStrings(values []string) string {
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		quoted = append(quoted, rubyString(v))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// rubyHash writes sorted pairs; the last value of a duplicate key wins, as in Ruby.
func rubyHash(all []Pair) string {
	parts := make([]string, 0, len(all))
	for i, p := range all {
		if i+1 < len(all) && all[i+1].Key == p.Key {
			continue
		}
		parts = append(parts, rubyString(p.Key)+" => "+rubyString(p.Value))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}
