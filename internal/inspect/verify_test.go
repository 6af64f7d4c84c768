package inspect

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/remaster"
)

// broken lists the rules that an image breaks, once each.
func broken(t testing.TB, m *Image) []string {
	t.Helper()
	v, err := m.Verify(t.Context())
	testkit.Must(t, err)
	var out []string
	errs := 0
	for _, f := range v.Findings {
		r, ok := FindRule(f.Rule)
		if !ok || r.Severity != f.Severity && f.Severity != SeverityWarning || f.Text == "" {
			t.Errorf("finding %+v", f)
		}
		if f.Severity == SeverityError {
			errs++
		}
		out = append(out, f.Rule)
	}
	if errs != v.Errors || len(v.Findings)-errs != v.Warnings || (v.Err(false) == nil) != (errs == 0) || (v.Err(true) == nil) != (len(v.Findings) == 0) {
		t.Errorf("%d errors, %d warnings, %v", v.Errors, v.Warnings, v.Err(false))
	}
	return slices.Compact(out)
}

// clean is a system that breaks no rule.
func clean(t testing.TB) *overlay.Tree {
	t.Helper()
	tree := oldRazor(t)
	tree.Remove("etc/shadow")
	tree.Remove("usr/local/tce.installed/mcollective-2.0.0")
	put(t, tree, overlay.File("etc/shadow", 0o640, []byte("root:*:1\ntc:*:1\n")), overlay.Dir("lib/modules/"+tinymirror.Kernel, 0o755),
		overlay.Symlink("etc/mtab", "/proc/mounts"), overlay.Symlink("lib/modules/kernel.tclocal", "/usr/local/lib/modules/x/kernel"),
		overlay.File("init", 0o755, []byte("#!/bin/sh\n")), overlay.Dir("tmp", 0o1777), overlay.Dir("opt", 0o2775), overlay.Dir("usr/local/tce.installed", 0o775))
	tree.Get("opt").GID, tree.Get("usr/local/tce.installed").GID = 50, 50
	return tree
}

// TestRules breaks each rule in turn in an image that mkbuild did not build.
func TestRules(t *testing.T) {
	if got := broken(t, read(t, isoOf(t, clean(t), nil))); got != nil {
		t.Fatalf("the clean image breaks %q", got)
	}
	for _, c := range []struct {
		rule string
		tree func(*overlay.Tree)
	}{
		{ruleDanglingLink, func(tr *overlay.Tree) { put(t, tr, overlay.Symlink("usr/bin/x", "/usr/bin/nowhere")) }},
		{ruleDanglingLink, func(tr *overlay.Tree) { put(t, tr, overlay.Symlink("usr/a", "b"), overlay.Symlink("usr/b", "a")) }},
		{ruleMountLink, func(tr *overlay.Tree) {
			put(t, tr, overlay.Symlink("usr/local/sbin/sfdisk", "/tmp/util-linux/usr/local/sbin/sfdisk"))
		}},
		{ruleShadowMode, edit(t, "etc/shadow", func(e *overlay.Entry) { e.Mode |= 0o004 })},
		{ruleHostKey, file(t, "usr/local/etc/ssh/ssh_host_rsa_key", 0o600, "-----BEGIN RSA PRIVATE KEY-----\n")},
		{ruleHostKey, file(t, "etc/dropbear/dropbear_rsa_host_key", 0o600, "\x00\x01")},
		{ruleSampleSecret, file(t, "usr/local/etc/mcollective/server.cfg", 0o640, "plugin.stomp.host = x\nplugin.psk = klot2oj2ked2tayn3hu5on7l\n")},
		{ruleNotExecutable, file(t, "usr/local/bin/tool", 0o644, "#!/bin/sh\n")},
		{ruleNotExecutable, file(t, "sbin/tool", 0o640, "\x7fELF")},
		{ruleNotExecutable, edit(t, "init", func(e *overlay.Entry) { e.Mode = overlay.TypeRegular | 0o644 })},
		{ruleNotExecutable, edit(t, "opt/bootsync.sh", func(e *overlay.Entry) { e.Mode = overlay.TypeRegular | 0o644 })},
		{ruleDirectoryMode, edit(t, "tmp", func(e *overlay.Entry) { e.Mode = overlay.TypeDir | 0o755 })},
		{ruleOpenAccount, file(t, "etc/shadow", 0o640, "root:*:1\ntc::1\n")},
		{ruleKernelModules, func(tr *overlay.Tree) {
			tr.Remove("lib/modules/" + tinymirror.Kernel)
			put(t, tr, overlay.Dir("lib/modules/3.0.0", 0o755))
		}},
		{ruleMissingLibrary, func(tr *overlay.Tree) { put(t, tr, overlay.File("usr/bin/prog", 0o755, testkit.ELF("libgone.so.1"))) }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			tree := clean(t)
			c.tree(tree)
			if got := broken(t, read(t, isoOf(t, tree, nil))); !slices.Equal(got, []string{c.rule}) {
				t.Errorf("found %q", got)
			}
		})
	}
}

