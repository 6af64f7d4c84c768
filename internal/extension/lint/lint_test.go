package lint

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/internal/extension"
	"mkbuild/internal/overlay"
)

// tree is a directory in a test, as written by [ext.Tree].
type tree map[string]string

func (tr tree) lint(t testing.TB, o Options) []Finding {
	t.Helper()
	s, err := extension.ReadDir(ext.Tree(tr).Write(t, t.TempDir()), extension.DefaultLimits())
	testkit.Must(t, err)
	found, err := Check(t.Context(), s, o)
	testkit.Must(t, err)
	return found
}

const sh = ext.Sh

// drops simulates the server's blacklist.
func drops(name string) bool { return strings.HasPrefix(name, "kernel") }

type lintCase struct {
	rule string // must be found, or with clean must not
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
		{rule: "fact-shell-name", file: "facts.d/it's.sh", sev: Error, tree: tree{"facts.d/it's.sh*": sh}},
		{rule: "fact-shell-name", file: "facts.d/'x.sh", sev: Error, tree: tree{"facts.d/'x.sh*": sh}},
		{rule: "fact-shell-name", file: "facts.d/?x.sh", sev: Warning, tree: tree{"facts.d/?x.sh*": sh}},
		{rule: "identity", file: "facts.d/x.yaml", sev: Error, tree: tree{"facts.d/x.yaml": "a: 1\nserialnumber: 2\n"}},
		{rule: "encoding", file: "facts.d/x.json", sev: Error, tree: tree{"facts.d/x.json": "\x00{}"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Warning, tree: tree{"bin/x*": "#!/opt/env\n"}},
		{rule: "fact-yaml", file: "facts.d/x.yaml", line: 2, sev: Error, tree: tree{"facts.d/x.yaml": "a: 1\nb: [!custom c]\n"}},
		{rule: "fact-yaml", file: "facts.d/x.yaml", line: 1, sev: Warning, tree: tree{"facts.d/x.yaml": "a: 2001-01-01\n"}},
		{rule: "fact-empty", file: "facts.d/x.yaml", sev: Warning, tree: tree{"facts.d/x.yaml": ""}},
		{rule: "fact-empty", file: "facts.d/x.yaml", sev: Warning, tree: tree{"facts.d/x.yaml": "# a: b\n"}},
		{rule: "fact-empty", file: "facts.d/x.json", sev: Warning, tree: tree{"facts.d/x.json": "{}"}},
		{rule: "fact-empty", file: "facts.d/x.txt", sev: Warning, tree: tree{"facts.d/x.txt": "\n"}},
		{rule: "fact-syntax", file: "facts.d/x.json", sev: Error, tree: tree{"facts.d/x.json": "null"}},
		{rule: "fact-syntax", file: "facts.d/x.yaml", sev: Error, tree: tree{"facts.d/x.yaml": "word\n"}},
		{rule: "refused", file: ".facts.d", sev: Error, tree: tree{".facts.d/x.txt": "a=b\n"}},
		{rule: "encoding", file: "facts.d/x", sev: Warning, tree: tree{"facts.d/x*": sh + "echo a=M\xfcller\n"}},
		{rule: "crlf", file: "bin/x", line: 1, sev: Error, tree: tree{"bin/x*": "#!/bin/sh\recho\r"}},
		{rule: "crlf", file: "facts.d/x.txt", line: 1, sev: Error, tree: tree{"facts.d/x.txt": "a=b\rc=d\r"}},
		{rule: "ruby-syntax", file: "lib/ruby/facter/x.rb", line: 2, sev: Warning, tree: tree{"lib/ruby/facter/x.rb": "x\nf(a: 1)\n"}},
		{rule: "fact-syntax", file: "facts.d/x.json", sev: Error, tree: tree{"facts.d/x.json": `["a"]`}},
		{rule: "fact-comment", file: "facts.d/x.txt", line: 2, sev: Error, tree: tree{"facts.d/x.txt": "a=b\n# c=d\n"}},
		{rule: "fact-line", file: "facts.d/x.txt", line: 1, sev: Warning, tree: tree{"facts.d/x.txt": "a: b\n"}},
		{rule: "fact-line", file: "facts.d/x.txt", line: 1, sev: Warning, tree: tree{"facts.d/x.txt": "a=\n"}},
		{rule: "fact-blanks", file: "facts.d/x.txt", line: 1, sev: Error, tree: tree{"facts.d/x.txt": "a = b\n"}},
		{rule: "fact-name", file: "facts.d/x.txt", line: 1, sev: Warning, tree: tree{"facts.d/x.txt": "Rack=b\n"}},
		{rule: "fact-name", file: "facts.d/x.yaml", sev: Warning, tree: tree{"facts.d/x.yaml": "two words: b\n"}},
		{rule: "identity", file: "facts.d/x.txt", line: 1, sev: Error, tree: tree{"facts.d/x.txt": "serialnumber=1\n"}},
		{rule: "dropped", file: "facts.d/x.json", sev: Warning, tree: tree{"facts.d/x.json": `{"kernel_flavour": "x"}`}},
		{rule: "fact-twice", file: "facts.d/b.txt", line: 1, sev: Warning, tree: tree{"facts.d/a.yaml": "x: 1\n", "facts.d/b.txt": "x=2\n"}},
		{rule: "encoding", file: "facts.d/x.txt", line: 1, sev: Error, tree: tree{"facts.d/x.txt": "\xef\xbb\xbfa=b\n"}},
		{rule: "encoding", file: "facts.d/x.txt", sev: Error, tree: tree{"facts.d/x.txt": "\xff\xfea\x00=\x00b\x00"}},
		{rule: "encoding", file: "facts.d/x.json", sev: Error, tree: tree{"facts.d/x.json": "{\"a\": \"M\xfcller\"}"}},
		{rule: "encoding", file: "lib/ruby/facter/x.rb", line: 1, sev: Error, tree: tree{"lib/ruby/facter/x.rb": "\xef\xbb\xbf# a\n"}},
		{rule: "crlf", file: "bin/x", line: 1, sev: Error, tree: tree{"bin/x*": "#!/bin/sh\r\necho\r\n"}},
		{rule: "no-shebang", file: "facts.d/x", line: 1, sev: Warning, tree: tree{"facts.d/x*": "echo a=b\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Warning, tree: tree{"bin/x*": "#!/usr/bin/python3\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Warning, tree: tree{"bin/x*": "#!/usr/bin/env perl\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Error, tree: tree{"bin/x*": "#!bin/tool\n"}},
		{rule: "interpreter", file: "bin/x", line: 1, sev: Error, tree: tree{"bin/x*": "#!\n"}},
		{rule: "elf-damaged", file: "bin/x", sev: Error, tree: tree{"bin/x*": "\x7fELF rubbish"}},
		{rule: "elf-arch", file: "bin/x", sev: Error, tree: tree{"bin/x*": ext.ELF(64, "")}},
		{rule: "elf-loader", file: "bin/x", sev: Error, tree: tree{"bin/x*": ext.ELF(32, "/lib/ld-musl-i386.so.1")}},
		{rule: "elf-library", file: "bin/x", sev: Warning, tree: tree{"bin/x*": ext.ELF(32, "/lib/ld-linux.so.2", "libfoo.so.1")}},

		// The same shapes, correct.
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
		{rule: "fact-syntax", tree: tree{"facts.d/x.yaml": "a: [b]\na: again\n", "facts.d/x.json": "{}", "facts.d/y.json": `{"a": "\ud83d\ude00\/"}`}},
		{rule: "fact-shell-name", tree: tree{"facts.d/a b*": sh, "facts.d/it's.txt": "a=b\n", "bin/it's*": sh}},
		{rule: "fact-yaml", tree: tree{"facts.d/x.yaml": "a: ':b'\nc: !!binary aGVsbG8=\nd: '2001-01-01'\ne: &x {f: 1e3}\ng: *x\nh: ':'\n"}},
		{rule: "fact-empty", tree: tree{"facts.d/x.txt": "a=b\n"}},
		{rule: "ruby-syntax", tree: tree{"lib/ruby/facter/x.rb": "f(:a => 1)\n", "share/x.rb": "f(a: 1)"}},
		{rule: "fact-comment", tree: tree{"facts.d/x.txt": "# about a\na=# b\n"}},
		{rule: "fact-line", tree: tree{"facts.d/x.txt": "# a\n\na=b=c\r\n"}},
		{rule: "fact-blanks", tree: tree{"facts.d/x.txt": "a=b c\r\n"}},
		{rule: "fact-name", tree: tree{"facts.d/x.txt": "rack_2=B 7\n"}},
		{rule: "identity", tree: tree{"facts.d/x.txt": "site_serialnumber=1\n"}},
		{rule: "dropped", tree: tree{"facts.d/x.txt": "site_kernel=1\n"}},
		{rule: "fact-twice", tree: tree{"facts.d/a.yaml": "x: 1\n", "facts.d/b.txt": "y=2\ny=3\n"}},
		{rule: "encoding", tree: tree{"facts.d/x*": "\x00\xff"}},
		{rule: "fact-syntax", tree: tree{"facts.d/x.json": "\x00{}"}},
		{rule: "encoding", tree: tree{"facts.d/x.txt": "a=Müller\n", "share/x.txt": "\xff\xfex", "lib/ruby/x.rb": "# \xfc\n"}},
		{rule: "crlf", tree: tree{"bin/x*": sh, "facts.d/x.txt": "a=b\r\n"}},
		{rule: "no-shebang", tree: tree{"bin/x*": sh, "share/x*": "text"}},
		{rule: "interpreter", tree: tree{"bin/x*": sh, "bin/y*": "#!/usr/bin/env ruby\n", "bin/z*": "#! /usr/bin/env x -a\n", "share/q": "#!/usr/bin/perl\n"}},
		{rule: "elf-damaged", tree: tree{"bin/x*": ext.ELF(32, "")}},
		{rule: "elf-arch", tree: tree{"bin/x*": ext.ELF(32, "")}},
		{rule: "elf-loader", tree: tree{"bin/x*": ext.ELF(32, "/lib/ld-linux.so.2"), "bin/static*": ext.ELF(32, "")}},
		{rule: "elf-library", tree: tree{"lib/libfoo.so.1": "x", "bin/x*": ext.ELF(32, "/lib/ld-linux.so.2", "libfoo.so.1", "libc.so.6")}},
	}
}

// TestLintRules tests every rule with input that it must find and input that it must ignore.
func TestLintRules(t *testing.T) {
	bad, good := map[string]bool{}, map[string]bool{}
	for _, tc := range lintCases() {
		if tc.sev == "" {
			good[tc.rule] = true
		} else {
			bad[tc.rule] = true
		}
		t.Run(tc.rule+" "+string(tc.sev), func(t *testing.T) {
			found := tc.tree.lint(t, Options{Drops: drops})
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Rule == tc.rule })
			switch {
			case i < 0 && tc.sev == "":
			case i < 0:
				t.Fatalf("not found; got %v", found)
			case tc.sev == "":
				t.Fatalf("false alarm: %+v", found[i])
			default:
				f := found[i]
				if f.File != tc.file || f.Line != tc.line || f.Severity != tc.sev || f.What == "" || f.Fix == "" {
					t.Errorf("got %+v, want %s:%d %s", f, tc.file, tc.line, tc.sev)
				}
			}
		})
	}
	elsewhere := []string{"no-modes", "setuid", "world-writable", "leftover", "size", "elf-version"} // other tests
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

// rulesOf lists the findings of an archive or a directory in one line.
func rulesOf(found []Finding) string {
	var out []string
	for _, f := range found {
		out = append(out, f.File+" "+string(f.Severity)+" "+f.Rule)
	}
	return strings.Join(out, "; ")
}

func lintZip(t *testing.T, b []byte) string {
	t.Helper()
	s, err := extension.ReadZip("x.zip", bytes.NewReader(b), int64(len(b)), extension.DefaultLimits())
	testkit.Must(t, err)
	found, err := Check(t.Context(), s, Options{})
	testkit.Must(t, err)
	return rulesOf(found)
}

// TestLintArchives has the rules that only archives can break.
func TestLintArchives(t *testing.T) {
	file := func(name string) ext.Member { return ext.Item(name, "x", ext.File|0o644) }
	script := func(mode uint32) ext.Member { return ext.Item("bin/x", sh, mode) }
	const good = ext.File | 0o755
	big := ext.Item("lib/x", strings.Repeat("0123456789abcdef", 2<<20)+"x", ext.File|0o644)
	for name, tt := range map[string]struct {
		items []ext.Member
		want  string
	}{
		"good":                          {[]ext.Member{ext.Item("bin/", "", ext.Dir|0o755), script(good)}, ""},
		"MS-DOS":                        {[]ext.Member{script(0)}, " error no-modes"},
		"MS-DOS, data only":             {[]ext.Member{ext.Item("lib/x", "x", 0)}, ""},
		"setuid":                        {[]ext.Member{script(ext.File | 0o4755)}, "bin/x warning setuid"},
		"setgid":                        {[]ext.Member{script(ext.File | 0o2755)}, "bin/x warning setuid"},
		"world-writable":                {[]ext.Member{script(ext.File | 0o777)}, "bin/x warning world-writable"},
		"world-writable directory":      {[]ext.Member{ext.Item("bin/", "", ext.Dir|0o777), script(good)}, "bin warning world-writable"},
		"leftovers":                     {[]ext.Member{script(good), file("__MACOSX/bin/._x"), file(".git/HEAD"), file(".git/config")}, ".git warning leftover; __MACOSX warning leftover"},
		"two bad names and a good fact": {[]ext.Member{file("../x"), file("/abs"), ext.Item("facts.d/x.txt", "a=b\n", ext.File|0o644)}, "../x error refused; /abs error refused"},
		"duplicate":                     {[]ext.Member{script(good), script(good)}, "bin/x error refused"},
		"fifo":                          {[]ext.Member{script(good), ext.Item("p", "", ext.FIFO|0o644)}, "p error refused"},
		"circular links":                {[]ext.Member{script(good), ext.Item("a", "b", ext.Link|0o777), ext.Item("b", "a", ext.Link|0o777)}, "a error refused; b error refused"},
		"in the order of lines":         {[]ext.Member{script(good), ext.Item("facts.d/x.yaml", "serialnumber: 1\na: [!b c]\nd: [!e f]\n", ext.File|0o644)}, "facts.d/x.yaml error identity; facts.d/x.yaml error fact-yaml; facts.d/x.yaml error fact-yaml"},
		"a link to a folder of files":   {[]ext.Member{script(good), ext.Item("bin/l", "../lib/a", ext.Link|0o777), file("lib/a/b/x")}, ""},
		"wrapped":                       {[]ext.Member{ext.Item("e/bin/x", sh, good)}, " error wrapped"},
		"big":                           {[]ext.Member{big}, " warning size; lib/x error refused"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lintZip(t, ext.Zip(t, tt.items...)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	damaged := ext.Zip(t, ext.Item("bin/x", sh+strings.Repeat("echo hello\n", 50), good), ext.Item("bin/y", sh, good))
	damaged[bytes.Index(damaged, []byte("PK\x01\x02"))+16] ^= 0xff // CRC of the first member
	if got := lintZip(t, damaged); got != "bin/x error refused" {
		t.Errorf("damaged: %q", got)
	}
}

// TestLintLimits: input over the limits is reported and not read, even if only packing reveals it.
func TestLintLimits(t *testing.T) {
	two := tree{"bin/a*": sh, "bin/b*": sh}
	for name, tt := range map[string]struct {
		tree tree
		lim  func(*extension.Limits)
		want string
	}{
		"sizes": {two, func(l *extension.Limits) { l.Total, l.File = 10, 8 }, " error refused; bin/a error refused; bin/b error refused"},
		"ratio": {tree{"lib/x": strings.Repeat("\xff", 4<<20)}, func(*extension.Limits) {}, "lib/x error refused"},
	} {
		lim := extension.DefaultLimits()
		tt.lim(&lim)
		s, err := extension.ReadDir(ext.Tree(tt.tree).Write(t, t.TempDir()), lim)
		testkit.Must(t, err)
		if found, err := Check(t.Context(), s, Options{}); err != nil || rulesOf(found) != tt.want {
			t.Errorf("%s: %q, %v", name, rulesOf(found), err)
		}
	}
}

// TestText tests the text form of findings.
func TestText(t *testing.T) {
	found := []Finding{{"", 0, Error, "unused", "nothing", "something"}, {"bin/\x1b", 7, Warning, "crlf", "a", "b"}, {"x", 1, Warning, "crlf", "c", "d"}}
	const want = "(all): error: nothing [unused]\n    something\nbin/\\x1b:7: warning: a [crlf]\n    b\nx:1: warning: c [crlf]\n    d\n"
	if got := Text(found); got != want {
		t.Errorf("%q", got)
	}
	if got := CountText(found); got != "1 error, 2 warnings" {
		t.Error(got)
	}
	for arch, want := range map[string]bool{"x86": true, "x86_64": true, "arm": false} {
		if KnownArch(arch) != want {
			t.Error(arch)
		}
	}
}

// TestMarkForNewRuby: Ruby since 1.9 accepts a byte order mark.
func TestMarkForNewRuby(t *testing.T) {
	for dir, want := range map[string]int{"usr/local/lib/ruby/1.8": 1, "usr/local/lib/ruby/3.2": 0} {
		image := &overlay.Tree{}
		testkit.Must(t, image.Put(overlay.Dir(dir, 0o755)))
		found := (tree{"lib/ruby/facter/x.rb": "\xef\xbb\xbf# a\n"}).lint(t, Options{Image: NewImage("x", "x86", image)})
		if len(found) != want {
			t.Errorf("%s: %+v", dir, found)
		}
	}
}

// TestExampleIsClean: the files of `new` have neither errors nor warnings.
func TestExampleIsClean(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "ext")
	testkit.Must(t, extension.WriteExample(dir))
	s, err := extension.ReadDir(dir, extension.DefaultLimits())
	testkit.Must(t, err)
	found, err := Check(t.Context(), s, Options{Drops: drops})
	if err != nil || len(found) > 0 || len(s.Files) != 13 {
		t.Errorf("%d files, %+v, %v", len(s.Files), found, err)
	}
	if err := extension.WriteExample(dir); !errors.Is(err, extension.ErrNotEmpty) {
		t.Errorf("a second time: %v", err)
	}
}

func FuzzLint(f *testing.F) {
	f.Add("bin/x", []byte(sh), uint32(ext.File|0o755))
	f.Add("facts.d/x.yaml", []byte("a: &a [*a]\n"), uint32(ext.File|0o644))
	f.Add("facts.d/x.json", []byte(`{"a":1}`), uint32(ext.File|0o644))
	f.Add("bin/x", []byte(ext.ELF(32, "/lib/ld-linux.so.2", "libc.so.6")), uint32(ext.File|0o755))
	f.Add("bin/x", []byte(ext.ELF(64, "")), uint32(ext.File|0o755))
	f.Fuzz(func(t *testing.T, name string, body []byte, mode uint32) {
		if len(name) > 1000 {
			return
		}
		b := ext.Zip(t, ext.Item("bin/ok", sh, ext.File|0o755), ext.Item(strings.TrimRight(name, "/"), string(body), mode))
		s, err := extension.ReadZip("x.zip", bytes.NewReader(b), int64(len(b)), extension.DefaultLimits())
		if err != nil {
			return
		}
		if _, err := Check(t.Context(), s, Options{}); err != nil {
			t.Fatal(err)
		}
	})
}
