package sbom

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

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
	return Image{
		Name: "rz_mk_prod-image", Version: "0.1.0",
		Manifest: &manifest.Manifest{Mkbuild: "v1.2.3", Plan: sum, Profile: "prod", Release: "4.5.2", Kernel: "3.0.21-tinycore", SourceDate: 1348500000},
		Inputs: []lock.Input{
			{Kind: lock.Gem, Name: "json_pure-1.6.5.gem", SHA256: sum, Licence: "Ruby", Why: []string{lock.WhyConfig}},
			{Kind: lock.ISO, Name: "Core-4.5.2.iso", SHA256: sum, Why: []string{lock.WhyConfig}},
			{Kind: lock.RubyGems, Name: "rubygems-1.8.15.tgz", SHA256: sum, Why: []string{lock.WhyConfig}},
			tcz("gtk+.tcz", "GPL v2", "ncurses.tcz", "not-in-it.tcz"), tcz("gtk_.tcz", "GPLv2+"), tcz("ncurses.tcz", "MIT License."),
			tcz("scsi-3.0.21-tinycore.tcz", "see <the> file & \"more\""), tcz("libssl-0.9.8.tcz", "GPL v2"),
		},
	}
}

func bill(t *testing.T, i Image) []byte {
	t.Helper()
	var out bytes.Buffer
	testkit.Must(t, Write(&out, i))
	return out.Bytes()
}

// TestSPDXReads reads a bill back with the project's library, and compares identifiers with the specification (SPDX
// 2.3, 3.2 and 10.1).
func TestSPDXReads(t *testing.T) {
	text := bill(t, image())
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
	for _, want := range []string{`"licenseDeclared": "GPL-2.0-or-later"`, `"referenceLocator": "pkg:gem/json_pure@1.6.5"`, `"relatedSpdxElement": "SPDXRef-tcz-ncurses.tcz",
      "relationshipType": "DEPENDS_ON"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), "DEPENDS_ON"); n != 1 {
		t.Errorf("%d dependencies", n)
	}
	if doc.CreationInfo.Created != "2012-09-24T15:20:00Z" || bytes.Contains(text, []byte("mirror")) {
		t.Errorf("%+v\n%s", doc.CreationInfo, text)
	}
	uuid := regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	other := image()
	other.Manifest.Plan = strings.Repeat("0b", 32)
	if id := doc.DocumentNamespace; !uuid.MatchString(id) || bytes.Contains(bill(t, other), []byte(id)) {
		t.Errorf("identifier %s, and another plan has the same", id)
	}
}

// TestIdentifiers: every certain licence is on the SPDX project's list.
func TestIdentifiers(t *testing.T) {
	list, err := os.ReadFile("testdata/spdx-license-list-3.17.txt")
	testkit.Must(t, err)
	for words, id := range certain() {
		if !strings.Contains(string(list), "\n"+id+"\n") || normal(words) != words {
			t.Errorf("%q: %q", words, id)
		}
	}
	for words, want := range map[string]string{"": "", "GPL": "", "GPLv2": "", "BSD": "", "LGPL": "", " The  MIT Licence. ": "MIT", "Apache License, Version 2.0": "Apache-2.0"} {
		if got := identifier(words); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}
