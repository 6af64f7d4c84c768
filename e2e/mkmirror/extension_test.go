package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/config"
	"mkbuild/internal/inputs"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// stub is a series during the build, without packages.
func stub(s series) *mirror {
	return &mirror{series: s, kernels: []*kernel{{release: "6.1"}, {release: "6.1-other"}}[:1+len(s.others)]}
}

// Each extension comes after its dependencies, so that their libraries are known; the deliberate cycle is the
// exception. Each has a content, and each other kernel its own modules.
func TestExtensionTables(t *testing.T) {
	for _, s := range allSeries() {
		table, byFile := stub(s).table()
		if len(table) != len(byFile) {
			t.Errorf("%s: %d extensions have %d names", s.folder(), len(table), len(byFile))
		}
		made := make(map[string]bool)
		for _, x := range table {
			if c := x.content(); c.title == "" || (c.fill == nil) == (c.modules == nil) {
				t.Errorf("%s: %s: no content", s.folder(), x.file())
			}
			for _, name := range tcz.ParseDep([]byte(x.dep)) {
				file := x.kernel.fileName(strings.TrimSuffix(name, ".tcz"))
				if byFile[file] == nil {
					t.Errorf("%s: %s needs %s, which is not in the table", s.folder(), x.file(), file)
				}
				if !made[file] && x.name != "ncurses-common" {
					t.Errorf("%s: %s comes before %s", s.folder(), x.file(), file)
				}
			}
			made[x.file()] = true
		}
	}
}

// The mirror has one of the names of each default extension of mkbuild.
func TestTablesHaveWhatIsAskedFor(t *testing.T) {
	for _, s := range allSeries() {
		_, byFile := stub(s).table()
		c := config.Default()
		c.Release, c.Arch, c.Profile = s.release, s.arch, "dev"
		p, err := inputs.NewPlan(c)
		testkit.Must(t, err)
		if want := s.edition + "-" + s.release + ".iso"; p.ISO != want {
			t.Errorf("mkbuild asks for %s, which is %s here", p.ISO, want)
		}
		for _, entry := range p.Extensions {
			names, optional := config.Alternatives(entry)
			if !optional && !slices.ContainsFunc(names, func(name string) bool { return byFile[(&kernel{release: "6.1"}).fileName(name)] != nil }) {
				t.Errorf("%s: no %s", s.folder(), entry)
			}
		}
	}
}

// 8.x has the gaps of the real mirror: no ruby.tcz, and modules for a kernel that the ISO lacks.
func TestSeries8HasGaps(t *testing.T) {
	_, byFile := stub(matching("8.x")[0]).table()
	for file, want := range map[string]bool{
		"ruby.tcz": false, "ruby-1.9.tcz": true, "ruby-2.2.tcz": true, "scsi-6.1.tcz": true, "scsi-6.1-other.tcz": true,
		"raid-dm-6.1-other.tcz": true, "openssl-1.0.0.tcz": false, "libssl-0.9.8.tcz": false, "firmware-bnx2.tcz": false,
	} {
		if (byFile[file] != nil) != want {
			t.Errorf("%s: there is %v, want %v", file, !want, want)
		}
	}
}

// The quirks of the real mirrors must survive a cleanup of the table.
func TestExtensionTableHasQuirks(t *testing.T) {
	table, byFile := stub(allSeries()[0]).table()
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
	ncurses, common := byFile["ncurses.tcz"], byFile["ncurses-common.tcz"]
	if !slices.Contains(ncurses.dependencies(byFile), common) || !slices.Contains(common.dependencies(byFile), ncurses) {
		t.Error("no cycle")
	}
}

func TestDependencies(t *testing.T) {
	byFile := make(map[string]*extension)
	for _, x := range []*extension{
		{name: "a", dep: "\nb.tcz \nb.tcz\nc-KERNEL.tcz"}, {name: "b", dep: "a.tcz\n"}, {name: "c-KERNEL", dep: "gone.tcz\n"},
	} {
		x.kernel = &kernel{release: "6.1"}
		byFile[x.file()] = x
	}
	want := []*extension{byFile["b.tcz"], byFile["c-6.1.tcz"]}
	if got := byFile["a.tcz"].dependencies(byFile); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFileName(t *testing.T) {
	k := &kernel{release: "6.1.0-50-686"}
	for in, want := range map[string]string{"bash": "bash.tcz", "scsi-KERNEL": "scsi-6.1.0-50-686.tcz", "KERNEL-x": "KERNEL-x.tcz"} {
		if got := k.fileName(in); got != want {
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

// The CD of CorePlus has its extensions with all dependencies, each with its digest.
func TestStageCDE(t *testing.T) {
	m := stub(allSeries()[0])
	m.dir = t.TempDir()
	table, _ := m.table()
	for _, x := range table {
		file := m.path("tcz", x.file())
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
