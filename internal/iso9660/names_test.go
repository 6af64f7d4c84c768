package iso9660

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"

	"mkbuild/internal/overlay"
)

func TestISOName(t *testing.T) {
	tests := []struct {
		name string
		dir  bool
		want string
	}{
		{"isolinux.cfg", false, "ISOLINUX.CFG;1"},
		{"vmlinuz", false, "VMLINUZ.;1"},
		{"vmlinuz64", false, "VMLINUZ64.;1"},
		{"corepure64.gz", false, "COREPURE64.GZ;1"},
		{"boot.cat", false, "BOOT.CAT;1"},
		{"f2", false, "F2.;1"},
		{".hidden", false, "_HIDDEN.;1"},
		{"a.b.c", false, "A_B.C;1"},
		{"name.", false, "NAME.;1"},
		{"ünï", false, "_N_.;1"},
		{"scsi-3.0.21-tinycore.tcz.md5.txt", false, "SCSI_3_0_21_TINYCORE_TCZ_MD.TXT;1"},
		{"a.an-extension-of-more-than-thirty", false, "A.AN_EXTENSION_OF_MORE_THAN_THI;1"},
		{"isolinux", true, "ISOLINUX"},
		{"a.directory", true, "A_DIRECTORY"},
		{strings.Repeat("d", 40), true, strings.Repeat("D", 31)},
	}
	for _, tt := range tests {
		if got := string(newISOName(tt.name, tt.dir).identifier(tt.dir)); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestISONamesOfBootFiles compares plain identifiers with mkisofs -l, because an old isolinux reads only these.
func TestISONamesOfBootFiles(t *testing.T) {
	dir := t.TempDir()
	img := &Image{}
	for _, name := range []string{
		"boot/vmlinuz", "boot/vmlinuz64", "boot/core.gz", "boot/corepure64.gz", "boot/tinycore.gz",
		"boot/isolinux/isolinux.cfg", "boot/isolinux/menu.c32", "boot/isolinux/boot.msg",
		"boot/isolinux/f2", "boot/modules_64.gz", "boot/rootfs.gz", "iso-metadata.yaml", "cde/onboot.lst",
	} {
		testkit.Must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
		img.Files.Put(regular(name, "x"))
	}
	theirs := filepath.Join(t.TempDir(), "mkisofs.iso")
	testkit.Run(t, "genisoimage", "-quiet", "-l", "-o", theirs, dir)
	plain := func(iso string) string {
		ids := strings.Fields(testkit.Run(t, "isoinfo", "-f", "-i", iso))
		sort.Strings(ids)
		return strings.Join(ids, "\n")
	}
	if got, want := plain(writeISO(t, img)), plain(theirs); got != want {
		t.Errorf("plain names\n%s\nmkisofs -l:\n%s", got, want)
	}
}

func TestNamesAreUnique(t *testing.T) {
	var kids []*node
	add := func(name string, mode uint32) {
		kids = append(kids, &node{name: name, file: overlay.Entry{Path: name, Mode: mode}})
	}
	for i := range 1200 {
		add(fmt.Sprintf("%s-%04d.tcz", strings.Repeat("long", 20), i), overlay.TypeRegular)
	}
	add("UPPER.TXT", overlay.TypeRegular)
	add("upper.txt", overlay.TypeRegular)
	add("upper", overlay.TypeRegular)
	add("UPPER", overlay.TypeDir)
	add("x", overlay.TypeLink)
	d := &node{kids: kids}
	nameJoliet(d)
	nameISO(d.kids)
	allowed := regexp.MustCompile(`^[A-Z0-9_]{1,30}(\.[A-Z0-9_]{0,29};1)?$`)
	iso, joliet := make(map[string]string), make(map[string]string)
	for _, k := range d.kids {
		id, _, _ := strings.Cut(string(k.iso), ";")
		id = strings.TrimSuffix(id, ".")
		if other := iso[id]; other != "" {
			t.Errorf("%q and %q are both %s", other, k.name, id)
		}
		iso[id] = k.name
		if !allowed.Match(k.iso) || len(k.iso) > 33 {
			t.Errorf("%q: identifier %q", k.name, k.iso)
		}
	}
	for _, k := range d.jkids {
		if other := joliet[string(k.joliet)]; other != "" || len(k.joliet) > 2*maxJoliet {
			t.Errorf("%q: Joliet %q, as %q", k.name, k.joliet, other)
		}
		joliet[string(k.joliet)] = k.name
	}
	if len(joliet) != len(kids)-1 {
		t.Errorf("%d Joliet names for %d entries", len(joliet), len(kids))
	}
	if string(d.kids[0].iso) > string(d.kids[1].iso) {
		t.Error("not sorted")
	}
}

func TestJolietName(t *testing.T) {
	tests := []struct{ name, suffix, want string }{
		{"plain.txt", "", "plain.txt"},
		{`a*b:c;d?e\f`, "", "a_b_c_d_e_f"},
		{"tab\tname", "", "tab_name"},
		{strings.Repeat("l", 70) + ".txt", "", strings.Repeat("l", 60) + ".txt"},
		{strings.Repeat("l", 70) + ".txt", "_000", strings.Repeat("l", 56) + "_000.txt"},
		{strings.Repeat("l", 63) + "😀", "", strings.Repeat("l", 63)},
		{"名前.tcz", "_001", "名前_001.tcz"},
	}
	for _, tt := range tests {
		if got := decodeUCS2(string(cutJoliet(jolietUnits(tt.name), tt.suffix))); got != tt.want {
			t.Errorf("%q with %q: got %q, want %q", tt.name, tt.suffix, got, tt.want)
		}
	}
}
