package remaster

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/iso9660"
)

func TestAppendKeepsTheBaseInitrdByteForByte(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	// Lengths for each number of padding bytes: NULs after a gzip member belong to the base.
	dir := tinymirror.New(t)
	for extra := range 4 {
		files := isoFiles(t)
		base := append(files["boot/core.gz"], make([]byte, extra)...)
		files["boot/core.gz"] = base
		publishISO(t, dir, files)
		img := openISO(t, build(t, b, plan(t, dir)))
		made, tree := initrdOf(t, img)
		if !bytes.HasPrefix(made, base) {
			t.Fatalf("%d extra bytes: the base is not at the front", extra)
		}
		if len(made)%4 != 0 {
			t.Errorf("%d extra bytes: %d bytes are no multiple of 4", extra, len(made))
		}
		second := (len(base) + 3) &^ 3
		if pad := made[len(base):second]; len(bytes.Trim(pad, "\x00")) > 0 {
			t.Errorf("%d extra bytes: padding %q", extra, pad)
		}
		if !bytes.HasPrefix(made[second:], []byte("\x1f\x8b\x08")) {
			t.Errorf("%d extra bytes: no gzip member at byte %d", extra, second)
		}
		if tree.Get("tmp/mk-version.yaml") == nil || tree.Get("bin/busybox") == nil {
			t.Errorf("%d extra bytes: a part is missing", extra)
		}
	}
}

func TestMergedIsOneArchiveWithTheWholeBase(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine, func(c *config.Config) { c.Initrd.Layout = "merged" }))
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Must(t, b.WriteISO(t.Context(), s, name))
	made, tree := initrdOf(t, openISO(t, name))
	in := bytes.NewReader(made)
	z, err := gzip.NewReader(in)
	testkit.Must(t, err)
	z.Multistream(false)
	archive, err := io.ReadAll(z)
	testkit.Must(t, err)
	if rest := made[len(made)-in.Len():]; len(rest) > 3 || len(bytes.Trim(rest, "\x00")) > 0 {
		t.Errorf("%d bytes behind the first gzip member", len(rest))
	}
	if n := bytes.Count(archive, []byte("TRAILER!!!")); n != 1 {
		t.Errorf("%d trailers", n)
	}
	for _, e := range s.layers.Merged().Entries() {
		if got, want := describe(tree.Get(e.Path)), describe(e); got != want {
			t.Errorf("/%s is %q, want %q", e.Path, got, want)
		}
	}
	for p, want := range map[string]string{"dev/console": "c 0600 0:0 5,1", "dev/null": "c 0666 0:0 1,3", "bin/busybox": "f 4755 0:0", "bin/sh": "l -> busybox", "init": "f 0755 0:0"} {
		if got := describe(tree.Get(p)); got != want {
			t.Errorf("/%s is %q, want %q", p, got, want)
		}
	}
}

// TestLayoutsBootTheSameTree: with every layout the kernel gets the same files.
func TestLayoutsBootTheSameTree(t *testing.T) {
	t.Parallel()
	dir := pristine
	b, _ := builder(t, warm)
	_, appended := initrdOf(t, openISO(t, build(t, b, plan(t, dir))))
	_, merged := initrdOf(t, openISO(t, build(t, b, plan(t, dir, func(c *config.Config) { c.Initrd.Layout, c.Initrd.Level = "merged", 1 }))))
	if appended.Len() != merged.Len() {
		t.Errorf("%d entries appended, %d merged", appended.Len(), merged.Len())
	}
	for _, e := range appended.Entries() {
		other := merged.Get(e.Path)
		if describe(e) != describe(other) {
			t.Errorf("/%s is %q appended and %q merged", e.Path, describe(e), describe(other))
		} else if e.IsRegular() && text(t, appended, e.Path) != text(t, merged, e.Path) {
			t.Errorf("/%s differs", e.Path)
		}
	}
}

