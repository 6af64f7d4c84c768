// Command numbers prints measurements of the code's size and structure: lines, functions, error types, and how far
// types and uses of names are spread over the files of a package. It reads each package separately.
//
//	go run ./scripts/numbers [FOLDER]
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Limits for the project.
const (
	maxProduct   = 42_000 // lines of product code
	maxTests     = 30_000 // lines of tests
	maxPackage   = 3_500  // lines of one package in its own folder
	maxSpread    = 4      // files that hold the methods of one type
	maxErrors    = 25     // types with a method Error
	maxBackUp    = 10     // percent of the uses of names between files that point upward
	longFunction = 50     // lines
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	n, err := measure(os.DirFS(root))
	if err != nil {
		fmt.Fprintln(os.Stderr, "numbers:", err)
		os.Exit(1)
	}
	n.print()
}

// numbers are the measurements of a tree.
type numbers struct {
	set            *token.FileSet
	product, tests int
	errors         int
	functions      []int // lengths
	packages       map[string]*pkg
}

// pkg is the product code of one folder.
type pkg struct {
	set     *token.FileSet
	lines   int
	files   map[string]*ast.File
	methods map[string]map[string]bool // type → files
}

// isProduct separates shipped code from tests, stand-ins, test helpers and these scripts.
func isProduct(name string) bool {
	return !strings.HasSuffix(name, "_test.go") && !slices.ContainsFunc([]string{"e2e/", "bench/", "scripts/"}, func(dir string) bool { return strings.HasPrefix(name, dir) })
}

func measure(tree fs.FS) (*numbers, error) {
	n := &numbers{set: token.NewFileSet(), packages: map[string]*pkg{}}
	return n, fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (base == "testdata" || base == "build" || strings.HasPrefix(base, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		return n.file(name, text)
	})
}

// file measures one Go file.
func (n *numbers) file(name string, text []byte) error {
	lines := strings.Count(string(text), "\n")
	if strings.HasSuffix(name, "_test.go") {
		n.tests += lines
	}
	if !isProduct(name) {
		return nil
	}
	f, err := parser.ParseFile(n.set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := n.packages[path.Dir(name)]
	if p == nil {
		p = &pkg{set: n.set, files: map[string]*ast.File{}, methods: map[string]map[string]bool{}}
		n.packages[path.Dir(name)] = p
	}
	n.product += lines
	p.lines += lines
	p.files[path.Base(name)] = f
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			n.function(p, path.Base(name), fn)
		}
	}
	return nil
}

func (n *numbers) function(p *pkg, file string, fn *ast.FuncDecl) {
	n.functions = append(n.functions, n.set.Position(fn.End()).Line-n.set.Position(fn.Pos()).Line+1)
	t := receiver(fn)
	if t == "" {
		return
	}
	if p.methods[t] == nil {
		p.methods[t] = map[string]bool{}
	}
	p.methods[t][file] = true
	if fn.Name.Name == "Error" && fn.Type.Params.NumFields() == 0 {
		n.errors++
	}
}

// receiver returns the name of a method's type, or "" for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	t := fn.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// uses returns the number of names and methods that each file uses from each other file of the package. Other
// packages are not read: calls on their values are not resolved and do not count.
func (p *pkg) uses() map[[2]string]int {
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	check := types.Config{Importer: none{}, Error: func(error) {}}
	own, _ := check.Check("own", p.set, slices.Collect(maps.Values(p.files)), &info)
	type use struct {
		file string
		of   types.Object
	}
	seen, out := map[use]bool{}, map[[2]string]int{}
	for id, of := range info.Uses {
		u := use{path.Base(p.set.Position(id.Pos()).Filename), of}
		if of.Pkg() != own || seen[u] || !lasting(of, own) {
			continue
		}
		seen[u] = true
		if at := path.Base(p.set.Position(of.Pos()).Filename); at != u.file {
			out[[2]string{u.file, at}]++
		}
	}
	return out
}

// lasting reports whether an object is a name of the package or a method. Fields belong to their type.
func lasting(of types.Object, own *types.Package) bool {
	if fn, ok := of.(*types.Func); ok && fn.Signature().Recv() != nil {
		return true
	}
	return of.Parent() == own.Scope()
}

// none imports nothing.
type none struct{}

func (none) Import(name string) (*types.Package, error) { return nil, errors.New(name) }

// backUp orders the files so that the fewest uses point from a lower file to a higher file. It returns the number
// of those uses and of all uses.
func (p *pkg) backUp() (up, all int) {
	uses := p.uses()
	var order []string
	for f := range p.files {
		order = append(order, f)
	}
	slices.Sort(order)
	for _, n := range uses {
		all += n
	}
	for better := true; better; { // move each file to its best place until nothing improves
		better = false
		for i := range order {
			if to, gain := bestPlace(order, i, uses); gain > 0 {
				f := order[i]
				order = slices.Insert(slices.Delete(order, i, i+1), to, f)
				better = true
			}
		}
	}
	for i, low := range order {
		for _, high := range order[:i] {
			up += uses[[2]string{low, high}]
		}
	}
	return up, all
}

// bestPlace returns the best position of file i, and the decrease of upward uses.
func bestPlace(order []string, i int, uses map[[2]string]int) (to, gain int) {
	to = i
	for _, step := range []int{-1, 1} {
		sum := 0
		for j := i + step; j >= 0 && j < len(order); j += step {
			down, up := uses[[2]string{order[i], order[j]}], uses[[2]string{order[j], order[i]}]
			sum += step * (up - down)
			if sum > gain {
				to, gain = j, sum
			}
		}
	}
	return to, gain
}

func (n *numbers) print() {
	fmt.Printf("product  %6d lines (at most %d)\n", n.product, maxProduct)
	fmt.Printf("tests    %6d lines (at most %d)\n", n.tests, maxTests)
	fmt.Printf("errors   %6d types (at most %d)\n", n.errors, maxErrors)
	slices.Sort(n.functions)
	long := len(n.functions) - countUpTo(n.functions, longFunction)
	fmt.Printf("functions: median %d, p90 %d, p99 %d lines; %d over %d\n\n", quantile(n.functions, 50), quantile(n.functions, 90), quantile(n.functions, 99), long, longFunction)
	fmt.Printf("%-28s %6s %6s  %s\n", "package", "lines", "up", "types in more than 4 files")
	names := make([]string, 0, len(n.packages))
	for name := range n.packages {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Println(n.packages[name].row(name))
	}
}

// row is one line of the table; a star marks a value over the limit.
func (p *pkg) row(name string) string {
	up, all := p.backUp()
	share := 0
	if all > 0 {
		share = (100*up + all - 1) / all
	}
	var spread []string
	for t, files := range p.methods {
		if len(files) > maxSpread {
			spread = append(spread, fmt.Sprintf("%s in %d", t, len(files)))
		}
	}
	slices.Sort(spread)
	return strings.TrimRight(fmt.Sprintf("%-28s %6d%s %4d %%%s %s", name, p.lines, star(p.lines > maxPackage), share, star(share > maxBackUp), strings.Join(spread, ", ")), " ")
}

func star(over bool) string {
	if over {
		return "*"
	}
	return " "
}

func quantile(sorted []int, percent int) int {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}

func countUpTo(sorted []int, limit int) int {
	at, _ := slices.BinarySearch(sorted, limit+1)
	return at
}
