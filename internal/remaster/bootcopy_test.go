package remaster

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit/tinymirror"
)

// menuISO writes an image with the given boot menu and returns its name and bytes.
func menuISO(t *testing.T, menu string) (string, []byte) {
	t.Helper()
	image, err := tinymirror.ISOWith(map[string][]byte{
		"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/core.gz": segment(t, "etc/one"),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512), "boot/isolinux/isolinux.cfg": []byte(menu),
	})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.iso")
	writeFile(t, name, image)
	return name, image
}

func TestCopyWithArguments(t *testing.T) {
	const menu = "default a\nlabel a\n kernel /boot/vmlinuz\n append initrd=/boot/core.gz quiet\n"
	for _, tc := range []struct{ name, menu, want string }{
		{"arguments", menu, strings.Replace(menu, "quiet", "quiet console=ttyS0 a=b", 1)},
		{"a menu that waits", "timeout 300\n" + menu, "timeout 10\n" + strings.Replace(menu, "quiet", "quiet console=ttyS0 a=b", 1)},
		{"a menu that waits for ever", "TIMEOUT 0\r\n" + menu, "TIMEOUT 0\r\n" + strings.Replace(menu, "quiet", "quiet console=ttyS0 a=b", 1)},
		{"no initrd", "label a\n kernel /boot/vmlinuz\n", "label a\n kernel /boot/vmlinuz\n append console=ttyS0 a=b\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name, image := menuISO(t, tc.menu)
			var out bytes.Buffer
			if err := CopyWithArguments(t.Context(), &out, name, "console=ttyS0 a=b"); err != nil {
				t.Fatal(err)
			}
			copied := filepath.Join(t.TempDir(), "copy.iso")
			writeFile(t, copied, out.Bytes())
			img := openISO(t, copied)
			if got := string(content(t, img.Lookup("boot/isolinux/isolinux.cfg"))); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			differ := 0
			for i := range image {
				if image[i] != out.Bytes()[i] {
					differ++
				}
			}
			if differ > 32 {
				t.Errorf("%d bytes of the image differ, want the places in two directory records", differ)
			}
			if !bytes.Equal(image, readFile(t, name)) {
				t.Error("the image itself has changed")
			}
		})
	}
}

func TestCopyWithArgumentsRefuses(t *testing.T) {
	name, _ := menuISO(t, "label a\n localboot 0x80\n")
	if err := CopyWithArguments(t.Context(), &bytes.Buffer{}, name, "a"); !errors.Is(err, ErrNoISOLINUX) {
		t.Errorf("no kernel in the menu: %v", err)
	}
	name, _ = menuISO(t, "label a\n kernel /boot/vmlinuz\n")
	if err := CopyWithArguments(t.Context(), &bytes.Buffer{}, name, "a\nb"); err == nil {
		t.Error("an argument with a line break was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := CopyWithArguments(ctx, &bytes.Buffer{}, name, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
