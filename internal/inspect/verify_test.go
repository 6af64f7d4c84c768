package inspect

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// broken lists the rules that an image breaks, each once.
func broken(t testing.TB, m *Image) []string {
	t.Helper()
	v, err := m.Verify()
	must(t, err)
	var out []string
	errs := 0
	for _, f := range v.Findings {
		r, ok := FindRule(f.Rule)
		if !ok || r.Severity != f.Severity || f.Text == "" {
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
		overlay.File("init", 0o755, []byte("#!/bin/sh\n")))
	for _, d := range []overlay.Entry{overlay.Dir("tmp", 0o1777), overlay.Dir("opt", 0o2775), overlay.Dir("usr/local/tce.installed", 0o775)} {
		if d.Path != "tmp" {
			d.GID = 50
		}
		put(t, tree, d)
	}
	return tree
}

// TestRules breaks one rule after the other in an image that mkbuild did not build.
func TestRules(t *testing.T) {
	if got := broken(t, read(t, isoOf(t, clean(t), nil))); got != nil {
		t.Fatalf("the clean image breaks %q", got)
	}
	elf := make([]byte, 64)
	copy(elf, "\x7fELF")
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
		{ruleNotExecutable, file(t, "sbin/tool", 0o640, string(elf))},
		{ruleNotExecutable, edit(t, "init", func(e *overlay.Entry) { e.Mode = overlay.TypeRegular | 0o644 })},
		{ruleNotExecutable, edit(t, "opt/bootsync.sh", func(e *overlay.Entry) { e.Mode = overlay.TypeRegular | 0o644 })},
		{ruleDirectoryMode, edit(t, "tmp", func(e *overlay.Entry) { e.Mode = overlay.TypeDir | 0o755 })},
		{ruleDirectoryMode, edit(t, "opt", func(e *overlay.Entry) { e.GID = 0 })},
		{ruleDirectoryMode, edit(t, "usr/local/tce.installed", func(e *overlay.Entry) { e.UID = 1001 })},
		{ruleOpenAccount, file(t, "etc/shadow", 0o640, "root:*:1\ntc::1\n")},
		{ruleKernelModules, func(tr *overlay.Tree) {
			tr.Remove("lib/modules/" + tinymirror.Kernel)
			put(t, tr, overlay.Dir("lib/modules/3.0.0", 0o755))
		}},
		{ruleMissingLibrary, func(tr *overlay.Tree) { put(t, tr, overlay.File("usr/bin/prog", 0o755, dynamicELF("libgone.so.1"))) }},
	} {
		tree := clean(t)
		c.tree(tree)
		if got := broken(t, read(t, isoOf(t, tree, nil))); !slices.Equal(got, []string{c.rule}) {
			t.Errorf("%s: found %q", c.rule, got)
		}
	}
}

// dynamicELF is a 32-bit program that needs a library and nothing else, without sections.
func dynamicELF(lib string) []byte {
	le := binary.LittleEndian
	b := make([]byte, 52+2*32)
	copy(b, "\x7fELF\x01\x01\x01")
	le.PutUint16(b[16:], 2)  // ET_EXEC
	le.PutUint16(b[18:], 3)  // EM_386
	le.PutUint32(b[20:], 1)  // version
	le.PutUint32(b[28:], 52) // program headers
	le.PutUint16(b[40:], 52)
	le.PutUint16(b[42:], 32)
	le.PutUint16(b[44:], 2)
	text := append([]byte{0}, lib...)
	text = append(text, 0)
	dyn := uint32(len(b) + len(text))
	for _, v := range []uint32{1, 1, 5, uint32(52 + 64), 10, uint32(len(text)), 0, 0} { // NEEDED, STRTAB, STRSZ, NULL
		text = le.AppendUint32(text, v)
	}
	size := uint32(len(b) + len(text))
	for i, v := range []uint32{1, 0, 0, 0, size, size, 5, 4, 2, dyn, dyn, dyn, 32, 32, 6, 4} { // PT_LOAD, PT_DYNAMIC
		le.PutUint32(b[52+4*i:], v)
	}
	return append(b, text...)
}

