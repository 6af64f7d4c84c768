package planreport

import (
	"debug/elf"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
)

// tree makes a tree of entries with an origin.
func tree(t *testing.T, origin string, es ...overlay.Entry) *overlay.Tree {
	t.Helper()
	out := &overlay.Tree{}
	put(t, out, origin, es...)
	return out
}

func put(t *testing.T, out *overlay.Tree, origin string, es ...overlay.Entry) {
	t.Helper()
	for _, e := range es {
		e.Origin = origin
		if err := out.Put(e); err != nil {
			t.Fatal(err)
		}
	}
}

func linked(group string, e overlay.Entry) overlay.Entry {
	e.HardLink = group
	return e
}

// drawn is a closure as people see it.
func drawn(nodes []*Node) string {
	t := &text{}
	for _, n := range nodes {
		n.print(t, 0)
	}
	return t.b.String()
}

func TestClosure(t *testing.T) {
	x := func(name string, why []string, needs ...string) lock.Input {
		return lock.Input{Kind: lock.TCZ, Name: name, Why: why, Needs: needs}
	}
	got := drawn(closure([]lock.Input{
		x("a.tcz", []string{lock.WhyConfig, "c.tcz"}, "b.tcz", "c.tcz", "gone.tcz"),
		x("b.tcz", []string{"a.tcz", "c.tcz"}, "d.tcz"),
		x("c.tcz", []string{"a.tcz"}, "a.tcz", "b.tcz", "d.tcz"),
		x("d.tcz", []string{"b.tcz", "c.tcz", lock.WhyDev}),
		x("p.tcz", []string{lock.WhyPick}, "b.tcz"),
		{Kind: lock.Gem, Name: "g.gem", Why: []string{lock.WhyConfig}},
	}))
	const want = `a.tcz  (configuration)
  b.tcz
    d.tcz
  c.tcz
    a.tcz  (needs what is shown above)
    b.tcz  (needs what is shown above)
    d.tcz
d.tcz  (profile dev)
p.tcz  (pick)
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestMeasure(t *testing.T) {
	files, unpacked, ram := measure(tree(t, "x", overlay.Dir("d", 0o755), overlay.File("d/empty", 0o644, nil), overlay.File("d/one", 0o644, []byte("1")),
		overlay.File("d/page", 0o644, make([]byte, 4096)), overlay.File("d/more", 0o644, make([]byte, 4097)), overlay.Symlink("d/link", "one"),
		linked("g", overlay.File("d/x", 0o644, make([]byte, 10))), linked("g", overlay.File("d/y", 0o644, make([]byte, 10)))))
	if files != 7 || unpacked != 1+4096+4097+10 || ram != 4096+4096+8192+4096 {
		t.Errorf("got %d files, %d unpacked, %d in RAM", files, unpacked, ram)
	}
}

func TestActions(t *testing.T) {
	base := tree(t, "Core.iso", overlay.Dir("etc", 0o755), overlay.File("etc/kept", 0o644, []byte("k")), overlay.File("etc/changed", 0o644, []byte("old")))
	image := base.Clone()
	put(t, image, "", overlay.File("etc/changed", 0o644, []byte("new!")))
	put(t, image, "x.tcz", overlay.Dir("opt", 0o755), overlay.Symlink("opt/l", "../etc/kept"))
	got := actions(base, image)
	want := []Action{
		{Path: "etc/changed", Do: Replace, Origin: "mkbuild", Mode: "100644", Size: 4},
		{Path: "opt", Do: Add, Origin: "x.tcz", Mode: "040755"},
		{Path: "opt/l", Do: Add, Origin: "x.tcz", Mode: "120777", Link: "../etc/kept"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

// TestFindings seeds one of each kind, and what must not be reported.
func TestFindings(t *testing.T) {
	base := tree(t, "Core.iso", linked("b", overlay.File("bin/busybox", 0o755, []byte("b"))), overlay.Symlink("bin/mount", "busybox"), overlay.Symlink("usr/bin/who", "../../bin/busybox"),
		linked("b", overlay.File("bin/ls", 0o755, []byte("b"))), overlay.File("bin/real", 0o755, []byte("r")), overlay.Symlink("usr/local/bin/early", "/bin/busybox"), overlay.Symlink("bin/nowhere", "gone"))
	image := base.Clone()
	put(t, image, "x.tcz",
		overlay.File("usr/local/bin/mount", 0o755, []byte("m")), overlay.Symlink("usr/bin/ls", "/usr/local/bin/mount"), overlay.File("usr/bin/who", 0o755, []byte("w")),
		overlay.File("usr/bin/early", 0o755, nil), overlay.File("usr/local/bin/real", 0o755, nil), overlay.File("usr/share/mount", 0o644, nil),
		overlay.Symlink("opt/lost", "nothing/here"), overlay.Symlink("opt/loop", "loop"), overlay.Symlink("opt/later", "/var/run/x.pid"), overlay.Symlink("opt/tmp", "/tmp"),
		overlay.Symlink("opt/fine", "../bin/real"), overlay.Symlink("opt/root", "/"))
	var got []string
	for _, w := range findings(&remaster.Preview{Base: base, Image: image}) {
		got = append(got, w.Rule+" "+w.Item)
	}
	want := []string{
		"dangling-link opt/loop", "dangling-link opt/lost",
		"shadows-busybox usr/local/bin/mount", "shadows-busybox usr/bin/ls", "shadows-busybox usr/bin/who",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestMissingLibraries adds this very program, or another of the host's that is linked dynamically.
func TestMissingLibraries(t *testing.T) {
	b, err := os.ReadFile("/bin/ls")
	if err != nil {
		t.Skip("no /bin/ls: ", err)
	}
	if f, err := elf.Open("/bin/ls"); err != nil || must(f.ImportedLibraries()) == nil {
		t.Skip("/bin/ls is not linked dynamically")
	}
	program := overlay.File("bin/program", 0o755, b)
	base := tree(t, "Core.iso", overlay.File("bin/x", 0o755, []byte("x")))
	image := base.Clone()
	put(t, image, "x.tcz", program)
	got := missingLibraries(&remaster.Preview{Base: base, Image: image})
	if !slices.ContainsFunc(got, func(w Warning) bool { return w.Rule == RuleMissingLibrary && strings.HasPrefix(w.Item, "libc.so") }) {
		t.Errorf("got %v", got)
	}
	if got := missingLibraries(&remaster.Preview{Base: image, Image: image}); len(got) > 0 {
		t.Errorf("what the base lacks by itself was reported: %v", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestParseLimits(t *testing.T) {
	l, err := ParseLimits("iso=64M, initrd=48MiB,ram=1048576")
	if err != nil || l["iso"] != 64<<20 || l["initrd"] != 48<<20 || l["ram"] != 1<<20 {
		t.Errorf("got %v, %v", l, err)
	}
	for _, text := range []string{"", "iso", "iso=", "cd=1", "iso=1,", "iso=-1", "iso=0", "iso=1iB", "iso=M", "iso=1T", "iso=9223372036854775807G"} {
		if l, err := ParseLimits(text); err == nil {
			t.Errorf("%q: got %v", text, l)
		}
	}
}

func TestCheckLimits(t *testing.T) {
	r := &Report{Sizes: Sizes{ISO: 100, Initrd: 50, BootRAM: 200}}
	if err := (Limits{"iso": 100, "initrd": 50, "ram": 200}).Check(r); err != nil {
		t.Error(err)
	}
	if err := Limits(nil).Check(r); err != nil {
		t.Error(err)
	}
	var se *SizeError
	if err := (Limits{"iso": 99, "ram": 10}).Check(r); !errors.As(err, &se) || len(se.Over) != 2 || !strings.Contains(err.Error(), "100 bytes, 1 more than the limit of 99") {
		t.Errorf("got %v", err)
	}
}

// TestPrintIsClean: names from a mirror cannot move the cursor of a terminal.
func TestPrintIsClean(t *testing.T) {
	const evil = "x\x1b[2J\n.tcz"
	r := &Report{
		Inputs: []lock.Input{{Name: evil, URL: evil}}, Closure: []*Node{{Name: evil}}, Parts: []Part{{Name: evil}},
		Actions: []Action{{Path: evil, Do: Replace, Origin: evil}}, Conflicts: []Conflict{{evil, evil, evil, evil}}, Warnings: []Warning{{evil, evil, evil}}, Notes: []string{evil},
	}
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), "\n.tcz") {
		t.Errorf("got %q", out.String())
	}
}