// TestBaseDecidesOnDirectories: an image may have exactly the owners of its base, whatever they are.
func TestBaseDecidesOnDirectories(t *testing.T) {
	type dirs map[string][3]uint32 // mode, uid, gid
	for _, c := range []struct {
		what       string
		base, more dirs
		want       []string
	}{
		{"4.x", dirs{"tmp": {0o1777, 0, 0}, "usr/local/tce.installed": {0o775, 0, 50}}, dirs{"usr/local/tce.installed": {0o775, 0, 50}}, nil},
		{"8.x", dirs{"tmp": {0o1777, 0, 50}, "usr/local/tce.installed": {0o775, 0, 0}}, dirs{"tmp": {0o1777, 0, 50}}, nil},
		{"8.x alone", dirs{"tmp": {0o1777, 0, 50}, "usr/local/tce.installed": {0o775, 0, 0}}, nil, nil},
		{"root for all, alone", dirs{".": {0o777, 0, 0}}, nil, []string{ruleDirectoryMode}},
		{"none of Tiny Core's", dirs{".": {0o775, 1000, 50}, "opt": {0o755, 0, 0}}, dirs{".": {0o755, 0, 0}}, nil},
		{"owner taken over", dirs{"tmp": {0o1777, 0, 50}}, dirs{"tmp": {0o1777, 0, 0}}, []string{ruleDirectoryMode}},
		{"mode taken over", dirs{}, dirs{"tmp": {0o755, 0, 0}}, []string{ruleDirectoryMode}},
		{"/opt", nil, dirs{"opt": {0o2775, 0, 0}}, []string{ruleDirectoryMode}},
		{"tce.installed", nil, dirs{"usr/local/tce.installed": {0o775, 1001, 50}}, []string{ruleDirectoryMode}},
		{"root", nil, dirs{".": {0o775, 1001, 50}}, []string{ruleDirectoryMode}},
	} {
		t.Run(c.what, func(t *testing.T) {
			base, more := overlay.NewLayers(clean(t)).Merged(), &overlay.Tree{}
			put(t, more, overlay.Dir("usr", 0o755), overlay.Dir("usr/local", 0o755))
			for tree, ds := range map[*overlay.Tree]dirs{base: c.base, more: c.more} {
				for name, d := range ds {
					put(t, tree, overlay.Entry{Path: name, Mode: overlay.TypeDir | d[0], UID: d[1], GID: d[2]})
				}
			}
			var all bytes.Buffer
			testkit.Must(t, initrd.WriteSegment(&all, base, initrd.SegmentOptions{}))
			if c.more != nil {
				testkit.Must(t, initrd.WriteSegment(&all, more, initrd.SegmentOptions{}))
			}
			if got := broken(t, read(t, isoOf(t, base, map[string]string{"boot/core.gz": all.String()}))); !slices.Equal(got, c.want) {
				t.Errorf("found %q", got)
			}
		})
	}
}

