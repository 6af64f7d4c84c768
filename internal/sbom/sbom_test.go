package sbom

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
)

func image() Image {
	sum := strings.Repeat("0a", 32)
	tcz := func(name, licence string, needs ...string) lock.Input {
		return lock.Input{Kind: lock.TCZ, Name: name, Size: 1, SHA256: sum, Licence: licence, Needs: needs, Why: []string{lock.WhyConfig}, URL: "http://mirror/" + name}
	}
	dep := tcz("ncurses.tcz", "MIT License.")
	dep.Why = []string{"gtk+.tcz"}
	return Image{
		Name: "rz_mk_prod-image", Version: "0.1.0",
		Manifest: &manifest.Manifest{Mkbuild: "v1.2.3", Plan: sum, Profile: "prod", Release: "4.5.2", Kernel: "3.0.21-tinycore", SourceDate: 1348500000},
		Inputs: []lock.Input{
			{Kind: lock.Gem, Name: "json_pure-1.6.5.gem", SHA256: sum, Licence: "Ruby", Why: []string{lock.WhyConfig}},
			{Kind: lock.ISO, Name: "Core-4.5.2.iso", SHA256: sum, Why: []string{lock.WhyConfig}},
			{Kind: lock.RubyGems, Name: "rubygems-1.8.15.tgz", SHA256: sum, Why: []string{lock.WhyConfig}},
			tcz("gtk+.tcz", "GPL v2", "ncurses.tcz", "not-in-it.tcz"), tcz("gtk_.tcz", "GPLv2+"), dep,
			tcz("scsi-3.0.21-tinycore.tcz", "see <the> file & \"more\""), tcz("libssl-0.9.8.tcz", "GPL v2"),
		},
	}
}

func bill(t *testing.T, i Image, format string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, i, format); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// schemaDir is where the CycloneDX project's own schemas lie in its module.
func schemaDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(strings.TrimSpace(testkit.Run(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go")), "schema")
}

// TestCycloneDXSchema validates a bill against the project's JSON schema.
func TestCycloneDXSchema(t *testing.T) {
	dir := schemaDir(t)
	c := jsonschema.NewCompiler()
	for name, file := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if os.IsNotExist(err) {
			b, err = os.ReadFile(filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	text := bill(t, image(), CycloneDX)
	check := func(b []byte) error {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(doc)
	}
	if err := check(text); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if check(bytes.Replace(text, []byte(`"SHA-256"`), []byte(`"SHA-7"`), 1)) == nil {
		t.Error("the schema takes everything")
	}
	bom := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	if n := len(*bom.Components); n != 9 {
		t.Errorf("%d components", n)
	}
	for _, want := range []string{`"ref": "tcz-gtk+.tcz",
      "dependsOn": [
        "tcz-ncurses.tcz"
      ]`, `"name": "GPL v2"`, `"id": "GPL-2.0-or-later"`, `"purl": "pkg:gem/json_pure@1.6.5"`, `"timestamp": "2012-09-24T15:20:00Z"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

// TestSPDXReads reads a bill back with the project's library, and holds identifiers against the
// specification (SPDX 2.3, 3.2 and 10.1).
func TestSPDXReads(t *testing.T) {
	text := bill(t, image(), SPDX)
	doc, err := spdxjson.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{}
	for _, p := range doc.Packages {
		id := string(p.PackageSPDXIdentifier)
		if ids[id] || !regexp.MustCompile(`^[A-Za-z0-9.-]+$`).MatchString(id) {
			t.Errorf("identifier %q", id)
		}
		ids[id] = true
	}
	if len(doc.Packages) != 10 {
		t.Errorf("%d packages", len(doc.Packages))
	}
	refs := regexp.MustCompile(`"licenseDeclared": "(LicenseRef-[^"]*)"`).FindAllStringSubmatch(string(text), -1)
	if len(refs) != 3 || refs[0][1] != refs[2][1] || len(doc.OtherLicenses) != 2 {
		t.Errorf("references %q, %d texts", refs, len(doc.OtherLicenses))
	}
	for _, l := range doc.OtherLicenses {
		if !regexp.MustCompile(`^LicenseRef-[A-Za-z0-9.-]+$`).MatchString(l.LicenseIdentifier) || l.ExtractedText == "" {
			t.Errorf("%+v", l)
		}
	}
	if doc.CreationInfo.Created != "2012-09-24T15:20:00Z" || !strings.HasPrefix(doc.DocumentNamespace, "urn:uuid:") {
		t.Errorf("%+v %s", doc.CreationInfo, doc.DocumentNamespace)
	}
}

// TestIdentifiers: every licence that is called certain exists.
func TestIdentifiers(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(schemaDir(t), "spdx.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Enum []string }
	if err := json.Unmarshal(b, &list); err != nil || len(list.Enum) < 300 {
		t.Fatalf("%d licences, %v", len(list.Enum), err)
	}
	for words, id := range certain() {
		if !slices.Contains(list.Enum, id) || normal(words) != words {
			t.Errorf("%q: %q", words, id)
		}
	}
	for words, want := range map[string]string{"": "", "GPL": "", "GPLv2": "", "BSD": "", "LGPL": "", " The  MIT Licence. ": "MIT", "Apache License, Version 2.0": "Apache-2.0"} {
		if got := identifier(words); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}

// TestDeterministic: the same image has the same bill, another plan another serial number; and
// nothing in it says where anything came from.
func TestDeterministic(t *testing.T) {
	for _, format := range Formats() {
		a, b := bill(t, image(), format), bill(t, image(), format)
		other := image()
		m := *other.Manifest
		m.Plan = strings.Repeat("0b", 32)
		other.Manifest = &m
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from itself", format)
		}
		serial := regexp.MustCompile(`urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
		if x, y := serial.Find(a), serial.Find(bill(t, other, format)); x == nil || bytes.Equal(x, y) {
			t.Errorf("%s: serial numbers %s and %s", format, x, y)
		}
		if bytes.Contains(a, []byte("mirror")) {
			t.Errorf("%s names the mirror", format)
		}
	}
	if err := Write(&bytes.Buffer{}, image(), "swid"); err == nil {
		t.Error("no error")
	}
}
