package remaster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/fetch"
	"mkbuild/internal/initrd"
	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// segment is a small initrd with one file.
func segment(t *testing.T, name string) []byte {
	t.Helper()
	tree := tinymirror.Base()
	if err := tree.Put(overlay.File(name, 0o644, []byte(name))); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := initrd.WriteSegment(&out, tree, initrd.SegmentOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// isoWith opens an image with the given boot menu, two kernels and two initrds.
func isoWith(t *testing.T, menu string) (*base, error) {
	t.Helper()
	image, err := tinymirror.ISOWith(map[string][]byte{
		"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/vmlinuz64": tinymirror.VMLinuz("3.0.21-tinycore64"),
		"boot/core.gz": segment(t, "etc/one"), "boot/modules.gz": segment(t, "etc/two"),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512), "boot/isolinux/isolinux.cfg": []byte(menu),
	})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.iso")
	if err := os.WriteFile(name, image, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	b, err := openBase(f, &fetch.Blob{Size: int64(len(image))}, "x.iso")
	if err == nil {
		b.tree, err = b.unpack()
	}
	return b, err
}

func TestSeveralInitrdsAreReadInOrder(t *testing.T) {
	b, err := isoWith(t, "label a\n kernel /boot/vmlinuz\n initrd /boot/core.gz,/boot/modules.gz\n append quiet\n")
	if err != nil {
		t.Fatal(err)
	}
	if b.initrd() != "boot/modules.gz" || b.tree.Get("etc/one") == nil || b.tree.Get("etc/two") == nil {
		t.Errorf("remade %s of %q; one %v, two %v", b.initrd(), b.initrds, b.tree.Get("etc/one"), b.tree.Get("etc/two"))
	}
	r, err := b.openInitrds()
	if err != nil {
		t.Fatal(err)
	}
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
			b, err := isoWith(t, tc.menu)
			if err != nil {
				t.Fatal(err)
			}
			if b.initrd() != "boot/core.gz" {
				t.Fatalf("remakes %s", b.initrd())
			}
			if got := strings.Join(b.others, " "); got != tc.want {
				t.Errorf("others %q, want %q", got, tc.want)
			}
			err = b.checkLabels(true, ui.Discard{})
			var open *OpenError
			if errors.As(err, &open) != (tc.want != "") {
				t.Errorf("prod: %v", err)
			}
			if err := b.checkLabels(false, ui.Discard{}); err != nil {
				t.Errorf("dev: %v", err)
			}
		})
	}
}
