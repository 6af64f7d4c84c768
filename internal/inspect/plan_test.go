package inspect

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
)

// TestPlanIsTheImage: a plan equals inspect's report of the built image, except for the build itself.
func TestPlanIsTheImage(t *testing.T) {
	dir := mirror(t)
	write(t, filepath.Join(dir, "own/bootlocal.sh"), []byte("register --token s3cret\n"))
	for what, c := range map[string]struct {
		text string
		edit func(*config.Config)
	}{
		"append": {tinymirror.Config, nil},
		"merged": {tinymirror.Config, func(c *config.Config) { c.Initrd.Layout, c.Profile = "merged", "dev" }},
		"uefi":   {tinymirror.Config64, nil},
		"own files": {tinymirror.Config, func(c *config.Config) {
			c.Overlay = []config.UserFiles{{Source: filepath.Join(dir, "own"), Target: "/opt"}}
		}},
	} {
		t.Run(what, func(t *testing.T) {
			b, s := staged(t, dir, c.text, c.edit)
			p, err := b.Preview(t.Context(), s)
			testkit.Must(t, err)
			defer p.Close()
			planned, err := Plan(t.Context(), "x.iso", p, nil, false)
			testkit.Must(t, err)
			if planned.Plan == nil || len(planned.Plan.Changes) == 0 || planned.Manifest.Inputs[0].URL == "" {
				t.Errorf("%+v", planned.Plan)
			}
			all, err := Plan(t.Context(), "x.iso", p, nil, true)
			testkit.Must(t, err)
			secret := slices.IndexFunc(all.Files, func(f manifest.File) bool { return f.Path == mcoconfig.ServerCfg })
			if what != "uefi" && (secret < 0 || all.Files[secret].SHA256 != "") {
				t.Errorf("the digest of a file with secrets is in the plan, or no file: %d of %d", secret, len(all.Files))
			}
			out := filepath.Join(t.TempDir(), "x.iso")
			testkit.Must(t, b.WriteISO(t.Context(), s, out))
			m := opened(t, out)
			m.Name = "x.iso"
			built, err := m.Report(Options{Sizes: true})
			testkit.Must(t, err)
			if what == "own files" {
				if strings.Contains(told(t, planned), "s3cret") || !strings.Contains(told(t, built), "s3cret") {
					t.Error("a line of the user's own script is in the plan")
				}
				built.Services = planned.Services
			}
			unwritten, err := ReadMedium(p.Medium)
			testkit.Must(t, err)
			if got, want := broken(t, unwritten), broken(t, m); !slices.Equal(got, want) {
				t.Errorf("before it is written it breaks %q, after it %q", got, want)
			}
			planned.Plan, planned.Manifest.Inputs = nil, built.Manifest.Inputs
			if got, want := told(t, planned), told(t, built); got != want {
				t.Errorf("planned\n%s\nbuilt\n%s", got, want)
			}
		})
	}
}

// told returns a report as JSON, and as text.
func told(t *testing.T, r *Report) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", "  ")
	testkit.Must(t, err)
	return string(b) + printed(t, r)
}

// putFrom puts entries with an origin into a tree.
func putFrom(t *testing.T, tree *overlay.Tree, origin string, es ...overlay.Entry) *overlay.Tree {
	t.Helper()
	for _, e := range es {
		e.Origin = origin
		put(t, tree, e)
	}
	return tree
}

