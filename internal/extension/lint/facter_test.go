package lint

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
)

// utf16 returns text in the form of PowerShell's >, without a byte order mark.
func utf16(text string) string { return strings.ReplaceAll(text, "", "\x00")[1:] }

// external are files in facts.d, each of which should give the fact "fact_"+key with the value "1".
func external() map[string]string {
	files := map[string]string{
		"plain.txt": "fact_plain=1\n", "dos.txt": "fact_dos=1\r\n", "upper.TXT": "fact_upper=1\n",
		"bom.txt": "\xef\xbb\xbffact_bom=1\n", "wide.txt": "\xff\xfe" + utf16("fact_wide=1\n"), "wide2.txt": utf16("fact_wide2=1\n"),
		"wide32.txt": "\xff\xfe\x00\x00f\x00\x00\x00", "latin.txt": "fact_latin=1\nx=M\xfcller\n", "mac.txt": "fact_mac=1\rx=2\r", "empty.txt": "", "blank.txt": "fact_blank = 1\n",
		"colon.txt": "fact_colon: 1\n", "json.json": `{"fact_json": 1}`, "twice.json": `{"fact_twice": 0, "fact_twice": 1}`, "bomj.json": "\xef\xbb\xbf" + `{"fact_bomj": 1}`,
		"latinj.json": `{"fact_latinj": 1, "x": "` + "M\xfcller" + `"}`, "nan.json": `{"fact_nan": 1, "x": NaN}`, "comma.json": `{"fact_comma": 1,}`, "list.json": `["fact_list"]`, "void.json": "",
		"yaml.yaml": "fact_yaml: 1\n", "again.yaml": "fact_again: 0\nfact_again: 1\n", "anchor.yaml": "x: &a 1\nfact_anchor: *a\n", "upper2.YAML": "fact_upper2: 1\n",
		"date.yaml": "fact_date: 1\nx: 2001-01-01\n", "quoted.yaml": "fact_quoted: 1\nx: ':a'\ny: '!b'\n", "binary.yaml": "fact_binary: 1\nx: !!binary aGVsbG8=\n",
		"symbol.yaml": "fact_symbol: 1\nx: !ruby/symbol a\n", "colons.yaml": "fact_colons: 1\nx: [:a]\n", "key.yaml": ":fact_key: 1\n", "set.yaml": "fact_set: 1\nx: !!set {a: }\n",
		"object.yaml": "fact_object: 1\nx: {y: !ruby/object:Object {}}\n", "range.yaml": "fact_range: 1\nx: !ruby/range 1..2\n", "tab.yaml": "\tfact_tab: 1\n", "latiny.yaml": "fact_latiny: 1\nx: M\xfcller\n",
		"wide.yml": "fact_yml: 1\n", "note.yaml": "# fact_note: 1\n", "text.yaml.bak": "fact_text: 1\n",
		"prints.sh*": "#!/bin/sh\necho fact_prints=1\n", "off.sh": "#!/bin/sh\necho fact_off=1\n", "dos.sh*": "#!/bin/sh\r\necho fact_dossh=1\r\n", "bom.sh*": "\xef\xbb\xbf#!/no/such\n",
	}
	for i, name := range []string{"it's", "a b", "a b'c", "d$x", "s;x", "-dash", `q"x`, "p(x)", "a&x", "b`x", "st*r", "~tilde", "#hash", "ümlaut", "a,b+c@d=e%f:g", "a!b^c", "a{b,c}", "a[b]", "a<b", "a|b"} {
		files[name+".sh*"] = fmt.Sprintf("#!/bin/sh\necho fact_n%d=1\n", i)
	}
	return files
}

