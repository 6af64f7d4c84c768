package medium

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// segment is a small initrd with one file.
func segment(t *testing.T, name string) []byte {
	t.Helper()
	tree := tinymirror.Base()
	testkit.Must(t, tree.Put(overlay.File(name, 0o644, []byte(name))))
	var out bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&out, tree, initrd.SegmentOptions{}))
	return out.Bytes()
}

// isoWith reads an image with the given boot menu, two kernels and two initrds.
func isoWith(t *testing.T, menu string) *Medium {
	t.Helper()
	image, err := tinymirror.ISOWith(map[string][]byte{
		"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/vmlinuz64": tinymirror.VMLinuz("3.0.21-tinycore64"),
		"boot/core.gz": segment(t, "etc/one"), "boot/modules.gz": segment(t, "etc/two"),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512), "boot/isolinux/isolinux.cfg": []byte(menu),
	})
	testkit.Must(t, err)
	m, err := ReadISO(bytes.NewReader(image), int64(len(image)), "x.iso")
	testkit.Must(t, err)
	return m
}

func TestSeveralInitrdsAreReadInOrder(t *testing.T) {
	m := isoWith(t, "label a\n kernel /boot/vmlinuz\n initrd /boot/core.gz,/boot/modules.gz\n append quiet\n")
	tree, err := m.Tree()
	testkit.Must(t, err)
	if m.LastInitrd() != "boot/modules.gz" || tree.Get("etc/one") == nil || tree.Get("etc/two") == nil {
		t.Errorf("the last of %q is %s; one %v, two %v", m.Initrds, m.LastInitrd(), tree.Get("etc/one"), tree.Get("etc/two"))
	}
	r, err := m.Segments().Open()
	testkit.Must(t, err)
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil || len(all)%4 != 0 {
		t.Errorf("%d bytes, %v", len(all), err)
	}
}

func TestLabelsThatBootSomethingElse(t *testing.T) {
	tests := []struct{ name, menu, want string }{
		{"all use it", "label a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz\nlabel b\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz nozswap\n", ""},
		{"local disk and modules", "label a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz\nlabel hd\n localboot 0x80\nlabel m\n kernel menu.c32\n", ""},
		{"it and another", "label a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz\nlabel b\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz,/boot/modules.gz\n", ""},
		{"another initrd", "label a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz\nlabel mc64\n kernel /boot/vmlinuz64\n append initrd=/boot/modules.gz\n", "mc64"},
		{"no initrd at all", "label a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz\nlabel bare\n kernel /boot/vmlinuz\n", "bare"},
		{"before the default one", "default b\nlabel a\n kernel /boot/vmlinuz64\n append initrd=/boot/modules.gz\nlabel b\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz\n", "a"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := isoWith(t, tc.menu)
			if m.LastInitrd() != "boot/core.gz" {
				t.Fatalf("the default boots %s", m.LastInitrd())
			}
			if got := strings.Join(m.Others, " "); got != tc.want {
				t.Errorf("others %q, want %q", got, tc.want)
			}
		})
	}
}

func TestOpenISO(t *testing.T) {
	image, err := tinymirror.ISO()
	testkit.Must(t, err)
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Must(t, os.WriteFile(name, image, 0o644))
	m, err := OpenISO(name)
	testkit.Must(t, err)
	if release, err := m.KernelRelease(); err != nil || release != tinymirror.Kernel || m.Arguments != "quiet" {
		t.Errorf("kernel %q, arguments %q, %v", release, m.Arguments, err)
	}
	for name, open := range map[string]func() (io.ReadCloser, error){
		"boot/vmlinuz": func() (io.ReadCloser, error) { return m.Open(m.Kernel) }, "boot/core.gz": m.Segments().Open,
	} {
		r, err := open()
		testkit.Must(t, err)
		got, err := io.ReadAll(r)
		want, _ := m.Files.Get(name).Content(1 << 26)
		if err != nil || !bytes.Equal(bytes.TrimRight(got, "\x00"), bytes.TrimRight(want, "\x00")) {
			t.Errorf("%s: %v, or other bytes", name, err)
		}
		r.Close()
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenISO(filepath.Join(t.TempDir(), "nowhere.iso")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	testkit.Must(t, os.WriteFile(name, []byte("text"), 0o644))
	if _, err := OpenISO(name); !errors.Is(err, iso9660.ErrNotISO) || !strings.Contains(err.Error(), "x.iso") {
		t.Errorf("no ISO: %v", err)
	}
}

func TestEmptyInitrd(t *testing.T) {
	image, err := tinymirror.ISOWith(map[string][]byte{"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/core.gz": nil,
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512), "boot/isolinux/isolinux.cfg": []byte("label a\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz\n")})
	testkit.Must(t, err)
	m, err := ReadISO(bytes.NewReader(image), int64(len(image)), "x.iso")
	testkit.Must(t, err)
	r, err := m.Segments().Open()
	testkit.Must(t, err)
	r.Close()
}
