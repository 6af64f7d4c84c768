package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

func tableByName(t *testing.T, table []*extension) ([]*extension, map[string]*extension) {
	t.Helper()
	byName := make(map[string]*extension)
	for _, x := range table {
		if byName[x.name] != nil {
			t.Errorf("%s is twice in the table", x.name)
		}
		byName[x.name] = x
	}
	return table, byName
}

// Each extension comes after those that it needs, so that their libraries are known; the cycle on
// purpose is the exception.
func TestExtensionTableOrder(t *testing.T) {
	for _, table := range [][]*extension{extensionTable(), modernTable()} {
		checkOrder(t, table)
	}
}

func checkOrder(t *testing.T, table []*extension) {
	t.Helper()
	table, byName := tableByName(t, table)
	made := make(map[string]bool)
	for _, x := range table {
		for _, d := range tcz.ParseDep([]byte(x.dep)) {
			name := strings.TrimSuffix(d, ".tcz")
			if byName[name] == nil {
				t.Errorf("%s needs %s, which is not in the table", x.name, d)
			}
			if !made[name] && x.name != "ncurses-common" {
				t.Errorf("%s comes before %s", x.name, name)
			}
		}
		made[x.name] = true
	}
}

// The mirror has what mkbuild asks for by default, in both series.
func TestTablesHaveTheDefaults(t *testing.T) {
	for _, p := range ports() {
		m := &mirror{port: p}
		_, byName := tableByName(t, m.table())
		series := tcz.SeriesOf(map[bool]string{false: "4.5.2", true: "15.0"}[p.modern], p.arch)
		if series.Edition != p.edition {
			t.Errorf("%s: another edition than in mkbuild's table", p.arch)
		}
		for _, name := range append(series.Extensions, "openssh") {
			if byName[name] == nil {
				t.Errorf("%s: no %s", p.arch, name)
			}
		}
	}
}

// The oddities of the real mirrors must not get lost when somebody tidies the table.
func TestExtensionTableHasQuirks(t *testing.T) {
	table, byName := tableByName(t, extensionTable())
	var all []string
	for _, x := range table {
		if x.dep != "" {
			all = append(all, x.dep)
		}
	}
	has := func(what string, test func(dep string) bool) {
		if !slices.ContainsFunc(all, test) {
			t.Errorf("no .dep with %s", what)
		}
	}
	has("an empty first line", func(d string) bool { return d[0] == '\n' })
	has("an empty last line", func(d string) bool { return strings.HasSuffix(d, "\n\n") })
	has("a line of one blank", func(d string) bool { return strings.Contains(d, "\n \n") })
	has("a trailing blank", func(d string) bool { return strings.Contains(d, ".tcz \n") })
	has("no final newline", func(d string) bool { return !strings.HasSuffix(d, "\n") })
	has("-KERNEL", func(d string) bool { return strings.Contains(d, "-KERNEL.tcz") })
	has("a name twice", func(d string) bool {
		f := strings.Fields(d)
		slices.Sort(f)
		return len(slices.Compact(slices.Clone(f))) < len(f)
	})
	if !slices.Contains(dependencies("ncurses", byName), "ncurses-common") || !slices.Contains(dependencies("ncurses-common", byName), "ncurses") {
		t.Error("no cycle")
	}
}

func TestDependencies(t *testing.T) {
	byName := map[string]*extension{
		"a": {dep: "\nb.tcz \nb.tcz\nc-KERNEL.tcz"}, "b": {dep: "a.tcz\n"}, "c-KERNEL": {dep: "gone.tcz\n"},
	}
	if got, want := dependencies("a", byName), []string{"b", "c-KERNEL"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFileName(t *testing.T) {
	m := &mirror{mods: &modules{kernel: "6.1.0-50-686"}}
	for in, want := range map[string]string{"bash": "bash.tcz", "scsi-KERNEL": "scsi-6.1.0-50-686.tcz", "KERNEL-x": "KERNEL-x.tcz"} {
		if got := m.fileName(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestPseudoFile(t *testing.T) {
	tree := &overlay.Tree{}
	for _, e := range []overlay.Entry{
		overlay.Dir(".", 0o777), {Path: "tmp", Mode: overlay.TypeDir | 0o1777, UID: 1001, GID: 50}, overlay.Symlink("x", "y"),
	} {
		testkit.Must(t, tree.Put(e))
	}
	got, err := pseudoFile(tree)
	if want := "tmp m 1777 1001 50\nx m 777 0 0\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	testkit.Must(t, tree.Put(overlay.File("a b", 0o644, nil)))
	if _, err := pseudoFile(tree); err == nil {
		t.Error("a name with a blank is taken")
	}
}

// The CD of CorePlus has its extensions with all that they need, each with its digest.
func TestStageCDE(t *testing.T) {
	m := &mirror{port: ports()[0], release: "4.5.2", dir: t.TempDir(), mods: &modules{kernel: "6.1"}}
	for _, x := range m.table() {
		file := m.path("tcz", m.fileName(x.name))
		writeTestFile(t, file, x.name)
		writeTestFile(t, file+".md5.txt", "sum")
		if x.dep != "" {
			writeTestFile(t, file+".dep", x.dep)
		}
	}
	dir := t.TempDir()
	testkit.Must(t, m.stageCDE(dir))
	list, err := os.ReadFile(filepath.Join(dir, "onboot.lst"))
	if err != nil || string(list) != "bash.tcz\ndmidecode.tcz\nscsi-6.1.tcz\n" {
		t.Errorf("onboot.lst: %v, %q", err, list)
	}
	for _, name := range []string{"bash.tcz.dep", "ncurses-common.tcz.md5.txt", "raid-dm-6.1.tcz"} {
		if _, err := os.Stat(filepath.Join(dir, "optional", name)); err != nil {
			t.Error(err)
		}
	}
	testkit.Must(t, os.Remove(m.path("tcz", "bash.tcz.md5.txt")))
	if err := m.stageCDE(t.TempDir()); err == nil {
		t.Error("an extension without its digest is taken")
	}
}
