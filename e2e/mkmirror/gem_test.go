package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

const gemspecText = `Gem::Specification.new do |s|
  s.name = "thing".freeze
  s.version = "1.2.1"
  s.authors = ["Jos\u00E9 \"J\" V".freeze, "Other".freeze]
  s.description = "Line one.\n  Line two: with colon".freeze
  s.email = "a@example.org".freeze
  s.executables = ["thing".freeze]
  s.homepage = "http://example.org/".freeze
  s.licenses = ["MIT".freeze]
  s.required_ruby_version = Gem::Requirement.new([">= 2.5".freeze, "< 4.0".freeze])
  s.summary = "A thing".freeze
  if s.respond_to? :add_runtime_dependency then
    s.add_development_dependency(%q<rake>.freeze, ["~> 12.3"])
    s.add_runtime_dependency(%q<hocon>.freeze, ["~> 1.3"])
    s.add_runtime_dependency(%q<thor>.freeze, [">= 1.0.1", "< 2.0"])
  else
    s.add_dependency(%q<rake>.freeze, ["~> 12.3"])
  end
end
`

func TestParseGemspec(t *testing.T) {
	s := parseGemspec(gemspecText)
	if s.name != "thing" || s.version != "1.2.1" || s.summary != "A thing" || s.description != "Line one.\n  Line two: with colon" {
		t.Errorf("got %+v", s)
	}
	if !slices.Equal(s.authors, []string{`José "J" V`, "Other"}) || !slices.Equal(s.ruby, []string{">= 2.5", "< 4.0"}) {
		t.Errorf("got authors %q, ruby %q", s.authors, s.ruby)
	}
	if len(s.dependencies) != 2 || s.dependencies[1].name != "thor" || !slices.Equal(s.dependencies[1].requirements, []string{">= 1.0.1", "< 2.0"}) {
		t.Errorf("got dependencies %+v", s.dependencies)
	}
	if empty := parseGemspec(""); empty.name != "" || empty.dependencies != nil {
		t.Errorf("got %+v out of nothing", empty)
	}
}

// RubyGems itself reads and installs the gem of writeGem.
func TestWriteGemIsReadByRubyGems(t *testing.T) {
	testkit.Tool(t, "ruby")
	s := parseGemspec(gemspecText)
	s.dependencies = nil
	files := &overlay.Tree{}
	for _, e := range []overlay.Entry{
		overlay.File("lib/thing.rb", 0o644, []byte("THING = 1\n")),
		overlay.File("bin/thing", 0o755, []byte("#!/usr/bin/env ruby\nputs 1\n")),
	} {
		testkit.Must(t, files.Put(e))
		s.files = append(s.files, e.Path)
	}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		testkit.Must(t, writeGem(w, s, files))
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two gems of the same files differ")
	}
	dir := t.TempDir()
	gem := filepath.Join(dir, "thing-1.2.1.gem")
	testkit.Must(t, os.WriteFile(gem, first.Bytes(), 0o644))
	out := testkit.Run(t, "ruby", "-rrubygems/package", "-e", `
		pkg = Gem::Package.new(ARGV[0]); pkg.verify; s = pkg.spec
		puts s.full_name, s.authors.inspect, s.required_ruby_version, pkg.contents.sort.inspect, s.executables.inspect, s.description`, gem)
	for _, want := range []string{"thing-1.2.1\n", `["José \"J\" V", "Other"]`, "< 4.0", `["bin/thing", "lib/thing.rb"]`, `["thing"]`, "Line two: with colon"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestYAMLDependencies(t *testing.T) {
	testkit.Tool(t, "ruby")
	s := parseGemspec(gemspecText)
	file := filepath.Join(t.TempDir(), "metadata")
	testkit.Must(t, os.WriteFile(file, []byte(s.yaml()), 0o644))
	out := testkit.Run(t, "ruby", "-e", `s = Gem::Specification.from_yaml(File.read(ARGV[0], encoding: "utf-8"))
		puts s.runtime_dependencies.map(&:to_s), s.runtime_dependencies.map(&:requirement).inspect`, file)
	for _, want := range []string{"hocon (~> 1.3)", "thor (>= 1.0.1, < 2.0)"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}
