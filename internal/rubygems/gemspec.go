package rubygems

import (
	"fmt"
	"strings"
)

// gemspec returns the Ruby text of specifications/<full name>.gemspec, which RubyGems evaluates to
// learn what is installed. RubyGems 1.8 reads it as today's does: attributes that came later are
// guarded, and the "# stub:" line, which lets RubyGems since 2.2 skip the evaluation, is a comment to
// older ones. The list of files is left out, as `gem install` leaves it out.
//
// Every text of the gem goes through [rubyString], so that none of it is ever Ruby code.
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

// attributes returns the setters of a specification and their values as Ruby text. Those that are
// empty keep RubyGems' defaults.
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

// rubyString returns s as a double-quoted Ruby literal of printable ASCII. "#" is escaped, so that
// "#{", "#$" and "#@" interpolate nothing; all other bytes become octal escapes, which every Ruby
// reads alike, and which in a source of UTF-8 give a string of UTF-8.
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

// rubyHash writes pairs, which are sorted; of two with one key the last wins, as in Ruby.
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
