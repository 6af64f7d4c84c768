package iso9660

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"

	"mkbuild/internal/overlay"
)

// report runs xorriso's reports on an image and returns the lines with a prefix.
func report(t *testing.T, iso, what, prefix string) []string {
	t.Helper()
	run := exec.CommandContext(t.Context(), testkit.Tool(t, "xorriso"), "-indev", "stdio:"+iso, what, "plain")
	var stderr bytes.Buffer
	run.Stderr = &stderr
	out, err := run.Output()
	testkit.Must(t, err)
	if s := stderr.String(); strings.Contains(s, "WARNING") || strings.Contains(s, "SORRY") || strings.Contains(s, "FAILURE") {
		t.Errorf("xorriso complains about %s:\n%s", iso, s)
	}
	var lines []string
	for _, l := range strings.Split(string(out), "\n") {
		if l = strings.Join(strings.Fields(l), " "); strings.HasPrefix(l, prefix) {
			lines = append(lines, l)
		}
	}
	return lines
}

// listing is isoinfo's listing of a tree, without the differences between writers: sectors, the lengths and link
// counts of directories, the catalog's time, placeholders of relocated directories.
func listing(t *testing.T, iso, names string) string {
	t.Helper()
	var lines []string
	dir := ""
	length := regexp.MustCompile(`^(d.{9}) +\d+ (.*?)\d+ (\w{3} )`)
	place := regexp.MustCompile(`\[ *\d+ \d+\]`)
	for _, l := range strings.Split(testkit.Run(t, "isoinfo", names, "-l", "-i", iso), "\n") {
		if d, ok := strings.CutPrefix(l, "Directory listing of "); ok {
			dir = d
			continue
		}
		l = strings.TrimSpace(place.ReplaceAllString(length.ReplaceAllString(l, "$1 $2 $3"), ""))
		if l == "" || strings.HasSuffix(l, " .") || strings.HasSuffix(l, " ..") || strings.Contains(l, "rr_moved") || strings.HasSuffix(l, "boot.cat") {
			continue
		}
		lines = append(lines, dir+" "+strings.Join(strings.Fields(l), " "))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// tarList is libarchive's listing of a tree: modes, owners, sizes, times, names, targets.
func tarList(t *testing.T, iso string) string {
	t.Helper()
	lines := strings.Split(testkit.Run(t, "bsdtar", "-tvf", iso), "\n")
	for i, l := range lines {
		f := strings.Fields(l)
		if len(f) > 4 {
			f[1] = "" // links: libarchive copies the writer's count of directories
			if strings.HasPrefix(f[8], "boot/vmlinuz") {
				f[4], f = "", f[:9] // the file system determines the order of two linked names
			}
			if l[0] == 'd' || strings.HasSuffix(l, "boot.cat") {
				f[4] = "" // a directory's length is the writer's own
			}
		}
		lines[i] = strings.Join(f, " ")
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// diff returns the lines that only one of two texts has.
func diff(t *testing.T, what, got, want string) {
	t.Helper()
	have := make(map[string]int)
	for _, l := range strings.Split(want, "\n") {
		have[l]--
	}
	for _, l := range strings.Split(got, "\n") {
		have[l]++
	}
	for l, n := range have {
		if n != 0 {
			t.Errorf("%s: %+d of %q", what, n, l)
		}
	}
}

// sources are images by both reference programs, with the options for equal -R output.
func sources(t *testing.T, dir string) map[string]string {
	return map[string]string{"xorriso": mkisofs(t, "xorriso", dir), "genisoimage": mkisofs(t, "genisoimage", dir)}
}

// TestSecondOpinions rewrites images of both reference programs, one of which relocates deep directories, and
// compares the trees with four other readers.
func TestSecondOpinions(t *testing.T) {
	dir := coreTree(t)
	for tool, src := range sources(t, dir) {
		t.Run(tool, func(t *testing.T) {
			img := openISO(t, src)
			out := writeISO(t, img)
			compareWithDisk(t, dir, img)
			plain := mkisofs(t, "xorriso", dir) // no relocation, no symlinks in Joliet
			diff(t, "isoinfo -R", listing(t, out, "-R"), listing(t, plain, "-R"))
			diff(t, "isoinfo -J", listing(t, out, "-J"), listing(t, plain, "-J"))
			diff(t, "bsdtar", tarList(t, out), tarList(t, src))
			if s := testkit.Run(t, "7z", "t", out); !strings.Contains(s, "Everything is Ok") || strings.Contains(s, "Warn") {
				t.Errorf("7z: %s", s)
			}
			want := []string{
				"El Torito boot img : 1 BIOS y none 0x0000 0x00 4 86",
				"El Torito img path : 1 /boot/isolinux/isolinux.bin",
				"El Torito img opts : 1 boot-info-table isohybrid-suitable",
			}
			got := strings.Join(report(t, out, "-report_el_torito", "El Torito"), "\n")
			for _, w := range want {
				if !strings.Contains(got, w[:len(w)-3]) {
					t.Errorf("xorriso: no %q in\n%s", w, got)
				}
			}
			if !strings.Contains(got, "/boot/isolinux/boot.cat") {
				t.Errorf("xorriso: no catalog path in\n%s", got)
			}
		})
	}
}

// compareWithDisk compares an image with its source directory.
func compareWithDisk(t *testing.T, dir string, img *Image) {
	t.Helper()
	seen := 0
	testkit.Must(t, filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		testkit.Must(t, err)
		info, err := e.Info()
		testkit.Must(t, err)
		seen++
		f := img.Files.Get(filepath.ToSlash(rel))
		switch {
		case f == nil:
			t.Errorf("no %s", rel)
			return nil
		case f.MTime != info.ModTime().Unix() && filepath.Base(rel) != "isolinux.bin": // mkisofs writes its table into that
			t.Errorf("%s: time %d, want %d", rel, f.MTime, info.ModTime().Unix())
		case f.Mode&0o777 != uint32(info.Mode().Perm()), (f.Mode&0o4000 != 0) != (info.Mode()&os.ModeSetuid != 0):
			t.Errorf("%s: mode %#o, want %v", rel, f.Mode, info.Mode())
		}
		compareContent(t, p, info, f)
		return nil
	}))
	if want := seen + 1; img.Files.Len() != want { // and the boot catalog
		t.Errorf("%d entries, want %d", img.Files.Len(), want)
	}
}

func compareContent(t *testing.T, p string, info os.FileInfo, f *overlay.Entry) {
	t.Helper()
	if info.Mode()&os.ModeSymlink != 0 {
		if target, err := os.Readlink(p); err != nil || f.Link != target {
			t.Errorf("%s: links to %q, want %q", p, f.Link, target)
		}
	}
	if info.Mode().IsRegular() && filepath.Base(p) != "isolinux.bin" {
		want, err := os.ReadFile(p)
		if err != nil || contents(t, f) != string(want) {
			t.Errorf("%s: other content, %v", p, err)
		}
	}
}

// TestToolsReadEverything reads with other tools what mkisofs cannot store without root: owners, devices, long
// links and names.
func TestToolsReadEverything(t *testing.T) {
	img := everything()
	link := img.Files.Get("link.long")
	link.Link = link.Link[:700] // libisofs stops at about a thousand
	out := writeISO(t, img)
	list := tarList(t, out)
	for _, want := range []string{
		"brw-rw---- 0 0 8,17 ", "crw-rw-rw- 0 0 1,3 ", "drwxrwxrwt 1001 50 ", "-rwsr-sr-x 2147483648 70000 3 ",
		"link.abs -> /", "link -> ../a/./b", strings.Repeat("n", 251) + ".tcz", "ünïcode-名前",
		"hard/one link to hard/two",
	} {
		if !strings.Contains(strings.ReplaceAll(list, "  ", " "), want) {
			t.Errorf("bsdtar: no %.100q in\n%s", want, list)
		}
	}
	if s := testkit.Run(t, "isoinfo", "-d", "-i", out); !strings.Contains(s, "Volume id: Razor MK 0.1.0") {
		t.Errorf("isoinfo: %s", s)
	}
	s := testkit.Run(t, "xorriso", "-indev", "stdio:"+out, "-find", "/", "-exec", "lsdl")
	for _, want := range []string{"brw-rw----", "8,17", link.Link} {
		if !strings.Contains(s, want) {
			t.Errorf("xorriso: no %.100q in\n%s", want, s)
		}
	}
}

// TestOtherNames reads images without Rock Ridge, and without Rock Ridge and Joliet.
func TestOtherNames(t *testing.T) {
	dir := t.TempDir()
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "Boot"), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "Boot", "Mixed-Case.name.txt"), []byte("x"), 0o600))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "noext"), []byte("y"), 0o600))
	for _, tt := range []struct{ name, flag, want string }{
		{"Joliet", "-J", ". Boot Boot/Mixed-Case.name.txt noext"},
		{"plain", "-l", ". boot boot/mixed_case_name.txt noext"},
	} {
		iso := filepath.Join(t.TempDir(), "x.iso")
		testkit.Run(t, "genisoimage", "-quiet", tt.flag, "-o", iso, dir)
		img := openISO(t, iso)
		var paths []string
		for _, f := range img.Files.Entries() {
			paths = append(paths, f.Path)
		}
		if got := strings.Join(paths, " "); got != tt.want || img.RockRidge || img.Joliet != (tt.flag == "-J") {
			t.Errorf("%s: got %q, Rock Ridge %v, Joliet %v", tt.name, got, img.RockRidge, img.Joliet)
		}
	}
}

