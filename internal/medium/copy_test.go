package medium

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
)

// menuISO writes an image with the given boot menu and returns its name and bytes.
func menuISO(t *testing.T, menu string) (string, []byte) {
	t.Helper()
	image, err := tinymirror.ISOWith(map[string][]byte{
		"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/core.gz": segment(t, "etc/one"),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512), "boot/isolinux/isolinux.cfg": []byte(menu),
	})
	testkit.Must(t, err)
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Must(t, os.WriteFile(name, image, 0o644))
	return name, image
}

func opened(t *testing.T, name string) *Medium {
	t.Helper()
	m, err := OpenISO(name)
	testkit.Must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func TestWriteForOneBoot(t *testing.T) {
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
			testkit.Must(t, opened(t, name).WriteForOneBoot(t.Context(), &out, "console=ttyS0 a=b"))
			copied, err := ReadISO(bytes.NewReader(out.Bytes()), int64(out.Len()), "copy.iso")
			testkit.Must(t, err)
			if got, err := copied.text("boot/isolinux/isolinux.cfg"); string(got) != tc.want {
				t.Errorf("got %q, want %q: %v", got, tc.want, err)
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
			if now, err := os.ReadFile(name); !bytes.Equal(image, now) {
				t.Errorf("the image itself has changed: %v", err)
			}
		})
	}
}

func TestWriteForOneBootRefuses(t *testing.T) {
	name, _ := menuISO(t, "label a\n localboot 0x80\n")
	if err := opened(t, name).WriteForOneBoot(t.Context(), &bytes.Buffer{}, "a"); !errors.Is(err, ErrNoMenu) {
		t.Errorf("no kernel in the menu: %v", err)
	}
	name, _ = menuISO(t, "label a\n kernel /boot/vmlinuz\n")
	if err := opened(t, name).WriteForOneBoot(t.Context(), &bytes.Buffer{}, "a\nb"); err == nil {
		t.Error("an argument with a line break was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := opened(t, name).WriteForOneBoot(ctx, &bytes.Buffer{}, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
