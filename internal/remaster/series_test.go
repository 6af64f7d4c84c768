package remaster

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/inputs"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/ui"
)

func plan64(t testing.TB, dir string, edits ...func(*config.Config)) *inputs.Plan {
	t.Helper()
	return planOf(t, filepath.Join(dir, "mkbuild64.yaml"), tinymirror.Config64, edits...)
}

// A later series: other names, several labels, a UEFI entry, its own extensions and gems.
func TestModernSeries(t *testing.T) {
	dir := tinymirror.New(t)
	b, said := builder(t, filepath.Join(dir, "cache"))
	s, err := b.Stage(t.Context(), plan64(t, dir))
	testkit.Must(t, err)
	out := filepath.Join(dir, "image.iso")
	testkit.Must(t, b.WriteISO(t.Context(), s, out))
	img := openISO(t, out)
	if len(img.Boot) != 2 || img.Boot[1].Platform != iso9660.PlatformUEFI || img.Files.Get(tinymirror.EFIImage) == nil {
		t.Errorf("boot entries: %+v", img.Boot)
	}
	tree, err := initrd.Read(bytes.NewReader(content(t, img.Files.Get("boot/corepure64.gz"))), "corepure64.gz", 0)
	testkit.Must(t, err)
	for name, want := range map[string]string{
		"bin/busybox.suid":     "f 4755 0:0",
		"usr/local/bin/gem":    "f 0755 0:0",
		"usr/local/bin/facter": "f 0755 0:0",
		"usr/local/bin/lscpu":  "f 0755 0:0",
		"usr/local/lib/ruby/gems/3.3.0/specifications/facter-4.10.0.gemspec":          "f 0644 0:0",
		"usr/local/lib/modules/" + tinymirror.Kernel64 + "/kernel/drivers/md/y.ko.gz": "f 0644 0:0",
		"usr/local/tce.installed/scsi-" + tinymirror.Kernel64:                         "f 0644 1001:50",
	} {
		if got := describe(tree.Get(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if tree.Get("usr/local/mcollective") != nil || tree.Get("tmp/tcloop/util-linux") != nil {
		t.Error("MCollective or picked files are in it")
	}
	for _, want := range []string{
		"plan 15.0: defaults of 15.x x86_64: extensions ruby | ruby-2.2 | ", "resolve lshw | -: no mirror has it: left out",
		"ruby 3.3.0: defaults of this Ruby: Ruby's own RubyGems; the gem hocon 1.3.1, thor 1.2.1, facter 4.10.0; no MCollective",
	} {
		if got := said.Texts(ui.Info); strings.Count(got, want) != 1 {
			t.Errorf("said: %s", got)
		}
	}
}

// A series outside the table uses the names of the nearest series.
func TestUnknownSeries(t *testing.T) {
	dir := tinymirror.New(t)
	iso, err := tinymirror.ISO64()
	testkit.Must(t, err)
	tinymirror.Publish(t, dir, "18.x/x86_64/release/CorePure64-18.1.iso", iso)
	testkit.Must(t, os.CopyFS(filepath.Join(dir, "18.x/x86_64/tcz"), os.DirFS(filepath.Join(dir, "15.x/x86_64/tcz"))))
	b, said := builder(t, filepath.Join(dir, "cache"))
	_, err = b.Stage(t.Context(), plan64(t, dir, func(c *config.Config) { c.Release = "18.1" }))
	testkit.Must(t, err)
	if got := said.Texts(ui.Info); !strings.Contains(got, "defaults of 18.x x86_64: extensions ruby | ") {
		t.Errorf("said: %s", got)
	}
}

// An initrd that its kernel cannot unpack, or cannot be shown to unpack, is not kept, but it may be repacked.
func TestCompressorOfTheBase(t *testing.T) {
	testkit.Tool(t, "xz")
	dir := tinymirror.New(t)
	var core bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&core, tinymirror.Base(), initrd.SegmentOptions{ModTime: tinymirror.Time}))
	files := isoFiles(t)
	files["boot/core.gz"] = xzOf(t, core.Bytes())
	b, _ := builder(t, filepath.Join(dir, "cache"))
	small := func(c *config.Config) {
		c.Extensions = []string{"bash"}
		c.Gems.Install, c.RubyGems, c.MCollective = nil, nil, nil
	}
	for words, want := range map[string]string{
		"":                              "kernel 3.0.21-tinycore: mkbuild cannot tell what the kernel unpacks",
		"no such words":                 "packed with xz, which the kernel 3.0.21-tinycore cannot unpack",
		"XZ-compressed data is corrupt": "",
	} {
		files["boot/vmlinuz"] = kernelWith(words)
		publishISO(t, dir, files)
		_, err := b.Stage(t.Context(), plan(t, dir, small))
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.Contains(got, want) {
			t.Errorf("layout append, kernel with %q: %v", words, err)
		}
	}
	_, err := b.Stage(t.Context(), plan(t, dir, small, func(c *config.Config) { c.Initrd.Layout = "merged" }))
	if err != nil {
		t.Fatalf("layout merged: %v", err)
	}
}

// kernelWith returns the miniature's kernel with words in it, gzip'd like a kernel; without words it is not packed.
func kernelWith(words string) []byte {
	b := tinymirror.VMLinuz(tinymirror.Kernel)
	if words == "" {
		return b
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(append(make([]byte, 2<<20), words...)) // into memory
	_ = z.Close()
	binary.LittleEndian.PutUint16(b[0x206:], 0x20a)
	binary.LittleEndian.PutUint32(b[0x248:], uint32(len(b)-5*512))
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(packed.Len()))
	return append(b, packed.Bytes()...)
}

// xzOf repacks a gzip'd initrd with xz, in the form that the kernel needs.
func xzOf(t *testing.T, gz []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	testkit.Put(t, dir+"/core.gz", gz)
	testkit.Run(t, "gzip", "-d", dir+"/core.gz")
	testkit.Run(t, "xz", "--check=crc32", dir+"/core")
	return testkit.Read(t, dir+"/core.xz")
}

// If Ruby includes RubyGems, gems are installed at boot by these RubyGems.
func TestGemsAtBootWithRubysOwnRubyGems(t *testing.T) {
	dir := tinymirror.New(t)
	atBoot := func(c *config.Config) { c.Gems.Mode = "boot" }
	b, _ := builder(t, filepath.Join(dir, "cache"))
	s, err := b.Stage(t.Context(), plan64(t, dir, atBoot))
	testkit.Must(t, err)
	if got := describe(s.Added().Get("opt/gems/facter-4.10.0.gem")); got != "f 0644 0:0" {
		t.Errorf("the repository has %s", got)
	}
	tinymirror.Publish(t, dir, "15.x/x86_64/tcz/ruby.tcz", testkit.Read(t, dir+"/4.x/x86/tcz/ruby.tcz")) // a Ruby without gem
	b, _ = builder(t, filepath.Join(dir, "cache"))
	own := func(c *config.Config) {
		c.RubyGems, c.Gems.Install = nil, []config.Gem{{Name: "facter", Version: "4.10.0"}}
	}
	if _, err := b.Stage(t.Context(), plan64(t, dir, atBoot, own)); err == nil || !strings.Contains(err.Error(), "the ruby extension has no /usr/local/bin/gem") {
		t.Errorf("without a gem program: %v", err)
	}
}
