package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

// parsed reads a configuration that must be valid.
func parsed(t testing.TB, name, text string) Config {
	t.Helper()
	c, err := Parse(name, []byte(text))
	testkit.Must(t, err)
	return c
}

func TestDefaultIsTheDocumentsList(t *testing.T) {
	c := Default()
	testkit.Must(t, c.Validate())
	want := []string{"ruby", "bash", "dmidecode", "lshw", "scsi-KERNEL", "libssl-0.9.8", "firmware-bnx2"}
	if !reflect.DeepEqual(c.Extensions, want) {
		t.Errorf("extensions %q, want %q", c.Extensions, want)
	}
	if c.Release != "4.5.2" || c.RubyGems.Version != "1.8.15" || c.MCollective.Version != "1.2.1" {
		t.Errorf("release %s, RubyGems %s, MCollective %s", c.Release, c.RubyGems.Version, c.MCollective.Version)
	}
	if len(c.MCollective.URL) < 2 || len(c.RubyGems.URL) < 2 {
		t.Error("old hosts die: more than one source is wanted")
	}
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name, text string
		want       string // of the error; empty: none
		check      func(Config) bool
	}{
		{"empty file", "", "", func(c Config) bool { return c.Release == "4.5.2" }},
		{"unknown key", "release: 4.5.2\nmirors: [x]\n", `mk.yaml:2: unknown key "mirors"`, nil},
		{"unknown nested key", "boot:\n  apend: x\n", `mk.yaml:2: unknown key "apend"`, nil},
		{"wrong type", "initrd:\n  level: high\n", "mk.yaml:2: ", nil},
		{"syntax", "a: [\n", "mk.yaml", nil},
		{"two documents", "release: 4.5.2\n---\nrelease: 5.0\n", "more than one document", nil},
		{"number stays text", "release: 5.0\nimage: {version: 1.10}\n", "", func(c Config) bool { return c.Release == "5.0" && c.Image.Version == "1.10" }},
		{"null leaves out", "mcollective: null\nrubygems: null\n", "", func(c Config) bool { return c.MCollective == nil && c.RubyGems == nil }},
		{"version keeps the sources", "rubygems: {version: 1.8.24}\n", "", func(c Config) bool {
			return strings.HasSuffix(c.RubyGems.Sources()[0], "rubygems-1.8.24.tgz")
		}},
		{"one url", "rubygems: {url: http://h/x.tgz}\n", "", func(c Config) bool { return c.RubyGems.Sources()[0] == "http://h/x.tgz" }},
		{"relative paths", "mirrors: [mirror]\noverlay: [{source: files, target: /}]\n", "", func(c Config) bool {
			return c.Mirrors[0] == filepath.Join(dir, "mirror") && c.Overlay[0].Source == filepath.Join(dir, "files")
		}},
		{"bad value form", "mcollective: {server: {a: {vault: x}}}\n", "want file or env", nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Parse(filepath.Join(dir, "mk.yaml"), []byte(tc.text))
			if tc.want != "" {
				if fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), tc.want) || fail.HintOf(err) == "" {
					t.Fatalf("error %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil || !tc.check(c) {
				t.Fatalf("err %v, config %+v", err, c)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"release", func(c *Config) { c.Release = "../x" }, "release"},
		{"arch", func(c *Config) { c.Arch = "arm" }, `config arch: unknown value "arm"`},
		{"profile", func(c *Config) { c.Profile = "production" }, `config profile: unknown value "production"`},
		{"git describe version", func(c *Config) { c.Image.Version = "0.12.0+14-g32aa62f" }, "not a version that Razor can sort"},
		{"octal version", func(c *Config) { c.Image.Version = "1.08" }, "not a version that Razor can sort"},
		{"four digits", func(c *Config) { c.Image.Version = "1.2015" }, "not a version that Razor can sort"},
		{"too long for the volume id", func(c *Config) { c.Image.Version = "1.2.3.4.5.6.7.8.9.10.11.12" }, "not a version that Razor can sort"},
		{"append with a newline", func(c *Config) { c.Boot.Append = "a\nb" }, "line break"},
		{"append with an initrd", func(c *Config) { c.Boot.Append = "quiet INITRD=/x.gz" }, "another initrd"},
		{"unpinned gem", func(c *Config) { c.Gems.Install = []Gem{{Name: "x"}} }, "unpinned"},
		{"gem twice", func(c *Config) { c.Gems.Install = append(c.Gems.Install, c.Gems.Install[0]) }, "twice"},
		{"no mirror", func(c *Config) { c.Mirrors = nil }, "no mirror"},
		{"overlay owner", func(c *Config) { c.Overlay = []UserFiles{{Source: "a", Target: "/", Owner: "tc:staff"}} }, "uid:gid"},
		{"overlay target", func(c *Config) { c.Overlay = []UserFiles{{Source: "a", Target: "etc"}} }, "absolute"},
		{"extension name", func(c *Config) { c.Extensions = []string{"../../etc"} }, "not an extension"},
		{"sum", func(c *Config) { c.RubyGems.SHA256 = "abc" }, "64 hex"},
		{"a compressor that is gone", func(c *Config) { c.Initrd.Compress = "best" }, "always packed with gzip"},
		{"an edition of the other architecture", func(c *Config) { c.Edition = "TinyCorePure64" }, "TinyCorePure64 does not exist for x86"},
		{"an edition of the other architecture, x86_64", func(c *Config) { c.Arch, c.Edition = "x86_64", "CorePlus" }, "CorePlus does not exist for x86_64"},
		{"no such edition", func(c *Config) { c.Edition = "Micro" }, `config edition: unknown value "Micro"`},
		{"an edition and an ISO", func(c *Config) { c.Edition, c.ISO = "Core", &ISO{URL: "a.iso"} }, "iso and edition cannot be combined"},
		{"an ISO from anywhere", func(c *Config) { c.ISO = &ISO{URL: "HTTPS://h/a.iso"} }, "has no sha256"},
		{"an ISO from nowhere", func(c *Config) { c.ISO = &ISO{SHA256: strings.Repeat("a", 64)} }, "no file and no URL"},
		{"an ISO's sum", func(c *Config) { c.ISO = &ISO{URL: "a.iso", SHA256: "x"} }, "64 hex"},
		{"neither kept nor dropped", func(c *Config) { c.CDE = "yes" }, `config cde: unknown value "yes"`},
		{"an empty alternative", func(c *Config) { c.Extensions = []string{"ruby | | ruby-2.2"} }, `"" is not an extension's name`},
		{"nothing before the last", func(c *Config) { c.Extensions = []string{"ruby | - | ruby-2.2"} }, `"-" is not an extension's name`},
		{"nothing alone", func(c *Config) { c.Extensions = []string{"-"} }, `"-" is not an extension's name`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := Default()
			tc.edit(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	v := Text("klot")
	js, _ := json.Marshal(struct{ S Secret }{v.text})
	for _, s := range []string{fmt.Sprint(v), fmt.Sprintf("%+v %#v %s %q", v, v, v.text, v.text), string(js)} {
		if strings.Contains(s, "klot") {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestValueSources(t *testing.T) {
	c := parsed(t, "x.yaml", "mcollective: {server: {a: plain, b: {env: B}, c: {file: c.txt}, d: null, e: {env: NONE}}}")
	src := Sources{
		ReadFile: func(string) ([]byte, error) { return []byte("from file\r\n"), nil },
		Getenv:   func(k string) string { return map[string]string{"B": "from env"}[k] },
	}
	for key, want := range map[string]string{"a": "plain", "b": "from env", "c": "from file"} {
		if s, err := c.MCollective.Server[key].Resolve(src); err != nil || s.Reveal() != want {
			t.Errorf("%s: %q, %v", key, s.Reveal(), err)
		}
	}
	if v, ok := c.MCollective.Server["d"]; !ok || v != nil {
		t.Error("null does not remove the key")
	}
	if _, err := c.MCollective.Server["e"].Resolve(src); err == nil {
		t.Error("an empty variable is not an error")
	}
}

func TestNames(t *testing.T) {
	c := Default()
	if got := c.ISOName(); got != "rz_mk_prod-image.0.1.0.iso" {
		t.Error(got)
	}
	c.Profile = "dev"
	all := c.AllExtensions()
	if all[len(all)-1] != "openssh" {
		t.Error("dev has no openssh")
	}
	c.Extensions = append(c.Extensions, "openssh.tcz")
	if got := len(c.AllExtensions()); got != len(c.Extensions) {
		t.Error("openssh twice")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Template)
	f.Add([]byte("mcollective: {server: {a: {env: B}}}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, err := Parse("f.yaml", b); err == nil {
			_ = c.Validate()
		}
	})
}

func ExampleDefault() {
	c := Default()
	fmt.Println(c.ISOName())
	// Output: rz_mk_prod-image.0.1.0.iso
}

func TestExtensionNames(t *testing.T) {
	for _, bad := range []string{"", ".tcz", "-x", "../x", "a..b", "a/b", "a b", strings.Repeat("a", 200)} {
		for where, edit := range map[string]func(*Config){
			"extensions": func(c *Config) { c.Extensions = []string{"ruby", bad} },
			"missing":    func(c *Config) { c.Missing = []string{bad} },
			"pick":       func(c *Config) { c.Picks = []Pick{{bad, []string{"bin/x"}}} },
		} {
			c := Default()
			edit(&c)
			if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "config "+where+": ") {
				t.Errorf("%s: %q: %v", where, bad, err)
			}
		}
	}
	c := parsed(t, "mk.yaml", "missing: [mktemp, scsi-KERNEL, a.tcz]\n")
	testkit.Must(t, c.Validate())
}

func TestISO(t *testing.T) {
	for _, tc := range []struct{ text, url, name string }{
		{"iso: my.iso", "/cfg/my.iso", "my.iso"},
		{"iso: {url: 'https://h/a/Core%20x..y.iso?v=1', sha256: abc}", "https://h/a/Core%20x..y.iso?v=1", "Core_20x_y.iso"},
		{"iso: {url: ' .hidden '}", "/cfg/ .hidden ", "_.hidden_.iso"},
		{"iso: ~/-.-", "~/-.-", "base.iso"},
		{"iso: " + strings.Repeat("a", 300), "/cfg/" + strings.Repeat("a", 300), strings.Repeat("a", 200) + ".iso"},
		{"iso: null", "", ""},
	} {
		c, err := Parse("/cfg/mk.yaml", []byte(tc.text))
		switch {
		case err != nil:
			t.Errorf("%s: %v", tc.text, err)
		case tc.url == "":
			if c.ISO != nil {
				t.Errorf("%s: %+v", tc.text, c.ISO)
			}
		case filepath.ToSlash(c.ISO.URL) != tc.url || c.ISO.Name() != tc.name:
			t.Errorf("%s: %+v is called %s", tc.text, c.ISO, c.ISO.Name())
		}
	}
	for _, text := range []string{"iso: {url: a, md5: b}", "iso: [a]", "iso: {url: [a]}"} {
		if _, err := Parse("mk.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "config mk.yaml:1: ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