// TestMediumRules breaks the rules of boot loaders and of Razor's metadata.
func TestMediumRules(t *testing.T) {
	rd := packed(t, clean(t))
	sum := func(b []byte) string { return digest(string(b)) }
	kernel := tinymirror.VMLinuz(tinymirror.Kernel)
	good := strings.NewReplacer("kernel_hash: aa", "kernel_hash: "+sum(kernel), "initrd_hash: bb", "initrd_hash: "+sum(rd)).Replace(oldMetadata)
	for _, c := range []struct {
		rule, name, text, old, new string
	}{
		{"", metadataName, good, "", ""},
		{ruleMetadataHash, metadataName, good, "kernel_hash: " + sum(kernel), "kernel_hash: " + sum(rd)},
		{ruleMetadataHash, metadataName, good, "initrd: boot/core.gz", "initrd: boot/gone.gz"},
		{ruleMetadataForm, metadataName, good, "iso_version: 0.9.3.0", "iso_version: 0.12.0+14-g32aa62f"},
		{ruleMetadataForm, metadataName, good, "iso_version: 0.9.3.0\n", ""},
		{ruleMetadataForm, metadataName, good, "iso_build_time: 2012-11-15 21:50:14.000000 Z", "iso_build_time: yesterday"},
		{ruleMetadataForm, metadataName, good, "bitlen: 256", "bitlen: 512"},
		{ruleMetadataForm, metadataName, good, good, "- a\n- list\n"},
		{ruleBootFiles, cfgPath, tinymirror.ISOLinuxCfg, "label mc\n\tkernel /boot/vmlinuz", "label mc\n\tkernel /boot/gone"},
	} {
		t.Run(c.rule+" "+c.new, func(t *testing.T) {
			text := strings.Replace(c.text, c.old, c.new, 1)
			got := broken(t, read(t, isoOf(t, clean(t), map[string]string{c.name: text})))
			if strings.Join(got, " ") != c.rule {
				t.Errorf("found %q", got)
			}
		})
	}
}

// TestInitrdPacking: an initrd that its kernel cannot unpack is an error; if that is unknown, it is a warning.
func TestInitrdPacking(t *testing.T) {
	m := read(t, isoOf(t, clean(t), nil))
	m.Segments[0].Packing = "xz"
	page := func() string {
		v, err := m.Verify(t.Context())
		testkit.Must(t, err)
		return printed(t, v)
	}
	if got := page(); !strings.Contains(got, "warning: initrd-packing iso:boot/core.gz: it is packed with xz: mkbuild cannot tell") {
		t.Error(got)
	}
	kernel := m.Medium.Files.Get("boot/vmlinuz")
	b, err := kernel.Content(1 << 20)
	testkit.Must(t, err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(make([]byte, 2<<20))
	testkit.Must(t, errors.Join(err, z.Close()))
	binary.LittleEndian.PutUint16(b[0x206:], 0x20a)
	binary.LittleEndian.PutUint32(b[0x248:], uint32(len(b)-5*512))
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(packed.Len()))
	kernel.SetContent(append(b, packed.Bytes()...), 0)
	if got := page(); !strings.Contains(got, "error: initrd-packing iso:boot/core.gz: it is packed with xz, which the kernel 3.0.21-tinycore cannot unpack") {
		t.Error(got)
	}
}

// TestBootTable damages the fields that identify a boot-info-table. The field at byte 8 may name the volume
// descriptor of a later session.
func TestBootTable(t *testing.T) {
	good := isoOf(t, clean(t), nil)
	at := bytes.Index(good, append([]byte("isolinux"), 16, 0, 0, 0))
	if at < 0 {
		t.Fatal("no boot-info-table")
	}
	for _, off := range []int{12, 16, 20, 64} {
		bad := bytes.Clone(good)
		bad[at+off] ^= 0x55
		if got := broken(t, read(t, bad)); !slices.Equal(got, []string{ruleBootTable}) {
			t.Errorf("byte %d: %q", off, got)
		}
	}
}

// usual are the rules that an image of the miniature breaks: it has the published secrets, and lacks the
// /sbin/reboot that the client links to.
func usual(rule string) bool {
	return rule == ruleSampleSecret || rule == ruleDanglingLink || rule == ruleUnsigned
}

