package rubygems

import (
	"archive/tar"
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// syckMetadata is metadata of RubyGems 1.8 on Ruby 1.8, with the oddities of its YAML library.
const syckMetadata = `--- !ruby/object:Gem::Specification 
name: stomp
version: !ruby/object:Gem::Version 
  hash: 19
  prerelease: 
  segments: 
  - 1
  - 10
  version: 1.10
platform: ruby
authors: 
- Brian McCallister
- !binary |
  SsO2cmc=

- !str 
  str: Thiago Morello
  "@x": 1
autorequire: 
bindir: bin
cert_chain: []

date: 2011-12-04 00:00:00 -08:00
default_executable: 
dependencies: 
- !ruby/object:Gem::Dependency 
  name: rspec
  prerelease: false
  requirement: &id001 !ruby/object:Gem::Requirement 
    none: false
    requirements: 
    - - ">="
      - !ruby/object:Gem::Version 
        hash: 3
        segments: 
        - 0
        version: "0"
    - - !ruby/object:YAML::Syck::DefaultKey {}

      - &id002 !ruby/object:Gem::Version 
        version: "2.1"
  type: :development
  version_requirements: *id001
- !ruby/object:Gem::Dependency 
  name: old
  version_requirement: 
  version_requirements: !ruby/object:Gem::Requirement 
    requirements: 
    - - "~>"
      - *id002
    version: 
description: "Ruby client for the Stomp messaging protocol\n#{` + "`id`" + `}"
email: 
- brianm@apache.org
executables: 
- catstomp
- stompcat
extensions: []

homepage: https://rubygems.org/gems/stomp
licenses: []

post_install_message: 
rdoc_options: 
- --main
- README.rdoc
require_paths: 
- - lib
required_ruby_version: !ruby/object:Gem::Requirement 
  requirements: 
  - - ">="
    - !ruby/object:Gem::Version 
      version: 1.8.5
rubyforge_project: stomp
specification_version: 3
summary: Ruby client
`

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	g, m, err := parseMetadata([]byte(syckMetadata))
	testkit.Must(t, err)
	got := fmt.Sprintf("%s|%s|%q|%s|%q|%q|%s|%s|%q|%s", g, m.Platform, m.Authors, m.Date, m.Executables, m.RequirePaths,
		m.RequiredRuby, m.SpecVersion, m.Description, m.PostInstallMessage)
	want := `stomp-1.10|ruby|["Brian McCallister" "Jörg" "Thiago Morello"]|2011-12-04|["catstomp" "stompcat"]|["lib"]|` +
		`>= 1.8.5|3|"Ruby client for the Stomp messaging protocol\n#{` + "`id`" + `}"|`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	deps := fmt.Sprintf("%v", m.Dependencies)
	if want := "[{rspec >= 0, = 2.1 true} {old ~> 2.1 false}]"; deps != want {
		t.Errorf("dependencies: got %s, want %s", deps, want)
	}
}

func TestParseMetadataErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"empty":            "",
		"scalar":           "--- foo",
		"no YAML":          "--- [",
		"bomb":             "a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
		"no name":          strings.Replace(meta("x", "1"), "name: x", "nom: x", 1),
		"path as name":     meta("../../etc/x", "1"),
		"hidden name":      meta(".x", "1"),
		"quote in name":    meta("x'y", "1"),
		"newline in name":  meta(`"x\ny"`, "1"),
		"no version":       meta("x", ""),
		"path as version":  meta("x", "1/../../etc"),
		"version is a map": strings.Replace(meta("x", "1"), "  version: '1'", "  version: {a: b}", 1),
		"executable":       meta("x", "1", "executables: [\"../x\"]"),
		"executable quote": meta("x", "1", `executables: ["x'+system('id')+'"]`),
		"bindir":           meta("x", "1", "bindir: ../../bin"),
		"require path":     meta("x", "1", `require_paths: ["lib\n#{exit}"]`),
		"absolute path":    meta("x", "1", `require_paths: ["/etc"]`),
		"dependency":       meta("x", "1", dep(`"y z"`, ">=", "0")),
		"operator":         meta("x", "1", dep("y", "=>", "0")),
		"operand":          meta("x", "1", dep("y", ">=", "0;x")),
		"lonely operator":  meta("x", "1", "required_ruby_version:\n  requirements:\n  - - '='\n"),
	}
	for name, text := range tests {
		if g, _, err := parseMetadata([]byte(text)); !errors.Is(err, ErrNotGem) {
			t.Errorf("%s: got %v, %v, want ErrNotGem", name, g, err)
		}
	}
}

