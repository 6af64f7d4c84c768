package inspect

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
)

// seed is one change of a stock image, and its name in diff.
type seed struct {
	what string
	tree func(*overlay.Tree)
	iso  func(map[string]string)
	want []string
}

func edit(t testing.TB, name string, change func(*overlay.Entry)) func(*overlay.Tree) {
	return func(tree *overlay.Tree) {
		e := *tree.Get(name)
		change(&e)
		put(t, tree, e)
	}
}

func file(t testing.TB, name string, perm uint32, text string) func(*overlay.Tree) {
	return func(tree *overlay.Tree) { put(t, tree, overlay.File(name, perm, []byte(text))) }
}

const cfgPath = "boot/isolinux/isolinux.cfg"

func seeds(t testing.TB) []seed {
	content := func(text string) func(*overlay.Entry) {
		return func(e *overlay.Entry) { e.Size, e.Open = int64(len(text)), overlay.Bytes([]byte(text)) }
	}
	return []seed{
		{"file added", file(t, "usr/bin/new", 0o755, "x"), nil, []string{"added file `usr/bin/new`"}},
		{"file removed", func(tr *overlay.Tree) { tr.Remove("tmp/setup.lst") }, nil, []string{"removed file `tmp/setup.lst`"}},
		{"directory added", func(tr *overlay.Tree) { put(t, tr, overlay.Dir("srv", 0o755)) }, nil, []string{"added file `srv`"}},
		{"mode", edit(t, "etc/shadow", func(e *overlay.Entry) { e.Mode |= 0o004 }), nil, []string{"changed file `etc/shadow`: mode 0640 → 0644"}},
		{"set-uid", edit(t, "usr/bin/sudo", func(e *overlay.Entry) { e.Mode &^= 0o4000 }), nil, []string{"changed file `usr/bin/sudo`: mode 4111 → 0111"}},
		{"owner", edit(t, "opt/bootsync.sh", func(e *overlay.Entry) { e.UID, e.GID = 1001, 50 }), nil, []string{"changed file `opt/bootsync.sh`: owner 0:0 → 1001:50"}},
		{"content", edit(t, "etc/inittab", content("::sysinit:/x\n")), nil, []string{"changed file `etc/inittab`: content 121 bytes → 13 bytes"}},
		{"content of one size", edit(t, "bin/busybox", content("BUSYBOX\n")), nil, []string{"changed file `bin/busybox`: content 8 bytes → 8 bytes"}},
		{"link", edit(t, "bin/sh", func(e *overlay.Entry) { e.Link = "bash" }), nil, []string{"changed file `bin/sh`: link busybox → bash"}},
		{"device", edit(t, "dev/null", func(e *overlay.Entry) { e.Minor = 5 }), nil, []string{"changed file `dev/null`: device 1:3 → 1:5"}},
		{"type", func(tr *overlay.Tree) { put(t, tr, overlay.Symlink("tmp/mk-version.yaml", "/x")) }, nil, []string{"changed file `tmp/mk-version.yaml`: type file → symlink"}},
		{"two at once", edit(t, "home/ssh/.ssh/authorized_keys", func(e *overlay.Entry) { e.UID, e.Mode = 9, overlay.TypeRegular|0o644 }), nil, []string{"changed file `home/ssh/.ssh/authorized_keys`: mode 0600 → 0644; owner 0:0 → 9:0"}},
		{"extension added", file(t, "usr/local/tce.installed/lshw", 0o644, ""), nil, []string{"added extension `lshw`"}},
		{"extension removed", func(tr *overlay.Tree) { tr.Remove("usr/local/tce.installed/ruby") }, nil, []string{"removed extension `ruby`"}},
		{"startup script", edit(t, "usr/local/tce.installed/bash", content("#!/bin/ash\n")), nil, []string{"changed file `usr/local/tce.installed/bash`: content 10 bytes → 11 bytes"}},
		{"gem", file(t, "usr/local/lib/ruby/gems/1.8/specifications/facter-1.7.6.gemspec", 0o644, ""), nil, []string{"added gem `facter-1.7.6`"}},
		{"arguments", nil, func(f map[string]string) {
			f[cfgPath] = strings.Replace(tinymirror.ISOLinuxCfg, "quiet\n\nimplicit", "quiet tce=sda1\n\nimplicit", 1)
		},
			[]string{"changed menu `" + cfgPath + " mc`: arguments initrd=/boot/core.gz quiet → initrd=/boot/core.gz quiet tce=sda1"}},
		{"kernel", nil, func(f map[string]string) { f["boot/vmlinuz"] = string(tinymirror.VMLinuz("3.0.99-tinycore")) }, []string{fmt.Sprintf("changed kernel `boot/vmlinuz`: release 3.0.21-tinycore → 3.0.99-tinycore; sha256 %s → %s", digits(tinymirror.VMLinuz(tinymirror.Kernel)), digits(tinymirror.VMLinuz("3.0.99-tinycore")))}},
		{"extension of the medium", nil, func(f map[string]string) { f["cde/optional/nano.tcz"] = "n" }, []string{"added extension `nano (medium)`", "added medium `cde/optional/nano.tcz`"}},
		{"file of the medium", nil, func(f map[string]string) { f["boot/isolinux/boot.msg"] = "changed\n" }, []string{"changed medium `boot/isolinux/boot.msg`: content"}},
	}
}

