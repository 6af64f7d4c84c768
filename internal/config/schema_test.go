package config

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"mkbuild/e2e/testkit"
)

// validator runs another program on the schema.
func validator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := Schema()
	testkit.Must(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	testkit.Must(t, err)
	c := jsonschema.NewCompiler()
	testkit.Must(t, c.AddResource("mkbuild.schema.json", doc))
	s, err := c.Compile("mkbuild.schema.json")
	testkit.Must(t, err)
	return s
}

func value(t *testing.T, text string) any {
	t.Helper()
	var v any
	testkit.Must(t, yaml.Unmarshal([]byte(text), &v))
	return v
}

func TestSchemaIsCurrent(t *testing.T) {
	want, err := Schema()
	testkit.Must(t, err)
	got, err := os.ReadFile("../../docs/mkbuild.schema.json")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/mkbuild.schema.json is not what the code says (%v): go run ./cmd/mkbuild schema >docs/mkbuild.schema.json", err)
	}
}

// The template, and every piece of mkbuild.yaml in README and docs, is also valid in an editor.
func TestSchemaTakesOurFiles(t *testing.T) {
	s := validator(t)
	if err := s.Validate(value(t, string(Template))); err != nil {
		t.Errorf("default.yaml: %v", err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	testkit.Must(t, err)
	blocks := 0
	for _, name := range append(pages, "../../README.md") {
		if filepath.Base(name) == "rules.md" {
			continue // its yaml is a file of rules for serve
		}
		b, err := os.ReadFile(name)
		testkit.Must(t, err)
		for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(b, -1) {
			blocks++
			if err := s.Validate(value(t, string(m[1]))); err != nil {
				t.Errorf("%s: %s\n%v", name, m[1], err)
			}
			if _, err := Parse(name, m[1]); err != nil {
				t.Errorf("%s: %s\n%v", name, m[1], err)
			}
		}
	}
	if blocks < 3 {
		t.Errorf("only %d blocks of yaml found", blocks)
	}
}

// The schema accepts everything that mkbuild accepts, and both refuse a wrong form.
func TestSchemaAgreesWithParse(t *testing.T) {
	s := validator(t)
	for _, tc := range []struct {
		text string
		ok   bool
	}{
		{"", true},
		{"release: 4.5", true},
		{"release: 4.5.2\nextensions:\n", true},
		{"extensions: [bash, scsi-KERNEL]", true},
		{"mirrors: /srv/tinycore", true},
		{"mirrors: [a, b]", true},
		{"rubygems: null\nmcollective: ~\ngems: {install: []}", true},
		{"mcollective: {server: {plugin.psk: {env: MCO_PSK}, a: 1, b: null, c: {file: x}}}", true},
		{"client: {settings: {interval: 15, verify: true}}", true},
		{"boot: {timeout: null}", true},
		{"overlay: [{source: files, target: /, owner: '0:0'}]", true},
		{"iso: my.iso", true},
		{"iso: {url: my.iso}\ncde: drop\nedition: ''", true},
		{"iso: null", true},
		{"iso: {url: my.iso, md5: x}", false},
		{"iso: [my.iso]", false},
		{"profil: dev", false},
		{"boot: {apend: x}", false},
		{"overlay: [{from: x, target: /}]", false},
		{"gems: {install: [{name: a, version: 1, sha: x}]}", false},
		{"mcollective: {server: {plugin.psk: {environment: X}}}", false},
		{"mcollective: {server: {plugin.psk: {env: X, file: y}}}", false},
		{"profile: production", false},
		{"arch: arm", false},
		{"initrd: {layout: best}", false},
		{"initrd: {level: high}", false},
		{"extensions: bash", false},
		{"missing: {a: b}", false},
		{"release: next", false},
		{"image: {version: 1.0-rc1}", false},
		{"rubygems: {sha256: abc}", false},
		{"client: {disabled: maybe}", false},
	} {
		schemaErr := s.Validate(value(t, tc.text))
		c, err := Parse("mkbuild.yaml", []byte(tc.text))
		if err == nil {
			err = c.Validate()
		}
		if (schemaErr == nil) != tc.ok || (err == nil) != tc.ok {
			t.Errorf("%s\nwant ok %t; the schema says %v, mkbuild %v", tc.text, tc.ok, schemaErr, err)
		}
	}
}

// The explanations and defaults of the template reach the editor.
func TestSchemaExplains(t *testing.T) {
	b, err := Schema()
	testkit.Must(t, err)
	for _, want := range []string{`"description": "a Tiny Core Linux release"`, `{env: MCO_PSK} or {file: psk.txt}`, `"default": "4.5.2"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s", want)
		}
	}
}