func TestChanges(t *testing.T) {
	base := putFrom(t, &overlay.Tree{}, "Core.iso", overlay.Dir("etc", 0o755), overlay.File("etc/kept", 0o644, []byte("k")), overlay.File("etc/changed", 0o644, []byte("old")))
	image := base.Clone()
	putFrom(t, image, "", overlay.File("etc/changed", 0o644, []byte("new!")))
	putFrom(t, image, "x.tcz", overlay.Dir("opt", 0o755), overlay.Symlink("opt/l", "../etc/kept"))
	got := changes(&remaster.Preview{Base: base, System: image})
	if want := []FileChange{{"etc/changed", "replace", "mkbuild"}, {"opt/l", "add", "x.tcz"}}; !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

// TestPlanFindings seeds one finding of each kind, and cases that must not be reported.
func TestPlanFindings(t *testing.T) {
	busybox, ls := overlay.File("bin/busybox", 0o755, []byte("b")), overlay.File("bin/ls", 0o755, []byte("b"))
	busybox.HardLink, ls.HardLink = "b", "b"
	base := putFrom(t, &overlay.Tree{}, "Core.iso", busybox, ls, overlay.Symlink("bin/mount", "busybox"), overlay.Symlink("usr/bin/who", "../../bin/busybox"),
		overlay.File("bin/real", 0o755, []byte("r")), overlay.Symlink("usr/local/bin/early", "/bin/busybox"), overlay.Symlink("bin/nowhere", "gone"),
		overlay.Symlink("usr/sbin/telnetd", "../../bin/busybox"),
		overlay.File("bin/old", 0o755, testkit.ELF("libold.so")))
	image := base.Clone()
	putFrom(t, image, "x.tcz",
		overlay.File("usr/local/bin/mount", 0o755, []byte("m")), overlay.Symlink("usr/bin/ls", "/usr/local/bin/mount"), overlay.File("usr/bin/who", 0o755, []byte("w")),
		overlay.File("usr/bin/early", 0o755, nil), overlay.File("usr/local/bin/real", 0o755, nil), overlay.File("usr/share/mount", 0o644, nil),
		overlay.Symlink("opt/lost", "nothing/here"), overlay.Symlink("opt/loop", "loop"), overlay.Symlink("opt/later", "/var/run/x.pid"),
		overlay.Symlink("opt/mounted", "/tmp/x/bin"), overlay.Symlink("opt/fine", "../bin/real"), overlay.Symlink("opt/root", "/"), overlay.File("bin/new", 0o755, testkit.ELF("libnew.so")))
	putFrom(t, image, "", overlay.File("usr/sbin/telnetd", 0o644, nil)) // a prod image's own
	found, err := planFindings(t.Context(), &remaster.Preview{Base: base, System: image}, []Finding{{Rule: "fetch", Text: "slow"}})
	testkit.Must(t, err)
	var got []string
	for _, f := range found {
		got = append(got, strings.TrimSpace(f.Rule+" "+string(f.Path)+" "+f.Origin))
	}
	want := []string{
		"dangling-link opt/loop x.tcz", "dangling-link opt/lost x.tcz", "fetch", "missing-library bin/new x.tcz", "mount-link opt/mounted x.tcz",
		"shadows-busybox usr/bin/ls x.tcz", "shadows-busybox usr/bin/who x.tcz", "shadows-busybox usr/local/bin/mount x.tcz",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestClosure(t *testing.T) {
	x := func(name string, why []string, needs ...string) lock.Input {
		return lock.Input{Kind: lock.TCZ, Name: name, Why: why, Needs: needs}
	}
	var out strings.Builder
	tree := &closure{page: &page{w: &out}, inputs: map[string]*lock.Input{}, done: map[string]bool{}}
	tree.print([]lock.Input{
		x("a.tcz", []string{lock.WhyConfig, "c.tcz"}, "b.tcz", "c.tcz", "gone.tcz"),
		x("b.tcz", []string{"a.tcz", "c.tcz"}, "d.tcz"),
		x("c.tcz", []string{"a.tcz"}, "a.tcz", "b.tcz", "d.tcz"),
		x("d.tcz", []string{"b.tcz", "c.tcz", lock.WhyDev}),
		x("p.tcz", []string{lock.WhyPick}, "b.tcz"),
		{Kind: lock.Gem, Name: "g.gem", Why: []string{lock.WhyConfig}},
	})
	const want = `  a.tcz  (configuration)
    b.tcz
      d.tcz
    c.tcz
      a.tcz  (needs what is shown above)
      b.tcz  (needs what is shown above)
      d.tcz
  d.tcz  (profile dev)
  p.tcz  (pick)
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestLimits(t *testing.T) {
	r := &Report{Size: 100 << 20, Initrd: &Initrd{Size: 50 << 20, BootRAM: 200 << 20}}
	for text, want := range map[string]string{
		"iso=100M, initrd=50MiB,ram=209715200": "", "iso=1G": "",
		"iso=102399K,ram=10": "plan: iso would have 104857600 bytes, 1024 more than the limit of 104856576; ram would have 209715200 bytes, 209715190 more than the limit of 10",
	} {
		l, err := ParseLimits(text)
		testkit.Must(t, err)
		err = l.Check(r)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want || fail.ClassOf(err) != fail.Verification) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := (Limits{}).Check(r); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "iso", "iso=", "cd=1", "iso=1,", "iso=-1", "iso=0", "iso=1iB", "iso=M", "iso=1T", "iso=9223372036854775807G"} {
		if l, err := ParseLimits(text); err == nil {
			t.Errorf("%q: got %v", text, l)
		}
	}
}