func digest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// digits returns the first digits of a digest, as in diff.
func digits(b []byte) string { return digest(string(b))[:12] }

func mediumFiles() map[string]string {
	return map[string]string{cfgPath: tinymirror.ISOLinuxCfg, "boot/vmlinuz": string(tinymirror.VMLinuz(tinymirror.Kernel)), "boot/isolinux/boot.msg": "hello\n"}
}

// compared returns the text of a difference, without the list's dashes.
func compared(t testing.TB, a, b *Image) []string {
	t.Helper()
	d, err := Compare(a, b)
	testkit.Must(t, err)
	page := printed(t, d)
	if d.Same != (len(d.Changes) == 0) || d.Same == strings.HasPrefix(page, "- ") {
		t.Errorf("same is %v:\n%s", d.Same, page)
	}
	if d.Same {
		return nil
	}
	return strings.Split(strings.ReplaceAll(strings.TrimSpace(page), "- ", ""), "\n")
}

// TestSeededChanges: diff names exactly the seeded changes.
func TestSeededChanges(t *testing.T) {
	stock := read(t, isoOf(t, oldRazor(t), mediumFiles()))
	allTree, allFiles := oldRazor(t), mediumFiles()
	var all []string
	for _, s := range seeds(t) {
		tree, files := oldRazor(t), mediumFiles()
		if s.tree != nil {
			s.tree(tree)
			s.tree(allTree)
		}
		if s.iso != nil {
			s.iso(files)
			s.iso(allFiles)
		}
		changed := read(t, isoOf(t, tree, files))
		if got := compared(t, stock, changed); !slices.Equal(got, s.want) {
			t.Errorf("%s: %q, want %q", s.what, got, s.want)
		}
		if got := compared(t, changed, stock); len(got) != len(s.want) {
			t.Errorf("%s, the other way: %q", s.what, got)
		}
		if got := compared(t, changed, changed); got != nil {
			t.Errorf("%s: not the same as itself: %q", s.what, got)
		}
		all = append(all, s.want...)
	}
	got := compared(t, stock, read(t, isoOf(t, allTree, allFiles)))
	slices.Sort(got)
	slices.Sort(all)
	if !slices.Equal(got, all) {
		t.Errorf("all at once: %q\nwant %q", got, all)
	}
}