func TestReadGem(t *testing.T) {
	t.Parallel()
	g := mustGem(t, meta("demo", "1.2", "bindir: bin", "executables: [demo]"),
		gemFile{name: "lib/demo.rb", content: "x", mode: 0o600},
		gemFile{name: "bin/demo", content: "y", mode: 0o6775},
		gemFile{name: "doc/", kind: tar.TypeDir, mode: 0o700},
		gemFile{name: "lib/alias.rb", kind: tar.TypeSymlink, link: "../lib/demo.rb"})
	want := "f 0755 0:0 bin/demo\nd 0755 0:0 doc\nl 0777 0:0 lib/alias.rb\nf 0644 0:0 lib/demo.rb\n"
	if got := listing(g.Files); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if g.String() != "demo-1.2" || g.MTime != 1386115200 || g.Metadata.BinDir != "bin" {
		t.Errorf("got %+v", g)
	}
	if err := g.Match("demo", "1.2"); err != nil {
		t.Error(err)
	}
	err := g.Match("demo", "1.3")
	if fail.ClassOf(err) != fail.Verification || err.Error() != "read test.gem: it holds the gem demo-1.2, wanted demo-1.3" || fail.HintOf(err) == "" {
		t.Errorf("got %v, want both gems named", err)
	}
}

func TestReadGemWithoutChecksums(t *testing.T) {
	t.Parallel()
	raw := outer(t, member{"data.tar.gz", gz(t, tarOf(t, []gemFile{{name: "lib/x.rb"}}))}, member{"data.tar.gz.sig", []byte("s")},
		member{"metadata.gz", gz(t, []byte(syckMetadata))})
	g, err := ReadGem(bytes.NewReader(raw), "stomp.gem")
	if err != nil || g.Files.Len() != 1 {
		t.Fatalf("got %v, %v", g, err)
	}
}

func TestReadGemErrors(t *testing.T) {
	t.Parallel()
	good := gz(t, []byte(meta("x", "1")))
	data := gz(t, tarOf(t, []gemFile{{name: "lib/x.rb"}}))
	m, d := member{"metadata.gz", good}, member{"data.tar.gz", data}
	sums := func(text string) member { return member{"checksums.yaml.gz", gz(t, []byte(text))} }
	tests := []struct {
		name string
		raw  []byte
		want error
	}{
		{"empty", nil, ErrNotGem},
		{"web page", []byte("<!DOCTYPE html><html>404"), ErrNotGem},
		{"old format", []byte("MD5SUM = \"0\"\n__END__\n"), ErrNotGem},
		{"no tar", bytes.Repeat([]byte("x"), 2048), ErrNotGem},
		{"no data", outer(t, m), ErrNotGem},
		{"no metadata", outer(t, d), ErrNotGem},
		{"metadata twice", outer(t, m, d, m), ErrNotGem},
		{"metadata no gzip", outer(t, member{"metadata.gz", []byte("name: x")}, d), ErrNotGem},
		{"metadata cut", outer(t, member{"metadata.gz", good[:len(good)-9]}, d), ErrNotGem},
		{"data no tar", outer(t, m, member{"data.tar.gz", gz(t, []byte("hello"))}), ErrNotGem},
		{"data cut", outer(t, m, member{"data.tar.gz", data[:len(data)-9]}), ErrNotGem},
		{"cut", outer(t, m, d)[:700], ErrNotGem},
		{"wrong sum", outer(t, m, d, sums("SHA256: {metadata.gz: '00', data.tar.gz: '00'}")), ErrChecksum},
		{"no sum", outer(t, m, d, sums("SHA1: {metadata.gz: '00', data.tar.gz: '00'}")), ErrChecksum},
		{
			"one sum", outer(t, m, d, sums(fmt.Sprintf("SHA512: {metadata.gz: '%x'}", sha512.Sum512(good)))), ErrChecksum,
		},
		{"too much metadata", outer(t, member{"metadata.gz", gz(t, make([]byte, maxMetadata+1))}, d), overlay.ErrLimit},
		{"escape", gemBytes(t, meta("x", "1"), []gemFile{{name: "../x"}}), overlay.ErrPath},
		{"link out", gemBytes(t, meta("x", "1"), []gemFile{{name: "a/l", kind: tar.TypeSymlink, link: "../../x"}}), overlay.ErrPath},
		{"device", gemBytes(t, meta("x", "1"), []gemFile{{name: "d", kind: tar.TypeChar}}), overlay.ErrType},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g, err := ReadGem(bytes.NewReader(tc.raw), "bad.gem")
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), "bad.gem") {
				t.Errorf("got %v, %v, want %v naming bad.gem", g, err, tc.want)
			}
		})
	}
}

