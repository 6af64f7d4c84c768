package rubygems

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/fail"
)

// Spec names one gem of one version.
type Spec struct {
	Name    string
	Version Version
}

// String returns the gem's full name: "facter-1.7.6".
func (s Spec) String() string { return s.Name + "-" + s.Version.String() }

// Metadata is a gem's description of itself, apart from name and version. Every value comes from the gem's author:
// do not trust it.
type Metadata struct {
	Platform string // "ruby", the default; "java", "x86-mingw32"
	// BinDir holds the Executables, relative to the gem: "bin".
	BinDir      string
	Executables []string
	// RequirePaths are the directories of libraries, relative to the gem: "lib".
	RequirePaths []string
	Dependencies []Dependency
	// Extensions are build scripts of native code.
	Extensions         []string
	RequiredRuby       Requirement
	RequiredRubyGems   Requirement
	Authors            []string
	Email              []string
	Licenses           []string
	Summary            string
	Description        string
	Homepage           string
	Date               string // "2013-12-04", or empty
	PostInstallMessage string
	Requirements       []string
	RDocOptions        []string
	ExtraRDocFiles     []string
	CertChain          []string
	Extra              []Pair // the free-form "metadata" of RubyGems 2.0, sorted by key
	SpecVersion        string // of the specification's own format, digits
}

// Dependency is another gem that a gem needs.
type Dependency struct {
	Name        string
	Requirement Requirement
	// Development marks a dependency for developing the gem; it is never installed.
	Development bool
}

// Pair is one key and value of [Metadata.Extra].
type Pair struct{ Key, Value string }

// ErrNotGem is returned for a file that is not a gem, or a damaged one.
var ErrNotGem = fail.New(fail.Verification, "not a gem", "")

var errMetadata = fmt.Errorf("%w: bad specification", ErrNotGem)

// parseYAML reads one YAML document into nodes: tags such as !ruby/object are plain texts, and aliases are not
// expanded. A panic of the library becomes an error of the document.
func parseYAML(b []byte) (doc *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			doc, err = nil, fmt.Errorf("%w: %v", errMetadata, p)
		}
	}()
	var n yaml.Node
	if err := yaml.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("%w: %w", errMetadata, err)
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
		return nil, fmt.Errorf("%w: empty", errMetadata)
	}
	return n.Content[0], nil
}

// parseMetadata decodes the specification of a gem of RubyGems 0.9 to 4.
func parseMetadata(b []byte) (spec Spec, m Metadata, err error) {
	doc, err := parseYAML(b)
	if err != nil {
		return spec, m, err
	}
	spec.Name = textOf(child(doc, "name"))
	if !safeName.MatchString(spec.Name) {
		return spec, m, fmt.Errorf("%w: name %.64q", errMetadata, spec.Name)
	}
	if spec.Version, err = versionOf(child(doc, "version")); err != nil {
		return spec, m, fmt.Errorf("%w: %w", errMetadata, err)
	}
	m = describe(doc)
	if err := m.decodeRules(doc); err != nil {
		return spec, m, fmt.Errorf("%w: %s: %w", errMetadata, spec, err)
	}
	return spec, m, m.check()
}

// describe reads the plain texts.
func describe(doc *yaml.Node) Metadata {
	m := Metadata{
		Platform:           platformOf(child(doc, "platform")),
		BinDir:             textOf(child(doc, "bindir")),
		Executables:        textsOf(child(doc, "executables")),
		RequirePaths:       textsOf(child(doc, "require_paths")),
		Extensions:         textsOf(child(doc, "extensions")),
		Authors:            textsOf(child(doc, "authors")),
		Email:              textsOf(child(doc, "email")),
		Licenses:           textsOf(child(doc, "licenses")),
		Summary:            textOf(child(doc, "summary")),
		Description:        textOf(child(doc, "description")),
		Homepage:           textOf(child(doc, "homepage")),
		Date:               dateForm.FindString(textOf(child(doc, "date"))),
		PostInstallMessage: textOf(child(doc, "post_install_message")),
		Requirements:       textsOf(child(doc, "requirements")),
		RDocOptions:        textsOf(child(doc, "rdoc_options")),
		ExtraRDocFiles:     textsOf(child(doc, "extra_rdoc_files")),
		CertChain:          textsOf(child(doc, "cert_chain")),
		Extra:              pairsOf(child(doc, "metadata")),
		SpecVersion:        textOf(child(doc, "specification_version")),
	}
	if m.BinDir == "" {
		m.BinDir = "bin"
	}
	if len(m.RequirePaths) == 0 {
		m.RequirePaths = []string{"lib"}
	}
	return m
}

// platformOf returns the gem's platform, or "ruby" if the gem names none. RubyGems writes it as a text or as the
// parts of a !ruby/object:Gem::Platform; an object, or any other value, is never "ruby".
func platformOf(n *yaml.Node) string {
	switch {
	case n == nil || n.ShortTag() == "!!null":
		return "ruby"
	case n.Kind == yaml.ScalarNode || child(n, "str") != nil:
		return cmp.Or(textOf(n), "ruby")
	}
	var parts []string
	for _, key := range []string{"cpu", "os", "version"} {
		if part := textOf(child(n, key)); part != "" {
			parts = append(parts, part)
		}
	}
	return cmp.Or(strings.Join(parts, "-"), "unknown")
}