// TestEditedImage makes a remaster's changes, and reads the result with other tools.
func TestEditedImage(t *testing.T) {
	img := openISO(t, mkisofs(t, "genisoimage", coreTree(t)))
	img.VolumeID, img.Modified = "Razor MK 0.1.0", 1350000000
	img.Files.Put(overlay.Entry{Path: "boot/core.gz", Mode: overlay.TypeRegular | 0o644, Size: 700_000, Open: overlay.Bytes(filled(700_000, 9))})
	img.Files.Put(regular("iso-metadata.yaml", "iso_version: 0.1.0\n"))
	img.Files.Remove("cde")
	out := writeISO(t, img)
	dir := t.TempDir()
	testkit.Run(t, "bsdtar", "-C", dir, "-xf", out)
	core, err := os.ReadFile(filepath.Join(dir, "boot/core.gz"))
	if err != nil || !bytes.Equal(core, filled(700_000, 9)) {
		t.Errorf("boot/core.gz: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "iso-metadata.yaml")); err != nil || string(b) != "iso_version: 0.1.0\n" {
		t.Errorf("iso-metadata.yaml: %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cde")); err == nil {
		t.Error("cde is still there")
	}
	if s := fmt.Sprint(report(t, out, "-report_el_torito", "El Torito img opts")); !strings.Contains(s, "boot-info-table") {
		t.Errorf("boot-info-table: %s", s)
	}
}