// rewritten returns a built image with a change to its ISO.
func rewritten(t *testing.T, name string, change func(*iso9660.Image)) *Image {
	t.Helper()
	b, err := os.ReadFile(name)
	testkit.Must(t, err)
	img, err := iso9660.Open(bytes.NewReader(b), int64(len(b)))
	testkit.Must(t, err)
	change(img)
	var out bytes.Buffer
	testkit.Must(t, img.Write(&out))
	return read(t, out.Bytes())
}

// content changes the content of a file of the medium.
func content(t *testing.T, name string, edit func([]byte) []byte) func(*iso9660.Image) {
	return func(img *iso9660.Image) {
		b, err := img.Files.Get(name).Content(1 << 30)
		testkit.Must(t, err)
		img.Files.Get(name).SetContent(edit(b), 0)
	}
}

// TestManifestRules changes an image without its manifest.
func TestManifestRules(t *testing.T) {
	name := built(t, mirror(t), tinymirror.Config, nil)
	more := &overlay.Tree{}
	put(t, more, overlay.File("evil", 0o755, []byte("x")))
	for _, c := range []struct {
		what   string
		change func(*iso9660.Image)
		want   []string
	}{
		{"nothing", func(*iso9660.Image) {}, nil},
		{"menu", content(t, cfgPath, func([]byte) []byte { return []byte(tinymirror.ISOLinuxCfg) }), []string{ruleManifestMedium}},
		{"file added to the medium", func(img *iso9660.Image) { testkit.Must(t, img.Files.Put(overlay.File("x", 0o444, nil))) }, []string{ruleManifestMedium}},
		{"file gone from the medium", func(img *iso9660.Image) { img.Files.Remove("boot/isolinux/boot.msg") }, []string{ruleManifestMedium}},
		{"kernel", content(t, "boot/vmlinuz", func(b []byte) []byte { return append(b, 0) }), []string{ruleManifestMedium, ruleMetadataHash}},
		{"segment added", content(t, "boot/core.gz", func(b []byte) []byte { return append(b, packed(t, more)...) }),
			[]string{ruleManifestFile, ruleManifestMedium, ruleManifestSegment, ruleMetadataHash}},
		{"edited", content(t, manifest.Name, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"source_date": 1`), []byte(`"source_date": 2`), 1)
		}), []string{ruleManifestPlan}},
		{"damaged", content(t, manifest.Name, func([]byte) []byte { return []byte("{}") }), []string{ruleManifestText}},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := slices.DeleteFunc(broken(t, rewritten(t, name, c.change)), usual)
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// TestManifestFiles changes one file of the system and repacks it: each property is detected.
func TestManifestFiles(t *testing.T) {
	name := built(t, mirror(t), tinymirror.Config, func(c *config.Config) { c.Initrd.Layout = "merged" })
	for what, change := range map[string]func(*overlay.Tree){
		"its mode is 4755, the manifest has 0755":               edit(t, "usr/local/bin/ruby", func(e *overlay.Entry) { e.Mode |= 0o4000 }),
		"its owner is 0:50, the manifest has 0:0":               edit(t, "usr/local/bin/ruby", func(e *overlay.Entry) { e.GID = 50 }),
		"its link is /bin/busybox, the manifest has busybox":    edit(t, "bin/sh", func(e *overlay.Entry) { e.Link = "/bin/busybox" }),
		"its content is " + digest("rubY\n") + ", the manifest": edit(t, "usr/local/bin/ruby", func(e *overlay.Entry) { e.Open = overlay.Bytes([]byte("rubY\n")) }),
		"it is missing":                   func(tr *overlay.Tree) { tr.Remove("usr/local/bin/ruby") },
		"it is not in the manifest":       file(t, "usr/local/bin/more", 0o755, ""),
		"its owner is 1001:0, the manife": edit(t, "usr/local/etc/mcollective/server.cfg", func(e *overlay.Entry) { e.UID = 1001 }),
	} {
		t.Run(what, func(t *testing.T) {
			v, err := rewritten(t, name, content(t, "boot/core.gz", func(b []byte) []byte {
				tree, err := initrd.Read(bytes.NewReader(b), "x", 0)
				testkit.Must(t, err)
				change(tree)
				return packed(t, tree)
			})).Verify(t.Context())
			testkit.Must(t, err)
			found := slices.DeleteFunc(v.Findings, func(f Finding) bool { return f.Rule != ruleManifestFile })
			if len(found) != 1 || !strings.HasPrefix(found[0].Text, what) {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// TestBuiltImagesAreWhole: mkbuild's images break only rules that the build warned of.
func TestBuiltImagesAreWhole(t *testing.T) {
	dir := mirror(t)
	for _, profile := range []string{"prod", "dev", "debug", "modern"} {
		t.Run(profile, func(t *testing.T) {
			text, edit := tinymirror.Config, func(c *config.Config) { c.Profile = profile }
			if profile == "modern" {
				text, edit = tinymirror.Config64, nil
			}
			if got := slices.DeleteFunc(broken(t, opened(t, built(t, dir, text, edit))), usual); len(got) > 0 {
				t.Errorf("it breaks %q", got)
			}
		})
	}
}

// publish makes an ISO the stock ISO of the mirror in dir.
func publish(t *testing.T, dir string, iso []byte) {
	t.Helper()
	name := filepath.Join(dir, "4.x/x86/archive/4.5.2/Core-4.5.2.iso")
	write(t, name, iso)
	write(t, name+".md5.txt", fmt.Appendf(nil, "%x  Core-4.5.2.iso\n", md5.Sum(iso)))
}

// TestBasesAsTheyAre: real bases differ in the owners of two directories, and have scripts without execute
// permission. Images built from them have no error.
func TestBasesAsTheyAre(t *testing.T) {
	for name, own := range map[string][2]uint32{"4.x": {0, 50}, "6.x": {50, 50}, "8.x": {50, 0}} {
		for _, layout := range []string{"append", "merged"} {
			t.Run(name+" "+layout, func(t *testing.T) {
				dir, base := mirror(t), tinymirror.Base()
				put(t, base, overlay.Entry{Path: "tmp", Mode: overlay.TypeDir | 0o1777, GID: own[0]}, overlay.Entry{Path: "usr/local/tce.installed", Mode: overlay.TypeDir | 0o775, GID: own[1]},
					overlay.File("usr/bin/update-everything", 0o644, []byte("#!/bin/sh\n")), overlay.Symlink("usr/bin/x", "/tmp/x/y"), overlay.File("etc/gshadow", 0o644, []byte("root:*::\n")))
				stock, err := read(t, isoOf(t, base, nil)).Verify(t.Context())
				testkit.Must(t, err)
				if page := printed(t, stock); stock.Errors != 1 || !strings.Contains(page, "error: mount-link") {
					t.Errorf("the base itself:\n%s", page)
				}
				publish(t, dir, isoOf(t, base, nil))
				tinymirror.Publish(t, dir, "4.x/x86/tcz/dmidecode.tcz", sqfs.Image([]sqfs.File{sqfs.Reg("usr/local/sbin/dmidecode", 0o644, "\x7fELF"), sqfs.Symlink("usr/local/bin/d", "/tmp/tcloop/dmidecode/d")}))
				v, err := opened(t, built(t, dir, tinymirror.Config, func(c *config.Config) { c.Initrd.Layout = layout })).Verify(t.Context())
				testkit.Must(t, err)
				page := printed(t, v)
				for _, want := range []string{"not-executable /usr/bin/update-everything", "mount-link /usr/bin/x", "shadow-mode /etc/gshadow", "not-executable /usr/local/sbin/dmidecode", "mount-link /usr/local/bin/d"} {
					if v.Errors > 0 || !strings.Contains(page, "warning: "+want) || !strings.Contains(page, "the source image has it so") || !strings.Contains(page, "dmidecode.tcz has it so") {
						t.Errorf("no warning %s in\n%s", want, page)
					}
				}
			})
		}
	}
}

// TestJudge: an image with errors of verify is not written, in any form and profile. The existing file stays. A
// single overlay is not an image.
func TestJudge(t *testing.T) {
	host := t.TempDir()
	for name, text := range map[string]string{"tool": "#!/bin/sh\n", "key": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "shadow": "root:*:1::::::\ntc:*:1::::::\n"} {
		write(t, filepath.Join(host, name), []byte(text))
	}
	testkit.Must(t, os.Chmod(filepath.Join(host, "shadow"), 0o644)) // with any umask
	for rule, c := range map[string]struct{ source, target, menu, profile string }{
		ruleNotExecutable: {source: "tool", target: "/usr/local/bin/tool"},
		ruleHostKey:       {source: "key", target: "/usr/local/etc/ssh/ssh_host_rsa_key", profile: "dev"},
		ruleShadowMode:    {source: "shadow", target: "/etc/shadow", profile: "debug"},
		ruleBootFiles:     {menu: "default x\nlabel x\nkernel /boot/gone\nappend initrd=/boot/core.gz\nlabel y\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz\n"},
		"":                {menu: "default y\nlabel x\nkernel /boot/gone\nappend initrd=/boot/core.gz\nlabel y\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz\n"},
	} {
		t.Run(rule, func(t *testing.T) {
			dir := mirror(t)
			if c.menu != "" {
				publish(t, dir, isoOf(t, tinymirror.Base(), map[string]string{cfgPath: c.menu}))
			}
			b, s := staged(t, dir, tinymirror.Config, func(cfg *config.Config) {
				cfg.Profile = cmp.Or(c.profile, "prod")
				if c.source != "" {
					cfg.Overlay = []config.UserFiles{{Source: filepath.Join(host, c.source), Target: c.target}}
				}
			})
			b.Judge = Judge
			out := t.TempDir()
			write(t, filepath.Join(out, "x.iso"), []byte("before"))
			all, err := remaster.Outputs([]string{"iso", "pxe", "razor"}, filepath.Join(out, "x.iso"), true)
			testkit.Must(t, err)
			err = b.Write(t.Context(), s, all)
			if rule == "" {
				testkit.Must(t, err)
				return
			}
			if fail.ClassOf(err) != fail.Verification || !strings.Contains(err.Error(), "refuse it: "+rule) || !strings.Contains(fail.HintOf(err), "mkbuild explain "+rule) {
				t.Errorf("got %v, hint %s", err, fail.HintOf(err))
			}
			if left, _ := os.ReadDir(out); len(left) != 1 {
				t.Errorf("it left %v", left)
			}
			if rule != ruleBootFiles {
				razor := []remaster.Output{{Form: remaster.FormRazor, Path: filepath.Join(out, "x.tar")}}
				if err := b.Write(t.Context(), s, razor); err == nil || !strings.Contains(err.Error(), rule) {
					t.Errorf("razor: %v", err)
				}
				testkit.Must(t, b.WriteOverlay(t.Context(), s, filepath.Join(out, "x.tar.gz")))
			}
			// The same image, written without a judge: verify finds the same errors.
			b.Judge = nil
			testkit.Must(t, b.WriteISO(t.Context(), s, filepath.Join(out, "x.iso")))
			v, err := opened(t, filepath.Join(out, "x.iso")).Verify(t.Context())
			testkit.Must(t, err)
			if !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Rule == rule && f.Severity == SeverityError }) {
				t.Errorf("verify found %+v", v.Findings)
			}
		})
	}
}

// TestTwoInitrds builds on an image with two initrds, the first of an odd size: segments are found after it.
func TestTwoInitrds(t *testing.T) {
	dir := mirror(t)
	first := &overlay.Tree{}
	put(t, first, overlay.File("first", 0o644, nil))
	odd := append(packed(t, first), 0)
	iso := isoOf(t, tinymirror.Base(), map[string]string{
		"boot/first.gz": string(odd), cfgPath: strings.ReplaceAll(tinymirror.ISOLinuxCfg, "initrd=/boot/core.gz", "initrd=/boot/first.gz,/boot/core.gz"),
	})
	publish(t, dir, iso)
	m := opened(t, built(t, dir, tinymirror.Config, nil))
	var names []string
	for _, s := range m.Segments {
		names = append(names, s.Name)
	}
	if len(names) < 3 || names[0] != "" || names[1] != "Core-4.5.2.iso" || slices.Contains(names[1:], "") || m.Tree.Get("first") == nil {
		t.Errorf("segments %q", names)
	}
	if got := slices.DeleteFunc(broken(t, m), usual); len(got) > 0 {
		t.Errorf("it breaks %q", got)
	}
}

// TestProdRules opens a prod image after the build, including its manifest.
func TestProdRules(t *testing.T) {
	m := read(t, isoOf(t, clean(t), nil))
	m.Manifest = &manifest.Manifest{Profile: "prod"}
	put(t, m.Tree, overlay.File("usr/local/sbin/sshd", 0o755, nil), overlay.File("etc/inittab", 0o644, []byte("tty1::respawn:/bin/sh\n")))
	m.Medium.Entries = []medium.Entry{{Menu: "x.cfg", Name: "a", Append: "quiet rdinit=/bin/sh"}, {Menu: "x.cfg", Name: "b", Append: "init=/sbin/init"}}
	v, err := m.Verify(t.Context())
	testkit.Must(t, err)
	var got []string
	for _, f := range v.Findings {
		if strings.HasPrefix(f.Rule, "prod-") {
			got = append(got, f.Rule+" "+string(f.Path))
		}
	}
	want := []string{"prod-server tmp/builtin/optional/lshw.tcz", "prod-server tmp/builtin/optional/openssh.tcz", "prod-server usr/local/sbin/sshd", "prod-open iso:x.cfg", "prod-open etc/inittab", "prod-open etc/inittab", "prod-open etc/passwd", "prod-open etc/passwd"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRuleTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules() {
		if seen[r.ID] || r.About == "" || len(r.Why) < 40 || len(r.Fix) < 20 || r.Severity != SeverityError && r.Severity != SeverityWarning {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
}

// TestManyFindings: a page stays readable when every check fails.
func TestManyFindings(t *testing.T) {
	tree := clean(t)
	for i := range 30 {
		put(t, tree, overlay.Symlink(fmt.Sprintf("usr/x%d", i), "nowhere"))
	}
	v, err := read(t, isoOf(t, tree, nil)).Verify(t.Context())
	testkit.Must(t, err)
	if page := printed(t, v); strings.Count(page, "warning: dangling-link /usr/x") != 20 || !strings.Contains(page, "dangling-link: and 10 more; --json has all\n") || len(v.Findings) != 30 {
		t.Error(page)
	}
}

// TestUnsignedExtensions: a prod image causes a warning unless it has keys or accepts no extensions.
func TestUnsignedExtensions(t *testing.T) {
	client := overlay.File(profile.ClientPath, 0o755, nil)
	settings := func(text string) overlay.Entry { return overlay.File(profile.ClientConfig, 0o644, []byte(text)) }
	for name, tt := range map[string]struct {
		files []overlay.Entry
		want  int
	}{
		"no client":      {nil, 0},
		"no keys":        {[]overlay.Entry{client, settings("{\n  \"server\": \"off\"\n}\n")}, 1},
		"keys":           {[]overlay.Entry{client, overlay.File(extension.KeysFile, 0o644, nil)}, 0},
		"off":            {[]overlay.Entry{client, settings("{\n  \"extend\": \"OFF\",\n  \"x\": \"y\"\n}\n")}, 0},
		"another server": {[]overlay.Entry{client, settings("{\n  \"extend\": \"http://off/x.zip\"\n}\n")}, 1},
	} {
		tree, found := &overlay.Tree{}, findings{}
		put(t, tree, tt.files...)
		if checkUnsigned(tree, found); len(found[ruleUnsigned]) != tt.want {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestVerifyStops: with an ended context nothing is verified.
func TestVerifyStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := opened(t, built(t, mirror(t), tinymirror.Config, nil))
	if v, err := m.Verify(ctx); !errors.Is(err, context.Canceled) || v != nil {
		t.Errorf("%+v, %v", v, err)
	}
	for name, walk := range map[string]check{"manifest": checkManifest, "medium": checkMedium, "segments": checkSegments, "files": checkFiles, "tree": checkTree} {
		if err := walk(ctx, m, findings{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
