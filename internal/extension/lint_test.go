package extension

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/internal/overlay"
)

// tree is a directory in a test: path → content. A path that ends in "*" is executable, one with
// " -> " a symlink.
type tree map[string]string

func (tr tree) write(t testing.TB, dir string) string {
	t.Helper()
	for name, body := range tr {
		name, x := strings.CutSuffix(name, "*")
		name, target, link := strings.Cut(name, " -> ")
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if x {
			mode = 0o755
		}
		var err error
		if link {
			err = os.Symlink(target, p)
		} else if err = os.WriteFile(p, []byte(body), 0o600); err == nil {
			err = os.Chmod(p, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (tr tree) lint(t testing.TB, o LintOptions) []Finding {
	t.Helper()
	s, err := ReadDir(tr.write(t, t.TempDir()), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	found, err := Lint(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const sh = "#!/bin/sh\n"

// drops stands for the server's blacklist.
func drops(name string) bool { return strings.HasPrefix(name, "kernel") }

// withFact is a custom fact whose file has these lines around its setcode.
func withFact(before, inside string) tree {
	return tree{"lib/ruby/facter/x.rb": before + "\nFacter.add(:site_x) do\n  setcode do\n    " + inside + "\n  end\nend\n"}
}

type lintCase struct {
	rule string // that must be found, or with clean must not
	file string // where
	line int
	sev  Severity
	tree tree
}

func lintCases() []lintCase {
	ok := tree{"bin/x*": sh}
	return []lintCase{
		{rule: "wrapped", sev: Error, tree: tree{"ext/bin/x*": sh}},
		{rule: "unused", sev: Error, tree: tree{"share/x": "x"}},
		{rule: "empty", sev: Warning, tree: tree{}},
		{rule: "misspelt", file: "facts", sev: Warning, tree: tree{"facts/x.txt": "a=b\n", "bin/x*": sh}},
		{rule: "misspelt", file: "Bin", sev: Warning, tree: tree{"Bin/x*": sh, "lib/x": ""}},
		{rule: "misspelt", file: "facter", sev: Warning, tree: tree{"facter/x.rb": "", "bin/x*": sh}},
		{rule: "inert", file: ".profile", sev: Warning, tree: tree{".profile": "FACTER_x=1\n", "bin/x*": sh}},
		{rule: "refused", file: "bin/l", sev: Error, tree: tree{"bin/l -> /etc/passwd": ""}},
		{rule: "refused", file: "bin/l", sev: Error, tree: tree{"bin/l -> ../../x": ""}},
		{rule: "refused", file: `bin/a\b`, sev: Error, tree: tree{`bin/a\b`: ""}},
		{rule: "dangling-link", file: "lib/libx.so", sev: Warning, tree: tree{"lib/libx.so -> libx.so.1": ""}},
		{rule: "backup", file: "facts.d/x~", sev: Warning, tree: tree{"facts.d/x~*": sh}},
		{rule: "bin-not-executable", file: "bin/x", sev: Error, tree: tree{"bin/x": sh}},
		{rule: "bin-subdirectory", file: "bin/sub/x", sev: Warning, tree: tree{"bin/sub/x*": sh}},
		{rule: "shadows", file: "bin/ruby", sev: Warning, tree: tree{"bin/ruby*": sh}},
		{rule: "shadows", file: "lib/libc.so.6", sev: Warning, tree: tree{"lib/libc.so.6": "x"}},
		{rule: "shadows", file: "lib/ruby/json.rb", sev: Warning, tree: tree{"lib/ruby/json.rb": ""}},
		{rule: "fact-subdirectory", file: "facts.d/sub/x.txt", sev: Error, tree: tree{"facts.d/sub/x.txt": "a=b\n"}},
		{rule: "fact-dotfile", file: "facts.d/.x.txt", sev: Warning, tree: tree{"facts.d/.x.txt": "a=b\n"}},
		{rule: "fact-yml", file: "facts.d/x.yml", sev: Error, tree: tree{"facts.d/x.yml": "a: b\n"}},
		{rule: "fact-windows", file: "facts.d/x.bat", sev: Error, tree: tree{"facts.d/x.bat*": "echo a=b\r\n"}},
		{rule: "fact-not-executable", file: "facts.d/x", sev: Error, tree: tree{"facts.d/x": sh}},
		{rule: "fact-ignored", file: "facts.d/README", sev: Warning, tree: tree{"facts.d/README": "x"}},
		{rule: "fact-data-script", file: "facts.d/x.txt", sev: Error, tree: tree{"facts.d/x.txt*": sh + "echo a=b\n"}},
		{rule: "fact-data-executable", file: "facts.d/x.txt", sev: Warning, tree: tree{"facts.d/x.txt*": "a=b\n"}},
		{rule: "fact-syntax", file: "facts.d/x.yaml", sev: Error, tree: tree{"facts.d/x.yaml": "a: [b\n"}},
		{rule: "fact-syntax", file: "facts.d/x.yaml", sev: Error, tree: tree{"facts.d/x.yaml": ""}},
		{rule: "fact-syntax", file: "facts.d/x.json", sev: Error, tree: tree{"facts.d/x.json": `["a"]`}},
		{rule: "fact-comment", file: "facts.d/x.txt", line: 2, sev: Error, tree: tree{"facts.d/x.txt": "a=b\n# c=d\n"}},
		{rule: "fact-line", file: "facts.d/x.txt", line: 1, sev: Warning, tree: tree{"facts.d/x.txt": "a: b\n"}},
		{rule: "fact-line", file: "facts.d/x.txt", line: 1, sev: Warning, tree: tree{"facts.d/x.txt": "a=\n"}},
		{rule: "fact-blanks", file: "facts.d/x.txt", line: 1, sev: Error, tree: tree{"facts.d/x.txt": "a = b\n"}},
		{rule: "fact-structured", file: "facts.d/x", line: 2, sev: Warning, tree: tree{"facts.d/x*": sh + "echo '{\"a\": \"b\"}'\n"}},
		{rule: "fact-structured", file: "facts.d/x", line: 3, sev: Warning, tree: tree{"facts.d/x*": "#!/usr/local/bin/ruby\nrequire 'json'\nputs h.to_json\n"}},
		{rule: "fact-structured", file: "facts.d/x", line: 2, sev: Warning, tree: tree{"facts.d/x*": sh + "echo '---'\n"}},
		{rule: "fact-name", file: "facts.d/x.txt", line: 1, sev: Warning, tree: tree{"facts.d/x.txt": "Rack=b\n"}},
		{rule: "fact-name", file: "facts.d/x.yaml", sev: Warning, tree: tree{"facts.d/x.yaml": "two words: b\n"}},
		{rule: "identity", file: "facts.d/x.txt", line: 1, sev: Error, tree: tree{"facts.d/x.txt": "serialnumber=1\n"}},
		{rule: "identity", file: "facts.d/x", line: 2, sev: Warning, tree: tree{"facts.d/x*": sh + "echo macaddress_bmc=$m\n"}},
		{rule: "identity", file: "lib/ruby/facter/x.rb", line: 1, sev: Warning, tree: tree{"lib/ruby/facter/x.rb": "Facter.add('uuid') { setcode { 'x' } }\n"}},
		{rule: "dropped", file: "facts.d/x.json", sev: Warning, tree: tree{"facts.d/x.json": `{"kernel_flavour": "x"}`}},
		{rule: "fact-twice", file: "facts.d/b.txt", line: 1, sev: Warning, tree: tree{"facts.d/a.yaml": "x: 1\n", "facts.d/b.txt": "x=2\n"}},
		{rule: "crlf", file: "bin/x", line: 1, sev: Error, tree: tree{"bin/x*": "#!/bin/sh\r\necho\r\n"}},
		{rule: "no-shebang", file: "facts.d/x", line: 1, sev: Warning, tree: tree{"facts.d/x*": "echo a=b\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Warning, tree: tree{"bin/x*": "#!/usr/bin/python3\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Warning, tree: tree{"bin/x*": "#!/usr/bin/env perl\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Error, tree: tree{"bin/x*": "#!bin/tool\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Error, tree: tree{"bin/x*": "#!\n"}},
		{rule: "fixed-path", file: "bin/x", line: 2, sev: Error, tree: tree{"bin/x*": sh + "exec /tmp/mk-update/bin/y\n"}},
		{rule: "volatile", file: "facts.d/x", line: 2, sev: Warning, tree: tree{"facts.d/x*": sh + "echo seen=$(date)\n"}},
		{rule: "volatile", file: "lib/ruby/facter/x.rb", line: 4, sev: Warning, tree: withFact("", "Time.now.to_s")},
		{rule: "background", file: "facts.d/x", line: 2, sev: Warning, tree: tree{"facts.d/x*": sh + "sleep 60 &\n"}},
		{rule: "ruby-not-loaded", file: "lib/ruby/x.rb", sev: Error, tree: tree{"lib/ruby/x.rb": "Facter.add(:site_x) { setcode { 'x' } }\n"}},
		{rule: "ruby-subdirectory", file: "lib/ruby/facter/sub/x.rb", sev: Warning, tree: tree{"lib/ruby/facter/sub/x.rb": "Facter.add(:site_x) { setcode { 'x' } }\n"}},
		{rule: "ruby-exit", file: "lib/ruby/facter/x.rb", line: 4, sev: Error, tree: withFact("", "exit 5 unless File.exist?('/x')")},
		{rule: "ruby-exit", file: "lib/ruby/facter/x.rb", line: 1, sev: Error, tree: withFact("Kernel.exit!", "'x'")},
		{rule: "ruby-raise", file: "lib/ruby/facter/x.rb", line: 1, sev: Error, tree: withFact("raise 'no' unless $x", "'x'")},
		{rule: "ruby-raise", file: "lib/ruby/facter/x.rb", line: 2, sev: Error, tree: tree{"lib/ruby/facter/x.rb": "Facter.add(:site_x) do\n  raise 'x'\nend\n"}},
		{rule: "ruby-raise", file: "lib/ruby/facter/x.rb", line: 2, sev: Error, tree: tree{"lib/ruby/facter/x.rb": "[1].each do |x|\n  fail 'x' if x\nend\n"}},
		{rule: "ruby-prints", file: "lib/ruby/facter/x.rb", line: 4, sev: Warning, tree: withFact("", "puts 'hello'")},
		{rule: "ruby-prints", file: "lib/ruby/facter/x.rb", line: 4, sev: Warning, tree: withFact("", "$stdout << 'x'")},
		{rule: "ruby-prints", file: "lib/ruby/facter/x.rb", line: 4, sev: Warning, tree: withFact("", "system('lspci')")},
		{rule: "elf-damaged", file: "bin/x", sev: Error, tree: tree{"bin/x*": "\x7fELF rubbish"}},
		{rule: "elf-arch", file: "bin/x", sev: Error, tree: tree{"bin/x*": string(testELF(64, "", nil))}},
		{rule: "elf-loader", file: "bin/x", sev: Error, tree: tree{"bin/x*": string(testELF(32, "/lib/ld-musl-i386.so.1", nil))}},
		{rule: "elf-library", file: "bin/x", sev: Warning, tree: tree{"bin/x*": string(testELF(32, "/lib/ld-linux.so.2", []string{"libfoo.so.1"}))}},

		// The same shapes, right.
		{rule: "wrapped", tree: ok}, {rule: "unused", tree: ok}, {rule: "empty", tree: ok},
		{rule: "misspelt", tree: tree{"bin/x*": sh, "share/facts/x": "", "README": ""}},
		{rule: "inert", tree: tree{"bin/env-x*": sh, "share/.profile": ""}},
		{rule: "refused", tree: tree{"bin/l -> ../lib/x": "", "lib/x": ""}},
		{rule: "dangling-link", tree: tree{"lib/libx.so -> libx.so.1": "", "lib/libx.so.1": "x", "bin/l -> ../lib": ""}},
		{rule: "backup", tree: tree{"facts.d/x.txt": "a=b\n", "share/x~": ""}},
		{rule: "bin-not-executable", tree: tree{"bin/x*": sh, "lib/y": "", "share/bin/x": ""}},
		{rule: "bin-subdirectory", tree: tree{"bin/x*": sh, "bin/sub/table": "x"}},
		{rule: "shadows", tree: tree{"bin/site-ruby*": sh, "lib/libfoo.so.6": "x", "lib/ruby/facter/json.rb": ""}},
		{rule: "fact-subdirectory", tree: tree{"facts.d/x.txt": "a=b\n"}},
		{rule: "fact-dotfile", tree: tree{"facts.d/x.txt": "a=b\n", "share/.x": ""}},
		{rule: "fact-yml", tree: tree{"facts.d/x.yaml": "a: b\n", "share/x.yml": ""}},
		{rule: "fact-windows", tree: tree{"facts.d/x*": sh, "share/x.bat": ""}},
		{rule: "fact-not-executable", tree: tree{"facts.d/x*": sh, "facts.d/x.txt": "a=b\n"}},
		{rule: "fact-ignored", tree: tree{"facts.d/x*": sh, "facts.d/x.json": "{}", "README": "x"}},
		{rule: "fact-data-script", tree: tree{"facts.d/x*": sh, "facts.d/x.txt": "a=#!\n"}},
		{rule: "fact-data-executable", tree: tree{"facts.d/x.txt": "a=b\n"}},
		{rule: "fact-syntax", tree: tree{"facts.d/x.yaml": "a: [b]\n", "facts.d/x.json": "{}"}},
		{rule: "fact-comment", tree: tree{"facts.d/x.txt": "# about a\na=# b\n"}},
		{rule: "fact-line", tree: tree{"facts.d/x.txt": "# a\n\na=b=c\r\n"}},
		{rule: "fact-blanks", tree: tree{"facts.d/x.txt": "a=b c\r\n"}},
		{rule: "fact-structured", tree: tree{"facts.d/x*": sh + "# {\"a\": 1}\nf() { echo a=b; }\necho \"x={$y}\"\n"}},
		{rule: "fact-name", tree: tree{"facts.d/x.txt": "rack_2=B 7\n"}},
		{rule: "identity", tree: tree{"facts.d/x.txt": "site_serialnumber=1\n"}},
		{rule: "dropped", tree: tree{"facts.d/x.txt": "site_kernel=1\n"}},
		{rule: "fact-twice", tree: tree{"facts.d/a.yaml": "x: 1\n", "facts.d/b.txt": "y=2\ny=3\n", "lib/ruby/facter/x.rb": "Facter.add(:x) { setcode { 1 } }\n"}},
		{rule: "crlf", tree: tree{"bin/x*": sh, "facts.d/x.txt": "a=b\r\n"}},
		{rule: "no-shebang", tree: tree{"bin/x*": sh, "share/x*": "text"}},
		{rule: "interpreter", tree: tree{"bin/x*": sh, "bin/y*": "#!/usr/bin/env ruby\n", "bin/z*": "#! /usr/bin/env x -a\n", "share/q": "#!/usr/bin/perl\n"}},
		{rule: "fixed-path", tree: tree{"bin/x*": sh + `exec "$(dirname "$0")/../share/y" /tmp/mk-updates` + "\n", "README.md": "/tmp/mk-update"}},
		{rule: "volatile", tree: tree{"facts.d/x*": sh + "# no date here\necho update=$(cat /sys/class/dmi/id/bios_date)\n"}},
		{rule: "background", tree: tree{"facts.d/x*": sh + "sleep 60 >/dev/null 2>&1 &\ntrue && true\n# a &\n"}},
		{rule: "ruby-not-loaded", tree: tree{"lib/ruby/x.rb": "Facter.add(:site_x) { setcode { 'x' } }\n", "lib/ruby/facter/y.rb": "require 'x'\n", "lib/ruby/z.rb": "module Z; end\n"}},
		{rule: "ruby-subdirectory", tree: tree{"lib/ruby/facter/util/x.rb": "module X; end\n", "lib/ruby/facter/x.rb": "Facter.add(:site_x) { setcode { 'x' } }\n"}},
		{rule: "ruby-exit", tree: withFact("# exit\nx = :exit", "exit_code = $?.exitstatus; 'exit 1'; at.exit")},
		{rule: "ruby-raise", tree: withFact("def f\n  raise 'x' if $y\nend\nbegin\n  raise 'x'\nrescue\nend\nz = lambda { raise 'x' }", "raise 'fine'")},
		{rule: "ruby-raise", tree: withFact("x = if $y then 1 else 2 end\nwhile false do\n  x += 1\nend\ndef g(h)\n  h.map { |a| a unless a }\n  fail 'x'\nend", "y / 2; fail 'x' /")},
		{rule: "ruby-raise", tree: withFact("=begin\nraise 'x'\n=end\ntext = <<-EOS\nraise this\nEOS\nw = %w(raise fail)", "'x'")},
		{rule: "ruby-prints", tree: withFact("", "$stderr.puts 'x'; file.puts 'y'; print_x = 1; Facter.debug 'puts'; p = 3; p")},
		{rule: "elf-damaged", tree: tree{"bin/x*": string(testELF(32, "", nil))}},
		{rule: "elf-arch", tree: tree{"bin/x*": string(testELF(32, "", nil))}},
		{rule: "elf-loader", tree: tree{"bin/x*": string(testELF(32, "/lib/ld-linux.so.2", nil)), "bin/static*": string(testELF(32, "", nil))}},
		{rule: "elf-library", tree: tree{"lib/libfoo.so.1": "x", "bin/x*": string(testELF(32, "/lib/ld-linux.so.2", []string{"libfoo.so.1", "libc.so.6"}))}},
	}
}

// TestLintRules holds every rule against what it must find and what it must leave alone.
func TestLintRules(t *testing.T) {
	bad, good := map[string]bool{}, map[string]bool{}
	for _, tc := range lintCases() {
		if tc.sev == "" {
			good[tc.rule] = true
		} else {
			bad[tc.rule] = true
		}
		t.Run(tc.rule+" "+string(tc.sev), func(t *testing.T) {
			found := tc.tree.lint(t, LintOptions{Drops: drops})
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Rule == tc.rule })
			switch {
			case i < 0 && tc.sev == "":
			case i < 0:
				t.Fatalf("not found; got %v", found)
			case tc.sev == "":
				t.Fatalf("false alarm: %+v", found[i])
			default:
				f := found[i]
				if f.File != tc.file || f.Line != tc.line || f.Severity != tc.sev || f.What == "" || f.Mend == "" {
					t.Errorf("got %+v, want %s:%d %s", f, tc.file, tc.line, tc.sev)
				}
			}
		})
	}
	elsewhere := []string{"no-modes", "setuid", "world-writable", "leftover", "size", "elf-version"} // tests of their own
	for _, r := range Rules() {
		if !slices.Contains(elsewhere, r.ID) && (!bad[r.ID] || !good[r.ID]) {
			t.Errorf("rule %s: positive case %t, negative case %t", r.ID, bad[r.ID], good[r.ID])
		}
		delete(bad, r.ID)
	}
	for id := range bad {
		t.Errorf("rule %s is not in Rules()", id)
	}
}

func lintZip(t *testing.T, o LintOptions, items ...item) []Finding {
	t.Helper()
	b := makeZip(t, items...)
	s, err := ReadZip("x.zip", bytes.NewReader(b), int64(len(b)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	found, err := Lint(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func rulesOf(found []Finding) string {
	var out []string
	for _, f := range found {
		out = append(out, f.File+" "+string(f.Severity)+" "+f.Rule)
	}
	return strings.Join(out, "; ")
}

// TestLintArchives has the rules that only archives can break.
func TestLintArchives(t *testing.T) {
	tests := []struct {
		name  string
		items []item
		want  string
	}{
		{"good", []item{{"bin/", "", sIFDIR | 0o755}, {"bin/x", sh, sIFREG | 0o755}}, ""},
		{"MS-DOS", []item{{"bin/x", sh, 0}}, " error no-modes"},
		{"MS-DOS, data only", []item{{"lib/x", "x", 0}}, ""},
		{"setuid", []item{{"bin/x", sh, sIFREG | 0o4755}}, "bin/x warning setuid"},
		{"setgid", []item{{"bin/x", sh, sIFREG | 0o2755}}, "bin/x warning setuid"},
		{"world-writable", []item{{"bin/x", sh, sIFREG | 0o777}}, "bin/x warning world-writable"},
		{"world-writable directory", []item{{"bin/", "", sIFDIR | 0o777}, {"bin/x", sh, sIFREG | 0o755}}, "bin warning world-writable"},
		{"leftovers", []item{{"bin/x", sh, sIFREG | 0o755}, {"__MACOSX/bin/._x", "", sIFREG | 0o644}, {".git/HEAD", "", sIFREG | 0o644}, {".git/config", "", sIFREG | 0o644}},
			".git warning leftover; __MACOSX warning leftover"},
		{"two bad names and a good fact", []item{{"../x", "", sIFREG | 0o644}, {"/abs", "", sIFREG | 0o644}, {"facts.d/x.txt", "a=b\n", sIFREG | 0o644}},
			"../x error refused; /abs error refused"},
		{"duplicate", []item{{"bin/x", sh, sIFREG | 0o755}, {"bin/x", sh, sIFREG | 0o755}}, "bin/x error refused"},
		{"fifo", []item{{"bin/x", sh, sIFREG | 0o755}, {"p", "", sIFIFO | 0o644}}, "p error refused"},
		{"circular links", []item{{"bin/x", sh, sIFREG | 0o755}, {"a", "b", sIFLNK | 0o777}, {"b", "a", sIFLNK | 0o777}}, "a error refused; b error refused"},
		{"wrapped", []item{{"e/bin/x", sh, sIFREG | 0o755}}, " error wrapped"},
		{"big", []item{{"lib/x", strings.Repeat("0123456789abcdef", 2<<20) + "x", sIFREG | 0o644}}, " warning size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := lintZip(t, LintOptions{}, tt.items...)
			if got := rulesOf(found); got != tt.want && !(tt.name == "big" && strings.Contains(got, tt.want)) {
				t.Errorf("got  %q\nwant %q\n%+v", got, tt.want, found)
			}
		})
	}
}

func TestLintTellsDamage(t *testing.T) {
	b := makeZip(t, item{"bin/x", sh + strings.Repeat("echo hello\n", 50), sIFREG | 0o755}, item{"bin/y", sh, sIFREG | 0o755})
	b[bytes.Index(b, []byte("PK\x01\x02"))+16] ^= 0xff // CRC of the first member
	s, err := ReadZip("x.zip", bytes.NewReader(b), int64(len(b)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	found, err := Lint(t.Context(), s, LintOptions{})
	if err != nil || rulesOf(found) != "bin/x error refused" {
		t.Errorf("got %q, %v", rulesOf(found), err)
	}
}

// TestLintLimits: what is over the limits is told, and is not read at all.
func TestLintLimits(t *testing.T) {
	lim := DefaultLimits()
	lim.Total, lim.Count, lim.File = 10, 2, 8
	s, err := ReadDir(tree{"bin/a*": sh, "bin/b*": sh}.write(t, t.TempDir()), lim)
	if over, ok := errors.AsType[*LimitError](err); !ok || over.Limit != 2 {
		t.Errorf("got %v, %v", s, err)
	}
	lim.Count = 10
	if s, err = ReadDir(tree{"bin/a*": sh, "bin/b*": sh}.write(t, t.TempDir()), lim); err != nil {
		t.Fatal(err)
	}
	found, err := Lint(t.Context(), s, LintOptions{})
	if err != nil || !strings.HasPrefix(rulesOf(found), " error refused; bin/a error refused; bin/b error refused") {
		t.Errorf("got %q, %v", rulesOf(found), err)
	}
}

// TestLintImage checks against an image: with it there are errors where there were guesses.
func TestLintImage(t *testing.T) {
	img := &overlay.Tree{}
	for _, e := range []overlay.Entry{
		overlay.File("bin/busybox", 0o755, nil), overlay.Symlink("bin/sh", "busybox"), overlay.Symlink("usr/bin/env", "/bin/busybox"),
		overlay.File("usr/local/bin/python", 0o755, nil), overlay.File("lib/ld-linux.so.2", 0o755, nil),
		overlay.File("usr/local/lib/libz.so.1", 0o755, nil), overlay.File("opt/lib/libq.so.1", 0o755, nil),
		overlay.File("etc/ld.so.conf", 0o644, []byte("/opt/lib\n")), overlay.Symlink("bin/broken", "nowhere"),
	} {
		if err := img.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	im := NewImage("mk.iso", "x86", img)
	exe := func(libs ...string) string { return string(testELF(32, "/lib/ld-linux.so.2", libs)) }
	tests := []struct {
		tree tree
		want string
	}{
		{tree{"bin/x*": sh, "bin/y*": "#!/usr/bin/env python\n"}, ""},
		{tree{"bin/x*": "#!/usr/bin/python3\n"}, "bin/x error interpreter"},
		{tree{"bin/x*": "#!/bin/broken\n"}, "bin/x error interpreter"},
		{tree{"bin/x*": "#!/usr/bin/env perl\n"}, "bin/x error interpreter"},
		{tree{"bin/x*": exe("libz.so.1", "libq.so.1")}, ""},
		{tree{"bin/x*": exe("libc.so.6")}, "bin/x error elf-library"},
		{tree{"bin/x*": exe("libfoo.so.1"), "lib/libfoo.so.1": "x"}, ""},
		{tree{"bin/x*": string(testELF(32, "/lib/ld-other.so", nil))}, "bin/x error elf-loader"},
	}
	for _, tt := range tests {
		if got := rulesOf(tt.tree.lint(t, LintOptions{Image: im})); got != tt.want {
			t.Errorf("%q: got %q, want %q", fmt.Sprint(tt.tree)[:40], got, tt.want)
		}
	}
}

// TestExampleIsClean: what `new` writes has neither errors nor warnings, here and when packed.
func TestExampleIsClean(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "ext")
	if err := WriteExample(dir); err != nil {
		t.Fatal(err)
	}
	s, err := ReadDir(dir, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	found, err := Lint(t.Context(), s, LintOptions{Drops: drops})
	if err != nil || len(found) > 0 {
		t.Errorf("%+v, %v", found, err)
	}
	if err := WriteExample(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second time: %v", err)
	}
	if got := len(s.Files); got != 13 {
		t.Errorf("%d files", got)
	}
}

func FuzzLint(f *testing.F) {
	f.Add("bin/x", []byte(sh), uint32(sIFREG|0o755))
	f.Add("facts.d/x.yaml", []byte("a: &a [*a]\n"), uint32(sIFREG|0o644))
	f.Add("facts.d/x.json", []byte(`{"a":1}`), uint32(sIFREG|0o644))
	f.Add("lib/ruby/facter/x.rb", []byte("Facter.add(:x) do\n setcode { %q<a> / 2 ? ?a : <<-E }\nE\nend }}\n"), uint32(sIFREG|0o644))
	f.Add("bin/x", testELF(32, "/lib/ld-linux.so.2", []string{"libc.so.6"}), uint32(sIFREG|0o755))
	f.Add("bin/x", testELF(64, "", nil), uint32(sIFREG|0o755))
	f.Fuzz(func(t *testing.T, name string, body []byte, mode uint32) {
		if len(name) > 1000 {
			return
		}
		b := makeZip(t, item{"bin/ok", sh, sIFREG | 0o755}, item{strings.TrimRight(name, "/"), string(body), mode})
		s, err := ReadZip("x.zip", bytes.NewReader(b), int64(len(b)), DefaultLimits())
		if err != nil {
			return
		}
		if _, err := Lint(t.Context(), s, LintOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}