// TestMediumRules breaks the rules of boot loaders and of Razor's metadata.
func TestMediumRules(t *testing.T) {
	rd := packed(t, clean(t))
	sum := func(b []byte) string { s, _ := sumOf(bytes.NewReader(b)); return s }
	kernel := tinymirror.VMLinuz(tinymirror.Kernel)
	good := strings.NewReplacer("kernel_hash: aa", "kernel_hash: "+sum(kernel), "initrd_hash: bb", "initrd_hash: "+sum(rd)).Replace(oldMetadata)
	for _, c := range []struct {
		rule, old, new string
	}{
		{"", "\n", "\n"},
		{ruleMetadataHash, "kernel_hash: " + sum(kernel), "kernel_hash: " + sum(rd)},
		{ruleMetadataHash, "initrd: boot/core.gz", "initrd: boot/gone.gz"},
		{ruleMetadataForm, "iso_version: 0.9.3.0", "iso_version: 0.12.0+14-g32aa62f"},
		{ruleMetadataForm, "iso_version: 0.9.3.0\n", ""},
		{ruleMetadataForm, "iso_build_time: 2012-11-15 21:50:14.000000 Z", "iso_build_time: yesterday"},
		{ruleMetadataForm, "bitlen: 256", "bitlen: 512"},
		{ruleMetadataForm, good, "- a\n- list\n"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		got := broken(t, read(t, isoOf(t, clean(t), map[string]string{"iso-metadata.yaml": text})))
		if want := slices.DeleteFunc([]string{c.rule}, func(s string) bool { return s == "" }); !slices.Equal(got, want) {
			t.Errorf("%q for %q: found %q, want %q", c.new, c.old, got, want)
		}
	}
	menu := strings.Replace(tinymirror.ISOLinuxCfg, "label mc\n\tkernel /boot/vmlinuz", "label mc\n\tkernel /boot/gone", 1)
	if got := broken(t, read(t, isoOf(t, clean(t), map[string]string{cfgPath: menu}))); !slices.Equal(got, []string{ruleBootFiles}) {
		t.Errorf("a menu that names no file: %q", got)
	}
	b, err := tinymirror.ISOWith(map[string][]byte{"README": nil})
	must(t, err)
	if got := broken(t, read(t, b)); !slices.Equal(got, []string{ruleBootNothing}) {
		t.Errorf("no boot: %q", got)
	}
}

// TestBootTable damages each field of the boot-info-table.
func TestBootTable(t *testing.T) {
	good := isoOf(t, clean(t), nil)
	at := bytes.Index(good, append([]byte("isolinux"), 16, 0, 0, 0))
	if at < 0 {
		t.Fatal("no boot-info-table")
	}
	for _, off := range []int{8, 12, 16, 20, 64} {
		bad := bytes.Clone(good)
		bad[at+off] ^= 0x55
		if got := broken(t, read(t, bad)); !slices.Equal(got, []string{ruleBootTable}) {
			t.Errorf("byte %d: %q", off, got)
		}
	}
}

// usual are the rules that an image of the miniature breaks: it has the published secrets, and no
// /sbin/reboot for the client to link to.
func usual(rule string) bool { return rule == ruleSampleSecret || rule == ruleDanglingLink }

// rewritten is a built image with a change of its ISO.
func rewritten(t *testing.T, name string, change func(*iso9660.Image)) *Image {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	img, err := iso9660.Open(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	change(img)
	var out bytes.Buffer
	must(t, img.Write(&out))
	return read(t, out.Bytes())
}

func setFile(f *overlay.Entry, b []byte) {
	f.Size, f.Open = int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// TestManifestRules changes an image behind its manifest's back.
func TestManifestRules(t *testing.T) {
	dir := mirror(t)
	name := built(t, dir, nil)
	content := func(img *iso9660.Image, p string) []byte {
		b, err := img.Files.Get(p).Content(1 << 30)
		must(t, err)
		return b
	}
	for _, c := range []struct {
		what   string
		change func(*iso9660.Image)
		want   []string
	}{
		{"nothing", func(*iso9660.Image) {}, nil},
		{"menu", func(img *iso9660.Image) { setFile(img.Files.Get(cfgPath), []byte(tinymirror.ISOLinuxCfg)) }, []string{ruleManifestMedium}},
		{"file added to the medium", func(img *iso9660.Image) { img.Files.Put(overlay.Entry{Path: "x", Mode: 0o100444}) }, []string{ruleManifestMedium}},
		{"file gone from the medium", func(img *iso9660.Image) { img.Files.Remove("boot/isolinux/boot.msg") }, []string{ruleManifestMedium}},
		{"kernel", func(img *iso9660.Image) {
			setFile(img.Files.Get("boot/vmlinuz"), append(content(img, "boot/vmlinuz"), 0))
		}, []string{ruleManifestMedium, ruleMetadataHash}},
		{"segment added", func(img *iso9660.Image) {
			more := &overlay.Tree{}
			put(t, more, overlay.File("evil", 0o755, []byte("x")))
			setFile(img.Files.Get("boot/core.gz"), append(content(img, "boot/core.gz"), packed(t, more)...))
		}, []string{ruleManifestFile, ruleManifestMedium, ruleManifestSegment, ruleMetadataHash}},
		{"edited", func(img *iso9660.Image) {
			setFile(img.Files.Get(manifest.Name), bytes.Replace(content(img, manifest.Name), []byte(`"source_date": 1`), []byte(`"source_date": 2`), 1))
		}, []string{ruleManifestPlan}},
		{"damaged", func(img *iso9660.Image) { setFile(img.Files.Get(manifest.Name), []byte("{}")) }, []string{ruleManifestText}},
	} {
		got := slices.DeleteFunc(broken(t, rewritten(t, name, c.change)), usual)
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: found %q, want %q", c.what, got, c.want)
		}
	}
}

// TestManifestFiles changes one file of the system and repacks it: each property is noticed.
func TestManifestFiles(t *testing.T) {
	name := built(t, mirror(t), func(c *config.Config) { c.Initrd.Layout = "merged" })
	for what, change := range map[string]func(*overlay.Tree){
		"mode":         edit(t, "usr/local/bin/ruby", func(e *overlay.Entry) { e.Mode |= 0o4000 }),
		"owner":        edit(t, "usr/local/bin/ruby", func(e *overlay.Entry) { e.GID = 50 }),
		"link":         edit(t, "bin/sh", func(e *overlay.Entry) { e.Link = "/bin/busybox" }),
		"content":      edit(t, "usr/local/bin/ruby", func(e *overlay.Entry) { e.Open = overlay.Bytes([]byte("rubY\n")) }),
		"gone":         func(tr *overlay.Tree) { tr.Remove("usr/local/bin/ruby") },
		"more":         file(t, "usr/local/bin/more", 0o755, ""),
		"secret owner": edit(t, "usr/local/etc/mcollective/server.cfg", func(e *overlay.Entry) { e.UID = 1001 }),
	} {
		m := rewritten(t, name, func(img *iso9660.Image) {
			b, err := img.Files.Get("boot/core.gz").Content(1 << 30)
			must(t, err)
			tree, err := initrd.Read(bytes.NewReader(b), "x", 0)
			must(t, err)
			change(tree)
			setFile(img.Files.Get("boot/core.gz"), packed(t, tree))
		})
		v, err := m.Verify()
		must(t, err)
		n := 0
		for _, f := range v.Findings {
			if f.Rule == ruleManifestFile {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d findings: %+v", what, n, v.Findings)
		}
	}
}

// TestBuiltImagesAreWhole: what mkbuild builds breaks nothing but what its user was warned of.
func TestBuiltImagesAreWhole(t *testing.T) {
	dir := mirror(t)
	modern := builtFrom(t, filepath.Join(dir, "modern.yaml"), tinymirror.Config64, nil)
	for _, profile := range []string{"prod", "dev", "debug", "modern"} {
		name := modern
		if profile != "modern" {
			name = built(t, dir, func(c *config.Config) { c.Profile = profile })
		}
		m := open2(t, name)
		if got := slices.DeleteFunc(broken(t, m), usual); len(got) > 0 {
			v, _ := m.Verify()
			t.Errorf("%s: %+v", profile, v.Findings)
		}
	}
}

// TestTwoInitrds builds on an image that boots two initrds, the first of an odd size: segments are
// found behind it.
func TestTwoInitrds(t *testing.T) {
	dir := mirror(t)
	first := &overlay.Tree{}
	put(t, first, overlay.File("first", 0o644, nil))
	odd := bytes.TrimRight(packed(t, first), "\x00")
	for len(odd)%4 == 0 {
		odd = append(odd, 0)
	}
	iso := isoOf(t, tinymirror.Base(), map[string]string{
		"boot/first.gz": string(odd), cfgPath: strings.ReplaceAll(tinymirror.ISOLinuxCfg, "initrd=/boot/core.gz", "initrd=/boot/first.gz,/boot/core.gz"),
	})
	name := filepath.Join(dir, "4.x/x86/archive/4.5.2/Core-4.5.2.iso")
	write(t, name, iso)
	write(t, name+".md5.txt", fmt.Appendf(nil, "%x  Core-4.5.2.iso\n", md5.Sum(iso)))
	m := open2(t, built(t, dir, nil))
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

// TestProdRules opens a prod image behind mkbuild's back, manifest and all.
func TestProdRules(t *testing.T) {
	m := read(t, isoOf(t, clean(t), nil))
	m.Manifest = &manifest.Manifest{Profile: "prod"}
	put(t, m.Tree, overlay.File("usr/local/sbin/sshd", 0o755, nil), overlay.File("etc/inittab", 0o644, []byte("tty1::respawn:/bin/sh\n")))
	m.Medium.Entries = []medium.Entry{{Menu: "x.cfg", Name: "a", Append: "quiet rdinit=/bin/sh"}, {Menu: "x.cfg", Name: "b", Append: "init=/sbin/init"}}
	v, err := m.Verify()
	must(t, err)
	var got []string
	for _, f := range v.Findings {
		if strings.HasPrefix(f.Rule, "prod-") {
			got = append(got, f.Rule+" "+string(f.Path)+" "+f.Text)
		}
	}
	want := []string{"prod-server usr/local/sbin/sshd it lets people in", "prod-open iso:x.cfg kernel argument rdinit=/bin/sh of the entry a", "prod-open  account old in /etc/passwd", "prod-open  console tty1 in /etc/inittab"}
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
		var page bytes.Buffer
		if must(t, r.Print(&page)); !strings.Contains(page.String(), r.Fix) {
			t.Errorf("%s:\n%s", r.ID, page.String())
		}
	}
	var list bytes.Buffer
	if must(t, PrintRules(&list)); strings.Count(list.String(), "\n") != len(seen) {
		t.Errorf("%s", list.String())
	}
}

// TestManyFindings: a page stays readable when everything is wrong.
func TestManyFindings(t *testing.T) {
	tree := clean(t)
	for i := range 30 {
		put(t, tree, overlay.Symlink(fmt.Sprintf("usr/x%d", i), "nowhere"))
	}
	v, err := read(t, isoOf(t, tree, nil)).Verify()
	must(t, err)
	var page bytes.Buffer
	must(t, v.Print(&page))
	if strings.Count(page.String(), "warning: dangling-link /usr/x") != 20 || !strings.Contains(page.String(), "dangling-link: and 10 more; --json has all\n") || len(v.Findings) != 30 {
		t.Errorf("%s", page.String())
	}
}

func TestNothingToVerify(t *testing.T) {
	if _, err := (&Image{Kind: KindLock}).Verify(); !errors.Is(err, ErrNothingToVerify) {
		t.Error(err)
	}
}