// dateForm is the day at the start of a time; RubyGems stores only the day.
var dateForm = regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])`)

// decodeRules reads requirements and dependencies.
func (m *Metadata) decodeRules(doc *yaml.Node) (err error) {
	if m.RequiredRuby, err = requirement(child(doc, "required_ruby_version")); err != nil {
		return err
	}
	if m.RequiredRubyGems, err = requirement(child(doc, "required_rubygems_version")); err != nil {
		return err
	}
	for _, n := range items(child(doc, "dependencies")) {
		d, err := dependency(n)
		if err != nil {
			return err
		}
		m.Dependencies = append(m.Dependencies, d)
	}
	return nil
}

// safeName is a name that is safe as one part of a path, in Ruby text and in a shell.
var safeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}$`)

// relativeDir is a directory inside a gem, without "..", control characters or blanks at its ends.
var relativeDir = regexp.MustCompile(`^[A-Za-z0-9_.+-]+( *[A-Za-z0-9_.+/-]+)*$`)

// check refuses names that would need quoting in paths, in the "# stub:" line of a specification or in wrappers.
func (m *Metadata) check() error {
	for _, e := range m.Executables {
		if !safeName.MatchString(e) {
			return fmt.Errorf("%w: executable %.64q", errMetadata, e)
		}
	}
	for _, d := range append([]string{m.BinDir}, m.RequirePaths...) {
		if len(d) > 1000 || !relativeDir.MatchString(d) || slices.Contains(strings.Split(d, "/"), "..") {
			return fmt.Errorf("%w: directory %.64q", errMetadata, d)
		}
	}
	if !specVersionForm.MatchString(m.SpecVersion) {
		m.SpecVersion = ""
	}
	return nil
}

var specVersionForm = regexp.MustCompile(`^[0-9]{1,4}$`)

// dependency decodes a !ruby/object:Gem::Dependency. Its requirement was called version_requirements before
// RubyGems 1.3 and version_requirement before 0.9.
func dependency(n *yaml.Node) (d Dependency, err error) {
	d.Name = textOf(child(n, "name"))
	if !safeName.MatchString(d.Name) {
		return d, fmt.Errorf("dependency %.64q", d.Name)
	}
	d.Development = strings.TrimPrefix(textOf(child(n, "type")), ":") == "development"
	for _, key := range []string{"requirement", "version_requirements", "version_requirement"} {
		if r := child(n, key); r != nil && r.Kind == yaml.MappingNode {
			if d.Requirement, err = requirement(r); err != nil {
				err = fmt.Errorf("dependency %s: %w", d.Name, err)
			}
			return d, err
		}
	}
	return d, nil
}

// requirement decodes a !ruby/object:Gem::Requirement: pairs of operator and version.
func requirement(n *yaml.Node) (Requirement, error) {
	var conditions []string
	for _, pair := range items(child(n, "requirements")) {
		parts := items(pair)
		if len(parts) != 2 {
			return Requirement{}, errors.New("a requirement is not a pair")
		}
		v, err := versionOf(parts[1])
		if err != nil {
			return Requirement{}, err
		}
		op := textOf(parts[0])
		if strings.Contains(parts[0].Tag, "DefaultKey") || strings.Contains(op, "DefaultKey") {
			op = "=" // Syck, the YAML library of Ruby 1.8, wrote "=" as an object
		}
		if op == "" {
			return Requirement{}, errors.New("a requirement has no operator")
		}
		conditions = append(conditions, op+" "+v.String())
	}
	return ParseRequirement(conditions...)
}

// versionOf decodes a !ruby/object:Gem::Version, or its plain text.
func versionOf(n *yaml.Node) (Version, error) {
	if inner := child(n, "version"); inner != nil {
		n = inner
	}
	return ParseVersion(textOf(n))
}

// child returns the value of a key in a mapping, or nil. The last duplicate wins, as in Ruby.
func child(n *yaml.Node, key string) *yaml.Node {
	n = deref(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := len(n.Content) - 2; i >= 0; i -= 2 {
		if k := deref(n.Content[i]); k.Kind == yaml.ScalarNode && k.Value == key {
			return deref(n.Content[i+1])
		}
	}
	return nil
}

func deref(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// items returns the members of a sequence.
func items(n *yaml.Node) []*yaml.Node {
	n = deref(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, 0, len(n.Content))
	for _, c := range n.Content {
		out = append(out, deref(c))
	}
	return out
}

// textOf returns a scalar as UTF-8. Syck wrote strings with instance variables as a mapping with the key "str", and
// non-ASCII strings as !binary.
func textOf(n *yaml.Node) string {
	n = deref(n)
	if s := child(n, "str"); s != nil {
		n = s
	}
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	s := n.Value
	if n.Tag == "!binary" || n.Tag == "!!binary" {
		if b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), "")); err == nil {
			s = string(b)
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// textsOf returns the scalars of a sequence, or a single scalar in its place. It flattens one level of nested
// sequences, because some authors wrote [["lib"]], and drops empty scalars.
func textsOf(n *yaml.Node) []string {
	n = deref(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		if s := textOf(n); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	for _, c := range items(n) {
		for _, inner := range append([]*yaml.Node{c}, items(c)...) {
			if s := textOf(inner); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

// pairsOf returns the texts of a mapping, sorted by key.
func pairsOf(n *yaml.Node) []Pair {
	n = deref(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []Pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := textOf(n.Content[i]); k != "" {
			out = append(out, Pair{k, textOf(n.Content[i+1])})
		}
	}
	slices.SortStableFunc(out, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return out
}
