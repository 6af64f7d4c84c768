package inspect

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
)

// images are an image of mkbuild, a stock image, and two images of the same tree by other tools.
func images(t *testing.T) map[string]string {
	t.Helper()
	dir := mirror(t)
	tree := filepath.Join(t.TempDir(), "tree")
	for name, b := range map[string][]byte{
		"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/core.gz": packed(t, tinymirror.Base()),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 1024),
		"boot/isolinux/isolinux.cfg": []byte("UI menu.c32\nLABEL tc\nKERNEL /boot/vmlinuz\nINITRD /boot/core.gz\nAPPEND quiet\n"),
		"cde/optional/bash.tcz":      []byte("squash"), "cde/onboot.lst": []byte("bash.tcz\n"),
	} {
		write(t, filepath.Join(tree, name), b)
	}
	boot := []string{"-J", "-R", "-V", "Made Elsewhere", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-b", "boot/isolinux/isolinux.bin", "-c", "boot/isolinux/boot.cat"}
	gen, xor := filepath.Join(t.TempDir(), "gen.iso"), filepath.Join(t.TempDir(), "xor.iso")
	testkit.Run(t, "genisoimage", append(slices.Clone(boot), "-quiet", "-o", gen, tree)...)
	testkit.Run(t, "xorriso", append(append([]string{"-as", "mkisofs"}, boot...), "-quiet", "-o", "stdio:"+xor, tree)...)
	return map[string]string{
		"modern": built(t, dir, tinymirror.Config64, nil), "modern stock": filepath.Join(dir, "15.x/x86_64/release/CorePure64-15.0.iso"),
		"built": built(t, dir, tinymirror.Config, nil), "stock": filepath.Join(dir, "4.x/x86/archive/4.5.2/Core-4.5.2.iso"), "genisoimage": gen, "xorriso": xor,
	}
}

// TestSecondOpinion compares inspect's report of each image with isoinfo, xorriso and cpio.
func TestSecondOpinion(t *testing.T) {
	for what, name := range images(t) {
		t.Run(what, func(t *testing.T) {
			r, err := opened(t, name).Report(Options{Files: true})
			testkit.Must(t, err)
			checkVolume(t, r, name)
			checkCatalog(t, r, name)
			kernelAndInitrd(t, r, name)
			want := tinymirror.Kernel
			if strings.HasPrefix(what, "modern") {
				want = tinymirror.Kernel64
			}
			if r.Kernel.Release != want || len(r.Menu) == 0 {
				t.Errorf("kernel %q, %d entries", r.Kernel.Release, len(r.Menu))
			}
		})
	}
}

func checkVolume(t *testing.T, r *Report, name string) {
	t.Helper()
	out := testkit.Run(t, "isoinfo", "-d", "-i", name)
	for _, want := range []string{"Volume id: " + r.Volume.ID + "\n", "Rock Ridge signatures version 1 found", "Joliet with UCS level 3 found"} {
		if !strings.Contains(out, want) {
			t.Errorf("isoinfo does not say %q:\n%s", want, out)
		}
	}
	if !r.Volume.RockRidge || !r.Volume.Joliet {
		t.Errorf("%+v", r.Volume)
	}
}

// checkCatalog compares the boot catalog with xorriso's.
func checkCatalog(t *testing.T, r *Report, name string) {
	t.Helper()
	out := testkit.Run(t, "xorriso", "-indev", "stdio:"+name, "-report_el_torito", "plain")
	lines := regexp.MustCompile(`(?m)^El Torito boot img +: +\d+ +(\S+) +y +(\S+) +0x0000 +0x00 +(\d+) `).FindAllStringSubmatch(out, -1)
	paths := regexp.MustCompile(`(?m)^El Torito img path : +\d+ +/(\S+)$`).FindAllStringSubmatch(out, -1)
	tables := strings.Count(out, "boot-info-table")
	if len(lines) != len(r.Boot) || len(lines) == 0 {
		t.Fatalf("%d entries, xorriso says:\n%s", len(r.Boot), out)
	}
	for i, b := range r.Boot {
		if b.Path != "" {
			if len(paths) == 0 || paths[0][1] != b.Path {
				t.Errorf("%+v, xorriso says:\n%s", b, out)
				continue
			}
			paths = paths[1:]
		}
		if !strings.EqualFold(lines[i][1], b.Platform) || lines[i][2] != b.Emulation || lines[i][3] != fmt.Sprint(b.LoadSectors) {
			t.Errorf("%+v, xorriso says:\n%s", b, out)
		}
		if b.InfoTable {
			tables--
		}
	}
	if tables != 0 {
		t.Errorf("another number of boot-info-tables than xorriso's:\n%s", out)
	}
}

// kernelAndInitrd extracts the initrd with xorriso, splits its segments by inspect's report, and lists each with
// GNU cpio.
func kernelAndInitrd(t *testing.T, r *Report, name string) {
	t.Helper()
	dir := t.TempDir()
	testkit.Run(t, "xorriso", "-osirrox", "on", "-indev", "stdio:"+name, "-extract", "/"+r.Kernel.Path, dir+"/kernel", "-extract", "/"+r.Initrd.Paths[0], dir+"/initrd")
	if out := testkit.Run(t, "sha256sum", dir+"/kernel"); !strings.HasPrefix(out, r.Kernel.SHA256) {
		t.Errorf("kernel: %s, sha256sum says %s", r.Kernel.SHA256, out)
	}
	all, err := os.ReadFile(dir + "/initrd")
	testkit.Must(t, err)
	var want []string
	for _, s := range r.Initrd.Segments {
		z, err := gzip.NewReader(bytes.NewReader(all[s.Offset : s.Offset+s.Size]))
		testkit.Must(t, err)
		plain, err := io.ReadAll(z)
		testkit.Must(t, err)
		if int64(len(plain)) != s.Unpacked {
			t.Errorf("segment at %d: %d bytes unpacked, said %d", s.Offset, len(plain), s.Unpacked)
		}
		names := cpioNames(t, plain)
		if len(names) != s.Entries {
			t.Errorf("segment at %d: %d entries, cpio lists %d", s.Offset, s.Entries, len(names))
		}
		want = append(want, names...)
	}
	var got []string
	for _, f := range r.Files {
		got = append(got, string(f.Path))
	}
	slices.Sort(got)
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("files %q\ncpio lists %q", got, want)
	}
}

// cpioNames lists an archive with GNU cpio. internal/cpio tests modes and owners.
func cpioNames(t *testing.T, archive []byte) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, "cpio"), "-it", "--quiet")
	cmd.Stdin = bytes.NewReader(archive)
	out, err := cmd.Output()
	testkit.Must(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