func TestReadGemRefusals(t *testing.T) {
	t.Parallel()
	on := func(platform string) string {
		return strings.Replace(meta("a", "1"), "platform: ruby", "platform: "+platform, 1)
	}
	for text, want := range map[string]string{
		on("!ruby/object:Gem::Platform\n  cpu:\n  os: java\n  version:"):            `platform "java"`,
		on("!ruby/object:Gem::Platform {cpu: x86, os: mingw32, version: null}"):     `platform "x86-mingw32"`,
		on("!ruby/object:Gem::Platform {cpu: universal, os: darwin, version: '9'}"): `platform "universal-darwin-9"`,
		on("!ruby/object:Gem::Platform {}"):                                         `platform "unknown"`,
		on("[java]"):                                                                `platform "unknown"`,
		"x-base: &p !ruby/object:Gem::Platform {os: java}\n" + strings.TrimPrefix(on("*p"), "--- !ruby/object:Gem::Specification\n"): `platform "java"`,
		meta("json", "1.8", "extensions: [ext/json/extconf.rb]"):                                                                     "gem json-1.8 has a native extension (ext/json/extconf.rb)",
		strings.Replace(meta("facter", "2.4.6"), "platform: ruby", "platform: universal-darwin", 1):                                  `gem facter-2.4.6 is built for platform "universal-darwin"`,
	} {
		_, err := ReadGem(bytes.NewReader(gemBytes(t, text, nil)), "x.gem")
		if fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), want) || fail.HintOf(err) == "" {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestReadGemOfEveryPlatform reads all forms of a gem without a required platform.
func TestReadGemOfEveryPlatform(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"ruby", "''", "", "~", "!str {str: ruby}"} {
		g := mustGem(t, strings.Replace(meta("a", "1"), "platform: ruby", "platform: "+platform, 1))
		if g.Metadata.Platform != "ruby" {
			t.Errorf("platform %s: got %q", platform, g.Metadata.Platform)
		}
	}
}

func FuzzReadGem(f *testing.F) {
	f.Add(gemBytes(f, meta("x", "1", "executables: [x]"), []gemFile{{name: "bin/x", content: "#!/usr/bin/ruby -w\n"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ReadGem(bytes.NewReader(b), "fuzz.gem")
		if err == nil && g.Files.Len() > maxGemFiles {
			t.Errorf("%d files", g.Files.Len())
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(syckMetadata))
	f.Add([]byte(meta("x", "1", dep("y", "~>", "2"))))
	f.Add([]byte("a: &a\n  version: *a\nname: *a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, m, err := parseMetadata(b)
		if err != nil {
			return
		}
		g := &Gem{Spec: s, Metadata: m}
		spec := g.gemspec()
		if n := bytes.Count(spec, []byte("\n")); n > 40+len(g.Metadata.Dependencies) {
			t.Errorf("a text of the gem broke out of its line:\n%s", spec)
		}
	})
}
