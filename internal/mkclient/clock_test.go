package mkclient

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// clockFiles may read a clock: certificates are checked against one, lines for syslog carry a
// time, and hardware.go measures how long ago a tool failed, on the monotonic clock.
var clockFiles = map[string]bool{"client.go": true, "web/web.go": true, "facts/hardware.go": true, "clientlog/clientlog.go": true}

// clockCalls are the ways to a clock besides what is called Now.
var clockCalls = map[string]bool{
	"time.Since": true, "time.Until": true, "syscall.Time": true, "syscall.Gettimeofday": true,
	"unix.Time": true, "unix.Gettimeofday": true, "unix.ClockGettime": true,
}

// clockUses lists where a file reads a clock or takes the one of Options.
func clockUses(t *testing.T, fset *token.FileSet, file string, src any) (uses []string) {
	t.Helper()
	f, err := parser.ParseFile(fset, file, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			pkg, _ := sel.X.(*ast.Ident)
			name := sel.Sel.Name
			if name == "Now" || pkg != nil && clockCalls[pkg.Name+"."+name] {
				uses = append(uses, fset.Position(sel.Pos()).String())
			}
		}
		return true
	})
	return uses
}

// TestNoClockDecides holds what E08 cannot show by turning one clock: nothing that decides about
// an extension asks for the time.
func TestNoClockDecides(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("*.go")
	rooms, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, rooms...) {
		if strings.HasSuffix(file, "_test.go") || clockFiles[file] {
			continue
		}
		seen++
		for _, at := range clockUses(t, token.NewFileSet(), file, nil) {
			t.Errorf("%s: reads a clock", at)
		}
	}
	if seen < 15 {
		t.Errorf("only %d files looked at", seen)
	}
	for _, bad := range []string{"time.Now()", "time.Since(x)", "time.Until(x)", "c.opt.Now()", "r.now.Now", "syscall.Time(nil)"} {
		if len(clockUses(t, token.NewFileSet(), "x.go", "package x\nvar y = "+bad)) != 1 {
			t.Errorf("%s is not recognised", bad)
		}
	}
}
