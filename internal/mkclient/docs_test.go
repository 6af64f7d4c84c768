package mkclient

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/mkclient/settings"
)

var update = flag.Bool("update", false, "write the generated tables of docs/runtime.md")

const runtimeDoc = "../../docs/runtime.md"

// requirementsTable lists the tests of requirements with their comments.
func requirementsTable(t *testing.T) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "requirements_test.go", nil, parser.ParseComments)
	testkit.Must(t, err)
	var b strings.Builder
	b.WriteString("| id | requirement | test |\n|---|---|---|\n")
	next := 1
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(fn.Name.Name, "TestE") {
			continue
		}
		id := fmt.Sprintf("E%02d", next)
		if next++; fn.Doc == nil || !strings.HasPrefix(fn.Name.Name, "Test"+id+"_") {
			t.Errorf("%s has no comment, or is not where %s should be", fn.Name.Name, id)
		}
		fmt.Fprintf(&b, "| %s | %s | `%s` |\n", id, strings.Join(strings.Fields(fn.Doc.Text()), " "), fn.Name.Name)
	}
	if next != 37 {
		t.Errorf("%d requirements of 36", next-1)
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
	testkit.Must(t, err)
	want := string(b)
	for name, table := range map[string]string{
		"settings": settingsTable(), "requirements": requirementsTable(t),
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
	testkit.Must(t, os.WriteFile(runtimeDoc, []byte(want), 0o644))
}