func TestISOKeepsTheSourceByteForByte(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	files := isoFiles(t)
	files["cde/optional/extra.tcz"] = bytes.Repeat([]byte("x"), 5000)
	files["empty"] = nil
	publishISO(t, dir, files)
	source := openISO(t, filepath.Join(dir, isoPath))
	b, _ := builder(t, warm)
	made := openISO(t, build(t, b, plan(t, dir)))
	changed := map[string]bool{"boot/core.gz": true, "boot/isolinux/isolinux.cfg": true, "boot/isolinux/isolinux.bin": true, source.CatalogPath: true}
	for _, f := range source.Files.Entries() {
		g := made.Files.Get(f.Path)
		if g == nil {
			t.Errorf("%s is gone", f.Path)
			continue
		}
		if f.Mode != g.Mode || f.UID != g.UID || f.GID != g.GID {
			t.Errorf("%s: mode and owner changed", f.Path)
		}
		if f.IsRegular() && !changed[f.Path] && (!bytes.Equal(content(t, f), content(t, g)) || f.MTime != g.MTime) {
			t.Errorf("%s has changed", f.Path)
		}
	}
	if made.Files.Len() != source.Files.Len()+2 { // iso-metadata.yaml and the manifest
		t.Errorf("%d entries, the source has %d", made.Files.Len(), source.Files.Len())
	}
	old, now := content(t, source.Files.Get("boot/isolinux/isolinux.bin")), content(t, made.Files.Get("boot/isolinux/isolinux.bin"))
	if !bytes.Equal(old[:8], now[:8]) || !bytes.Equal(old[64:], now[64:]) {
		t.Error("isolinux.bin has changed outside of its boot-info-table")
	}
	checkBoot(t, source, made)
	if got, want := string(content(t, made.Files.Get("boot/isolinux/isolinux.cfg"))), strings.Replace(tinymirror.ISOLinuxCfg, "timeout 300", "timeout 100", 1); got != want {
		t.Errorf("isolinux.cfg:\n%s\nwant\n%s", got, want)
	}
}

// checkBoot compares the boot catalogs and the system areas, and the boot-info-table with the file's real place.
func checkBoot(t *testing.T, source, made *iso9660.Image) {
	t.Helper()
	if !bytes.Equal(source.System, made.System) || made.CatalogPath != source.CatalogPath || len(made.Boot) != 1 {
		t.Fatalf("system area or boot catalog changed: %d entries, catalog %q", len(made.Boot), made.CatalogPath)
	}
	a, b := source.Boot[0], made.Boot[0]
	if a.Platform != b.Platform || a.Bootable != b.Bootable || a.LoadSectors != b.LoadSectors || a.Path != b.Path || !b.InfoTable {
		t.Errorf("boot entry %+v, was %+v", b, a)
	}
	now := content(t, made.Files.Get(b.Path))
	le := binary.LittleEndian
	var sum uint32
	for i := 64; i+4 <= len(now); i += 4 {
		sum += le.Uint32(now[i:])
	}
	if le.Uint32(now[8:]) != 16 || le.Uint32(now[16:]) != uint32(len(now)) || le.Uint32(now[20:]) != sum {
		t.Errorf("boot-info-table % x of a file of %d bytes with checksum %08x", now[8:24], len(now), sum)
	}
}

func TestBootArguments(t *testing.T) {
	t.Parallel()
	dir := pristine
	b, _ := builder(t, warm)
	for _, tc := range []struct {
		name string
		edit func(*config.Config)
		want []string
		not  []string
	}{
		{"arguments on every label", func(c *config.Config) { c.Boot.Append = "console=ttyS0 nozswap" }, []string{"append initrd=/boot/core.gz quiet console=ttyS0 nozswap\n", "timeout 100"}, []string{"quiet\n"}},
		{"another timeout", func(c *config.Config) { n := 50; c.Boot.Timeout = &n }, []string{"timeout 50", "quiet\n"}, []string{"300"}},
	} {
		img := openISO(t, build(t, b, plan(t, dir, tc.edit)))
		cfg := string(content(t, img.Files.Get("boot/isolinux/isolinux.cfg")))
		for _, w := range tc.want {
			if !strings.Contains(cfg, w) {
				t.Errorf("%s: no %q in\n%s", tc.name, w, cfg)
			}
		}
		for _, w := range tc.not {
			if strings.Contains(cfg, w) {
				t.Errorf("%s: %q in\n%s", tc.name, w, cfg)
			}
		}
	}
}

