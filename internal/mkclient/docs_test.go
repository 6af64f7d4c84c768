package mkclient

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mkbuild/internal/mkclient/settings"
)

var update = flag.Bool("update", false, "write the generated tables of docs/runtime.md")

const runtimeDoc = "../../docs/runtime.md"

// requirement is one promise of the extension mechanism.
type requirement struct{ ID, Text string }

// requirements are what the description of the extension mechanism promises to users, one
// testable sentence each. The tests named for them are found by their names.
func requirements() []requirement {
	return []requirement{
		{"E01", "A fact that only the extension defines is in the same check-in as Facter's own."},
		{"E02", "That fact can drive a rule whose policy makes the machine reboot."},
		{"E03", "Requests for the extension name no node, and all nodes get the same bytes."},
		{"E04", "The file that `microkernel.extension-zip` names is what clients get."},
		{"E05", "Unpacking comes before collecting, and that before the check-in, in every cycle."},
		{"E06", "One retrieval attempt comes before each check-in, after failures too."},
		{"E07", "A client that runs already uses a new extension at its next check-in."},
		{"E08", "A server timestamp newer than the downloaded copy's is fetched, whatever the local clock says."},
		{"E09", "Without a downloaded copy the extension is fetched whatever its timestamp."},
		{"E10", "What is not newer is not unpacked again."},
		{"E11", "Content goes to a new directory; old and new never mix."},
		{"E12", "The directory does not outlive the running image."},
		{"E13", "Local edits in it vanish when a new extension arrives."},
		{"E14", "It is not erased by a cycle that brought nothing new."},
		{"E15", "`bin` is in PATH for facts and all their children."},
		{"E16", "`lib` is in LD_LIBRARY_PATH."},
		{"E17", "`lib/ruby` is in RUBYLIB."},
		{"E18", "`facts.d` gives external facts: .txt, .json, .yaml and executables."},
		{"E19", "What these variables held before is kept behind the extension's directories."},
		{"E20", "Any of the directories may be missing; an archive may be empty."},
		{"E21", "No other variable differs between a run with and without an extension."},
		{"E22", "Files that are executable in the archive are so after unpacking, others are not."},
		{"E23", "There is no setuid, setgid or sticky bit after unpacking."},
		{"E24", "Facts run as the client's user: root in an image."},
		{"E25", "The directory's name differs between generations."},
		{"E26", "Content is reachable relative to itself, to the working directory and through the search paths."},
		{"E27", "State outside the directory, as in `/tmp`, survives check-ins and new extensions."},
		{"E28", "State inside it vanishes with a new extension."},
		{"E29", "`lib/ruby/facter/NAME.rb` is loaded as custom facts without configuration."},
		{"E30", "The first check-in with the extension has its facts already."},
		{"E31", "No environment variable can be set through files in the archive."},
		{"E32", "Facter's own command execution finds the extension's programs."},
		{"E33", "Trouble with the extension never prevents a check-in."},
		{"E34", "After a failed attempt the next cycle tries again."},
		{"E35", "No extension at the server is a normal, quiet state."},
		{"E36", "Scripts, Ruby, ELF programs and libraries work."},
	}
}

// testNames lists the test functions of this package, from its source.
func testNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names = append(names, fn.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// requirementsTable pairs every requirement with its test; one without fails.
func requirementsTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| id | requirement | test |\n|---|---|---|\n")
	names := testNames(t)
	for _, r := range requirements() {
		test := ""
		for _, n := range names {
			if strings.HasPrefix(n, "Test"+r.ID+"_") {
				test = n
			}
		}
		if test == "" {
			t.Errorf("%s has no test", r.ID)
		}
		fmt.Fprintf(&b, "| %s | %s | `%s` |\n", r.ID, r.Text, test)
	}
	return b.String()
}

// faultTable lists every row of the fault matrix with the test that runs it, each without an
// extension and with a good one before.
func faultTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| fault | test, `/no_previous` and `/previous_good` each |\n|---|---|\n")
	row := func(name, test string) {
		fmt.Fprintf(&b, "| %s | `%s` |\n", name, test)
	}
	sub := func(test, name string) string { return test + "/" + strings.ReplaceAll(name, " ", "_") }
	for _, f := range downloadFaults(t) {
		row("download: "+f.name, sub("TestFault_Download", f.name))
	}
	row("server unreachable", "TestFault_Unreachable")
	row("disk full", "TestFault_FullDisk")
	for _, name := range slices.Sorted(maps.Keys(clocks)) {
		row("local clock in "+name, sub("TestFault_Clock", name))
	}
	for _, f := range facterFaults() {
		row("facter: "+f.name, sub("TestFault_Facter", f.name))
	}
	for _, name := range slices.Sorted(maps.Keys(badFacts())) {
		row("a fact of the extension: "+name, sub("TestFault_BadFacts", name))
	}
	return b.String()
}

// settingsTable renders the table of settings.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| setting | default | meaning |\n|---|---|---|\n")
	for _, row := range settings.Table() {
		cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", cell(row.Usage()), cell(row.DefaultText()), cell(row.Help))
	}
	return b.String()
}

// TestRuntimeDoc keeps the tables of docs/runtime.md equal to the code; -update writes them.
func TestRuntimeDoc(t *testing.T) {
	b, err := os.ReadFile(runtimeDoc)
	if err != nil {
		t.Fatal(err)
	}
	want := string(b)
	for name, table := range map[string]string{
		"settings": settingsTable(), "requirements": requirementsTable(t), "faults": faultTable(t),
	} {
		block := regexp.MustCompile(`(?s)(<!-- ` + name + `: generated[^\n]*-->\n).*?(<!-- end ` + name + ` -->)`)
		if !block.MatchString(want) {
			t.Fatalf("%s has no block %q", runtimeDoc, name)
		}
		want = block.ReplaceAllStringFunc(want, func(old string) string {
			m := block.FindStringSubmatch(old)
			return m[1] + table + m[2]
		})
	}
	if want == string(b) {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: run go test ./internal/mkclient -run TestRuntimeDoc -update", runtimeDoc)
	}
	if err := os.WriteFile(runtimeDoc, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
