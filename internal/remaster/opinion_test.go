package remaster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/config"
	"mkbuild/internal/iso9660"
)

// written builds the plan of a fresh mirror, changed by edits, for other programs to check.
func written(t *testing.T, edits ...func(*config.Config)) string {
	t.Helper()
	b, _ := builder(t, warm)
	return build(t, b, plan(t, pristine, edits...))
}

// wantMatch compares a program's output with line patterns.
func wantMatch(t *testing.T, program, out string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(out) {
			t.Errorf("%s: nothing matches %s in\n%s", program, p, out)
		}
	}
}

func TestXorrisoReadsTheImage(t *testing.T) {
	t.Parallel()
	name := written(t)
	out := testkit.Run(t, "xorriso", "-indev", "stdio:"+name, "-report_el_torito", "plain", "-pvd_info")
	wantMatch(t, "xorriso", out,
		`^El Torito catalog  : \d+  1$`,
		`^El Torito cat path : /boot/isolinux/boot.cat$`,
		`^El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4 +\d+$`,
		`^El Torito img path :   1  /boot/isolinux/isolinux.bin$`,
		`^El Torito img opts :   1  boot-info-table`,
		`^Volume Id    : Razor MK 0\.1\.0$`)
	// A whole copy by xorriso equals our own tree.
	dir := filepath.Join(t.TempDir(), "copy")
	testkit.Run(t, "xorriso", "-osirrox", "on", "-indev", "stdio:"+name, "-extract", "/", dir)
	compareCopy(t, openISO(t, name), dir)
}

func compareCopy(t *testing.T, img *iso9660.Image, dir string) {
	t.Helper()
	for _, f := range img.Files.Entries() {
		if !f.IsRegular() || f.Path == img.CatalogPath {
			continue
		}
		if got := testkit.Read(t, filepath.Join(dir, filepath.FromSlash(f.Path))); !bytes.Equal(got, content(t, f)) {
			t.Errorf("%s: another program reads other bytes", f.Path)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "iso-metadata.yaml")); err != nil {
		t.Error(err)
	}
}

func TestIsoinfoReadsBothNameSpaces(t *testing.T) {
	t.Parallel()
	name := written(t)
	wantMatch(t, "isoinfo -d", testkit.Run(t, "isoinfo", "-d", "-i", name),
		`^Volume id: Razor MK 0\.1\.0$`, `^Joliet with UCS level 3 found`, `^Rock Ridge signatures version 1 found`, `Eltorito validation header`)
	for _, space := range []string{"-R", "-J"} {
		wantMatch(t, "isoinfo "+space, testkit.Run(t, "isoinfo", space, "-f", "-i", name),
			`^/iso-metadata.yaml$`, `^/boot/core.gz$`, `^/boot/vmlinuz$`, `^/boot/isolinux/isolinux.cfg$`, `^/boot/isolinux/isolinux.bin$`)
	}
	wantMatch(t, "isoinfo -R -l", testkit.Run(t, "isoinfo", "-R", "-l", "-i", name), `^-r--r--r-- .* iso-metadata.yaml`, `^-rw-r--r-- .* Sep 24 2012 .* core.gz`)
}

func TestBsdtarReadsTheImage(t *testing.T) {
	t.Parallel()
	name := written(t)
	img := openISO(t, name)
	dir := t.TempDir()
	testkit.Run(t, "bsdtar", "-xf", name, "-C", dir)
	compareCopy(t, img, dir)
}

// TestCpioListsTheSegments lists each segment of the initrd with GNU cpio, which reads only one archive, and
// compares the listing with the staged entries.
func TestCpioListsTheSegments(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "cpio")
	b, s, _ := staged(t, plan(t, pristine))
	rd, made := initrdWritten(t, b, s)
	all, at := "", int64(0)
	for _, segment := range rd.Segments {
		want := s.baseTree.Len()
		if t := s.tree(segment.Name); t != nil {
			want = t.Len()
		}
		out := cpioList(t, made[at:at+segment.Size])
		at += segment.Size
		if got := strings.Count(out, "\n"); got != want {
			t.Errorf("%s: cpio lists %d entries, want %d:\n%s", segment.Name, got, want, out)
		}
		all += out
	}
	wantMatch(t, "cpio", all, `^crw------- +1 root +root +5, +1 .* dev/console$`,
		`^drwxr-xr-x .* \.$`, `^drwxrwxrwt .* tmp$`, `^drwxrwsr-x +\d+ root +(staff|50) .* opt$`, `^-rwsr-xr-x .* usr/local/bin/suid$`,
		`^-rw-r----- +1 root +root .* usr/local/etc/mcollective/server.cfg$`, `^-rw-rw-r-- +1 1001 .* tmp/setup.lst$`,
		`^lrwxrwxrwx .* usr/local/bin/lscpu -> /tmp/tcloop/util-linux/usr/local/bin/lscpu$`)
}