// TestOtherDialect tests an image of 7.x and later, whose labels are upper-case with an INITRD line.
func TestOtherDialect(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	files := isoFiles(t)
	files["boot/isolinux/isolinux.cfg"] = []byte("UI menu.c32\r\nLABEL mc\r\n\tKERNEL /boot/vmlinuz\r\n\tINITRD /boot/CORE.GZ\r\n\tAPPEND loglevel=3\r\n")
	publishISO(t, dir, files)
	b, _ := builder(t, warm)
	img := openISO(t, build(t, b, plan(t, dir, func(c *config.Config) { c.Boot.Append = "razor.x=1" })))
	if cfg := string(content(t, img.Files.Get("boot/isolinux/isolinux.cfg"))); !strings.Contains(cfg, "\tAPPEND loglevel=3 razor.x=1\r\n") {
		t.Errorf("isolinux.cfg:\n%q", cfg)
	}
	if _, tree := initrdOf(t, img); tree.Get("tmp/mk-version.yaml") == nil {
		t.Error("the initrd that the label names was not remade")
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	img := openISO(t, build(t, b, plan(t, pristine, func(c *config.Config) { c.Image.Version = "0.9.3.0" })))
	if img.VolumeID != "Razor MK 0.9.3.0" {
		t.Errorf("volume id %q", img.VolumeID)
	}
	meta := string(content(t, img.Files.Get("iso-metadata.yaml")))
	var node yaml.Node
	testkit.Must(t, yaml.Unmarshal([]byte(meta), &node))
	want := []string{
		"iso_version", "!!str 0.9.3.0", "kernel", "!!str boot/vmlinuz", "initrd", "!!str boot/core.gz",
		"hash_description", "!!map ", "kernel_hash", fmt.Sprintf("!!str %x", sha256.Sum256(content(t, img.Files.Get("boot/vmlinuz")))),
		"initrd_hash", fmt.Sprintf("!!str %x", sha256.Sum256(content(t, img.Files.Get("boot/core.gz")))),
		"iso_build_time", "!!str 2012-09-24 15:20:00.000000 Z",
	}
	m := node.Content[0]
	if len(m.Content) != len(want) {
		t.Fatalf("%d keys, want 7:\n%s", len(m.Content)/2, meta)
	}
	for i := 0; i < len(want); i += 2 {
		got := m.Content[i+1]
		if m.Content[i].Value != want[i] || got.ShortTag()+" "+got.Value != want[i+1] {
			t.Errorf("key %d: %s = %s %s, want %s = %s", i/2+1, m.Content[i].Value, got.ShortTag(), got.Value, want[i], want[i+1])
		}
	}
	if !timestamp.MatchString(meta) {
		t.Errorf("the time is no YAML timestamp:\n%s", meta)
	}
	if time.Unix(tinymirror.Time, 0).UTC().Format("2006-01-02 15:04:05") != "2012-09-24 15:20:00" {
		t.Error("this test's own time is wrong")
	}
	if h := m.Content[7].Content; len(h) != 4 || h[0].Value+h[1].Value+h[2].Value+h[3].Value != "typeDigest::SHA2bitlen256" {
		t.Errorf("hash_description:\n%s", meta)
	}
}

// timestamp is the used part of YAML 1.1's timestamp type; go-yaml supports only some of its forms, and the
// independent check uses Ruby's.
var timestamp = regexp.MustCompile(`\niso_build_time: \d{4}-\d\d-\d\d[ \t]+\d\d:\d\d:\d\d\.\d* Z\n$`)

func TestEpoch(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	given := int64(1700000000)
	b, _ := builder(t, warm)
	b.Inputs.Epoch = &given
	img := openISO(t, build(t, b, plan(t, dir)))
	if img.Created != tinymirror.Time || img.Modified != tinymirror.Time {
		t.Errorf("the volume's times are %d, %d, and a boot loader may look for it by them", img.Created, img.Modified)
	}
	meta := img.Files.Get("iso-metadata.yaml")
	if meta.MTime != given || !strings.Contains(string(content(t, meta)), "2023-11-14 22:13:20") {
		t.Errorf("time %d in\n%s", meta.MTime, content(t, meta))
	}
	// Without a time the newest input decides, unless no format can hold its time.
	for _, tc := range []struct{ input, want int64 }{{tinymirror.Time + 1000, tinymirror.Time + 1000}, {1 << 32, tinymirror.Time}} {
		testkit.Put(t, dir+"/archives/mcollective-1.2.1.tgz", tgz(t, tc.input, "m/mcollectived.rb"))
		_, s, _ := staged(t, plan(t, dir))
		if s.Epoch != tc.want {
			t.Errorf("an input of %d: the image's time is %d, want %d", tc.input, s.Epoch, tc.want)
		}
	}
}

func TestOverlayArchive(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine))
	dir := t.TempDir()
	for _, name := range []string{"a.tar.gz", "b.tar.gz"} {
		testkit.Must(t, b.WriteOverlay(t.Context(), s, filepath.Join(dir, name)))
	}
	a := testkit.Read(t, filepath.Join(dir, "a.tar.gz"))
	if !bytes.Equal(a, testkit.Read(t, filepath.Join(dir, "b.tar.gz"))) {
		t.Error("two archives of one image differ")
	}
	es, err := os.ReadDir(dir)
	if err != nil || len(es) != 2 {
		t.Errorf("%v, %v", es, err)
	}
}
