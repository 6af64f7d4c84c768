package medium

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

const (
	cfg     = "boot/isolinux/isolinux.cfg"
	stock   = "default a\nlabel a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz quiet\n"
	grubCfg = "set timeout=5\nmenuentry core {\n  linux /boot/vmlinuz quiet\n  initrd /boot/core.gz\n}\n"
)

// segment is a small initrd with one file.
func segment(t testing.TB, name string) string {
	t.Helper()
	tree := tinymirror.Base()
	testkit.Must(t, tree.Put(overlay.File(name, 0o644, []byte(name))))
	var out bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&out, tree, initrd.SegmentOptions{}))
	return out.String()
}

// isoBytes returns an ISO with two kernels, two initrds and a menu; files replace these.
func isoBytes(t testing.TB, files map[string]string) []byte {
	t.Helper()
	all := map[string]string{
		"boot/vmlinuz": string(tinymirror.VMLinuz(tinymirror.Kernel)), "boot/vmlinuz64": string(tinymirror.VMLinuz("3.0.21-tinycore64")),
		"boot/core.gz": segment(t, "etc/one"), "boot/modules.gz": segment(t, "etc/two"),
		"boot/isolinux/isolinux.bin": strings.Repeat("isolinux", 512), cfg: stock,
	}
	maps.Copy(all, files)
	contents := map[string][]byte{}
	for name, text := range all {
		contents[name] = []byte(text)
	}
	b, err := tinymirror.ISOWith(contents)
	testkit.Must(t, err)
	return b
}

// isoWith reads such an ISO.
func isoWith(t testing.TB, files map[string]string) *Medium {
	t.Helper()
	return readBytes(t, isoBytes(t, files))
}

func readBytes(t testing.TB, b []byte) *Medium {
	t.Helper()
	m, err := ReadISO(bytes.NewReader(b), int64(len(b)), "x.iso")
	testkit.Must(t, err)
	return m
}

// textOf is the content of a file of a medium.
func textOf(t testing.TB, m *Medium, name string) string {
	t.Helper()
	text, err := m.Files.Get(name).Content(1 << 26)
	testkit.Must(t, err)
	return string(text)
}

func TestOpenISO(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Put(t, name, isoBytes(t, nil))
	for _, open := range []func(string) (*Medium, error){OpenISO, Open} {
		m, err := open(name)
		testkit.Must(t, err)
		if release, err := m.KernelRelease(); err != nil || release != tinymirror.Kernel || m.Arguments != "quiet" {
			t.Errorf("kernel %q, arguments %q, %v", release, m.Arguments, err)
		}
		r, err := m.Open(m.Kernel)
		testkit.Must(t, err)
		if got, err := io.ReadAll(r); err != nil || string(got) != textOf(t, m, "boot/vmlinuz") {
			t.Errorf("the kernel: %v, or other bytes", err)
		}
		testkit.Must(t, errors.Join(r.Close(), m.Close()))
	}
	kernel, rd, err := ReadBootFiles(name)
	if m := isoWith(t, nil); err != nil || string(kernel) != textOf(t, m, "boot/vmlinuz") || !strings.HasPrefix(string(rd), textOf(t, m, "boot/core.gz")) {
		t.Errorf("other boot files: %v", err)
	}
	if _, err := OpenISO(filepath.Join(t.TempDir(), "nowhere.iso")); !errors.Is(err, fs.ErrNotExist) || fail.ClassOf(err) != fail.Usage {
		t.Errorf("no file: %v", err)
	}
	testkit.Put(t, name, []byte("text"))
	if _, err := OpenISO(name); !errors.Is(err, iso9660.ErrNotISO) || !strings.Contains(err.Error(), "x.iso") {
		t.Errorf("no ISO: %v", err)
	}
	if m, err := Open(name); err != nil || m.Form != Initrd || textOf(t, m, "x.iso") != "text" {
		t.Errorf("an initrd: %+v, %v", m, err)
	}
}

func TestSeveralInitrdsAreReadInOrder(t *testing.T) {
	m := isoWith(t, map[string]string{cfg: "label a\n kernel /boot/vmlinuz\n initrd /boot/core.gz,/boot/modules.gz\n append quiet\n"})
	tree, err := m.Tree()
	testkit.Must(t, err)
	if m.LastInitrd() != "boot/modules.gz" || tree.Get("etc/one") == nil || tree.Get("etc/two") == nil {
		t.Errorf("the last of %q is %s; one %v, two %v", m.Initrds, m.LastInitrd(), tree.Get("etc/one"), tree.Get("etc/two"))
	}
	if one := m.OneInitrd(); one.Size%4 != 0 {
		t.Errorf("together they have %d bytes", one.Size)
	}
	if _, err := isoWith(t, map[string]string{"boot/core.gz": ""}).Segments().Open(); err != nil {
		t.Errorf("an empty initrd: %v", err)
	}
}

// TestMenus tests the default entry of a medium, and its entries that boot something else.
func TestMenus(t *testing.T) {
	const one, other = "label a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz\n", "label %s\n kernel /boot/vmlinuz64\n append initrd=/boot/modules.gz\n"
	tests := []struct {
		name, menu, others string
	}{
		{"all use it", one + "label b\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz nozswap\n", ""},
		{"local disk and modules", one + "label hd\n localboot 0x80\nlabel m\n kernel menu.c32\n", ""},
		{"it and another", one + "label b\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz,/boot/modules.gz\n", "label b boots"},
		{"another initrd", one + strings.Replace(other, "%s", "mc64", 1), "label mc64 boots"},
		{"no initrd at all", one + "label bare\n kernel /boot/vmlinuz\n", "label bare boots"},
		{"before the default one", "default a\n" + strings.Replace(other, "%s", "b", 1) + one, "label b boots"},
		{"names in any case", "label a\n kernel \\BOOT\\VMLINUZ\n append initrd=/BOOT/CORE.GZ\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := isoWith(t, map[string]string{cfg: tt.menu})
			if m.LastInitrd() != "boot/core.gz" || m.Kernel != "boot/vmlinuz" {
				t.Fatalf("the default boots %s with %s", m.Kernel, m.LastInitrd())
			}
			if got := othersOf(m); !strings.HasPrefix(got, tt.others) || tt.others == "" && got != "" {
				t.Errorf("others %q, want %q", got, tt.others)
			}
		})
	}
	m := isoWith(t, map[string]string{cfg: "label a\n kernel /boot/nowhere\n append initrd=/boot/core.gz,/gone\n"})
	if got := strings.Join(m.Entries[0].Missing, " "); got != "/boot/nowhere /gone" {
		t.Errorf("missing %q", got)
	}
	if err := m.Bootable(); err == nil || !strings.Contains(err.Error(), cfg+":1: label a names /boot/nowhere, /gone") {
		t.Errorf("nothing boots: %v", err)
	}
	if _, err := m.KernelRelease(); err == nil {
		t.Error("it has a kernel")
	}
}

// othersOf returns the entries that boot something else.
func othersOf(m *Medium) string {
	var out []string
	for _, d := range m.Others {
		out = append(out, d.Text)
	}
	return strings.Join(out, "; ")
}