// cpioList returns GNU cpio's listing of a compressed archive.
func cpioList(t *testing.T, segment []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "segment")
	testkit.Put(t, file, segment)
	return testkit.Run(t, "sh", "-c", "set -e; gzip -dc "+file+" 2>/dev/null >"+file+".cpio || [ $? = 2 ]; cpio --quiet -itv <"+file+".cpio")
}

// TestCpioExtractsMerged unpacks a merged initrd with GNU cpio and compares every file.
func TestCpioExtractsMerged(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "cpio")
	made, tree := initrdOf(t, openISO(t, written(t, func(c *config.Config) { c.Initrd.Layout = "merged" })))
	file, dir := filepath.Join(t.TempDir(), "core.gz"), t.TempDir()
	testkit.Put(t, file, made)
	// Without root there are no devices and no foreign owners; names, contents and modes remain.
	testkit.Run(t, "sh", "-c", fmt.Sprintf("cd %s && { gzip -dc %s 2>/dev/null || [ $? = 2 ]; } | cpio --quiet -idm --no-absolute-filenames --no-preserve-owner -f 'dev/*'", dir, file))
	for _, e := range tree.Entries() {
		p := filepath.Join(dir, filepath.FromSlash(e.Path))
		info, err := os.Lstat(p)
		switch {
		case strings.HasPrefix(e.Path, "dev/"):
		case err != nil:
			t.Error(err)
		case e.IsRegular() && string(testkit.Read(t, p)) != text(t, tree, e.Path):
			t.Errorf("/%s: cpio reads other bytes", e.Path)
		case !e.IsLink() && uint32(info.Mode().Perm()) != e.Perm()&0o777:
			t.Errorf("/%s: mode %o, want %o", e.Path, info.Mode().Perm(), e.Perm())
		}
	}
}

// TestUnsquashfsReadsTheFixtures: other tools also read these tests' extensions as squashfs.
func TestUnsquashfsReadsTheFixtures(t *testing.T) {
	t.Parallel()
	dir := pristine
	files, err := filepath.Glob(filepath.Join(dir, tczDir, "*.tcz"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d extensions, %v", len(files), err)
	}
	for _, f := range files {
		if out := testkit.Run(t, "unsquashfs", "-ll", f); !strings.Contains(out, "squashfs-root/usr/local") {
			t.Errorf("%s:\n%s", filepath.Base(f), out)
		}
	}
	wantMatch(t, "unsquashfs", testkit.Run(t, "unsquashfs", "-lln", filepath.Join(dir, tczDir, "bash.tcz")), `^-rwxr-xr-x 1001/50 .*/tce.installed/bash$`)
}

// TestRubyReadsTheMetadata: Razor reads it with Ruby's YAML and expects a Time and strings.
func TestRubyReadsTheMetadata(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "ruby")
	file := filepath.Join(t.TempDir(), "iso-metadata.yaml")
	testkit.Put(t, file, content(t, openISO(t, written(t)).Files.Get("iso-metadata.yaml")))
	out := testkit.Run(t, "ruby", "-ryaml", "-rtime", "-e", `
m = YAML.respond_to?(:unsafe_load) ? YAML.unsafe_load(File.read(ARGV[0])) : YAML.load(File.read(ARGV[0]))
puts m.keys.join(" "), m.values.map { |v| v.class }.join(" "), m["iso_build_time"].to_i
puts m["iso_version"].split(".").map { |p| "%03d" % Integer(p) }.join`, file)
	want := "iso_version kernel initrd hash_description kernel_hash initrd_hash iso_build_time\n" +
		"String String String Hash String String Time\n1348500000\n000001000\n"
	if out != want {
		t.Errorf("Ruby reads\n%swant\n%s", out, want)
	}
}