// TestLintAgreesWithFacter compares lint with a real Facter: lint has an error for a single file, or reports that
// it is empty, exactly if Facter does not get the fact.
func TestLintAgreesWithFacter(t *testing.T) {
	facter := testkit.Tool(t, "facter")
	stricter := []string{"bom.yaml", "date.yaml", "latinj.json"} // correct with Facter 4, not with 1.7 or 2
	dir := t.TempDir()
	ext.Tree(external()).Write(t, dir)
	out, err := exec.CommandContext(t.Context(), facter, "--external-dir", dir, "--json").Output()
	facts := map[string]any{}
	if json.Unmarshal(out, &facts) != nil {
		t.Fatalf("facter: %v\n%s", err, out)
	}
	for name, body := range external() {
		_, fact, _ := strings.Cut(body, "fact_")
		if i := strings.LastIndex(body, "fact_"); i >= 0 && strings.HasPrefix(name, "anchor") {
			fact = body[i+len("fact_"):]
		}
		if end := strings.IndexFunc(fact, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }); end >= 0 {
			fact = fact[:end]
		}
		v := fmt.Sprint(facts["fact_"+fact])
		found := tree{"facts.d/" + name: body}.lint(t, Options{})
		bad := slices.ContainsFunc(found, func(f Finding) bool {
			return f.Severity == Error || f.Rule == "fact-empty" || f.Rule == "fact-line" || f.Rule == "fact-ignored" || f.Rule == "no-shebang"
		})
		if works := v == "1"; works == bad && !slices.Contains(stricter, strings.TrimSuffix(name, "*")) {
			t.Errorf("%s: facter has %q, lint says %q", name, v, rulesOf(found))
		}
	}
}

// TestNumbersWithoutJSON: a single number loses all facts of a machine.
func TestNumbersWithoutJSON(t *testing.T) {
	facter := testkit.Tool(t, "facter")
	for name, body := range map[string]string{"inf.yaml": "x: .inf\n", "nan.yaml": "x: {y: [.NaN]}\n", "big.yaml": "x: 1.0e+999\n", "big.json": `{"x": 1e999}`} {
		dir := filepath.Join(t.TempDir(), "facts.d")
		ext.Tree{name: body}.Write(t, dir)
		if out, err := exec.CommandContext(t.Context(), facter, "--external-dir", dir, "--json").Output(); err == nil || json.Valid(out) {
			t.Errorf("%s: Facter does not mind it any more: %.80s", name, out)
		}
		if got := rulesOf(tree{"facts.d/" + name: body}.lint(t, Options{})); !strings.Contains(got, "error fact-") {
			t.Errorf("%s: lint says %q", name, got)
		}
	}
}

// TestRubyOfTheImage: text that Ruby 1.8 cannot read is an error for an image with Ruby 1.8 only.
func TestRubyOfTheImage(t *testing.T) {
	newer := []string{"x = {a: 1}", "f(b: 2)", "add(1,\n  c: 3)", "y = ->(z) { z }", "def m(a:, b: 1)", "l = -> { 1 }", "v&.size", "p.(1)", "s = <<~EOS", "require_relative 'x'"}
	for _, line := range newer {
		found := tree{"lib/ruby/facter/x.rb": "# {a: 1}\n" + line + "\n"}.lint(t, Options{Image: &Image{Name: "x.iso", Arch: "x86", ruby18: true}})
		if len(found) != 1 || found[0].Rule != "ruby-syntax" || found[0].Severity != Error {
			t.Errorf("%s: %v", line, found)
		}
		if found := (tree{"lib/ruby/facter/x.rb": line}).lint(t, Options{Image: &Image{Name: "x.iso", Arch: "x86"}}); len(found) > 0 {
			t.Errorf("%s, for a newer Ruby: %v", line, found)
		}
		if ruby := testkit.Tool(t, "ruby"); exec.CommandContext(t.Context(), ruby, "-ce", line+"\nEOS\n").Run() != nil && !strings.HasPrefix(line, "def") && !strings.Contains(line, "<<~") {
			t.Errorf("%s: Ruby of today cannot read it either", line)
		}
	}
	for _, line := range []string{"x ? a : b", "x = {:a => 1}", "'{a: 1}'", `"f(b: 2)"`, "a.b # c(d: e)", "x = y ? {} : z", "A::B", "f(A::B, ::C)", "when 1: 2", "=begin\nf(a: 1)\n=end", "a - b > c", "a -> b", "__END__\nf(a: 1)", `sh "x: #{y}"`} {
		if got := rulesOf(tree{"lib/ruby/x.rb": line + "\n"}.lint(t, Options{})); got != "" && line != "a -> b" {
			t.Errorf("%s: false alarm: %s", line, got)
		}
	}
}