// TestSamePacked: the packing of an initrd is not a difference.
func TestSamePacked(t *testing.T) {
	whole := overlay.NewLayers(oldRazor(t)).Merged()
	var fast bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&fast, whole, initrd.SegmentOptions{Level: 1, ModTime: 9}))
	a, b := read(t, packed(t, whole)), read(t, fast.Bytes())
	if a.SHA256 == b.SHA256 {
		t.Fatal("the test packs both alike")
	}
	if got := compared(t, a, b); got != nil {
		t.Errorf("%q", got)
	}
	if got := compared(t, read(t, isoOf(t, whole, nil)), b); got != nil {
		t.Errorf("an ISO and its initrd: %q", got)
	}
}

func TestDiffLocks(t *testing.T) {
	sum, other := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	text := func(inputs ...lock.Input) *Image {
		for i := range inputs {
			inputs[i].Kind, inputs[i].Why, inputs[i].URL = lock.TCZ, []string{lock.WhyConfig}, "http://x/"+inputs[i].Name
		}
		l := &lock.Lock{Config: sum, Release: "4.5.2", Arch: "x86", Kernel: "3.0.21-tinycore", SourceDate: 5, Inputs: inputs}
		b, err := l.Text()
		testkit.Must(t, err)
		return read(t, b)
	}
	a := text(lock.Input{Name: "a.tcz", Size: 1, SHA256: sum}, lock.Input{Name: "gone.tcz", SHA256: sum})
	b := text(lock.Input{Name: "a.tcz", Size: 2, SHA256: other, Needs: []string{"n.tcz"}}, lock.Input{Name: "n.tcz", SHA256: sum})
	want := []string{"changed input `a.tcz`: sha256 0a0a0a0a0a0a → 0b0b0b0b0b0b; size 1 → 2; needs (none) → n.tcz", "removed input `gone.tcz`", "added input `n.tcz`"}
	if got := compared(t, a, b); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := compared(t, a, a); got != nil {
		t.Errorf("%q", got)
	}
	if _, err := Compare(a, read(t, packed(t, oldRazor(t)))); !errors.Is(err, ErrIncomparable) {
		t.Error(err)
	}
}

// TestDiffBuilt compares images built by mkbuild: prod with dev, and one with its rebuild.
func TestDiffBuilt(t *testing.T) {
	dir := mirror(t)
	prod := opened(t, built(t, dir, tinymirror.Config, nil))
	if got := compared(t, prod, opened(t, built(t, dir, tinymirror.Config, nil))); got != nil {
		t.Errorf("built twice: %q", got)
	}
	dev := compared(t, prod, opened(t, built(t, dir, tinymirror.Config, func(c *config.Config) { c.Profile = "dev" })))
	for _, want := range []string{"added input `openssh.tcz`", "added extension `openssh`", "added file `usr/local/sbin/sshd`"} {
		if !slices.Contains(dev, want) {
			t.Errorf("%q is not in %q", want, dev)
		}
	}
	for _, line := range dev {
		if area := strings.Fields(line)[1]; !slices.Contains([]string{"extension", "file", "input"}, area) {
			t.Errorf("%q", line)
		}
	}
}

func TestFirstDifference(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	changed := bytes.Clone(long)
	changed[150_001] ^= 1
	for _, c := range []struct {
		a, b []byte
		want int64
	}{
		{[]byte("abc"), []byte("abd"), 2}, {[]byte("abc"), []byte("abcd"), 3}, {nil, []byte("x"), 0}, {long, changed, 150_001},
		{long, long[:65536], 65536}, {long[:65536], long[:131072], 65536},
	} {
		for _, pair := range [][2][]byte{{c.a, c.b}, {c.b, c.a}} {
			got, err := firstDifference(bytes.NewReader(pair[0]), bytes.NewReader(pair[1]))
			if err != nil || got != c.want {
				t.Errorf("%.8q, %.8q: %d, %v; want %d", c.a, c.b, got, err, c.want)
			}
		}
	}
	broken := errors.New("broken disk")
	if _, err := firstDifference(strings.NewReader("a"), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}
