package sdboot

import (
	"errors"
	"strings"
	"testing"

	"mkbuild/internal/bootmenu"
)

const entry = "# Tiny Core\ntitle  Core\nlinux  /boot/vmlinuz\ninitrd /boot/core.gz\ninitrd\t/boot/modules.gz\noptions quiet\r\noptions  nozswap initrd=\\boot\\more.gz"

func TestIsEntry(t *testing.T) {
	for name, want := range map[string]bool{
		"loader/entries/core.conf": true, "LOADER/Entries/CORE.CONF": true, "EFI/x/loader/entries/a.conf": true,
		"loader/loader.conf": false, "entries/core.conf": false, "xloader/entries/core.conf": false, "loader/entries/core.txt": false, "loader/entries/x/core.conf": false,
	} {
		if got := IsEntry(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestRead(t *testing.T) {
	m, err := Read([]byte(entry), nil)
	if err != nil || len(m.Entries) != 1 || len(m.Doubts) > 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	e := m.Entries[0]
	if e.Name != "Core" || e.Kernel != "/boot/vmlinuz" || e.Line != 3 || strings.Join(e.Initrds, " ") != `/boot/core.gz /boot/modules.gz \boot\more.gz` || e.Append != `quiet nozswap initrd=\boot\more.gz` {
		t.Errorf("%+v", e)
	}
	for text, doubts := range map[string]int{"efi /shell.efi\n": 1, "uki /x.efi\n": 1, "linux /k\ndevicetree-overlay /x\n": 1, "#efi /x\ntitle efi\n": 0, "linux\n": 0, "": 0} {
		if m, err := Read([]byte(text), nil); err != nil || len(m.Doubts) != doubts {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
	if m, err := Read([]byte("title x\nefi /x\n"), nil); err != nil || m.Doubts[0].Line != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, f := range []func() error{
		func() error { _, err := Read([]byte("linux /k\x00"), nil); return err },
		func() error { _, err := Edit([]byte("linux /k\x00"), bootmenu.Edit{}); return err },
	} {
		if err := f(); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	}
}

// TestEdit: arguments follow those of the last options line, or get a new line, and can be removed byte for byte.
func TestEdit(t *testing.T) {
	for _, tt := range []struct{ in, want, back string }{
		{entry, entry + " a=b c", entry},
		{"linux /k\noptions quiet -- x\r\n", "linux /k\noptions quiet a=b c -- x\r\n", "linux /k\noptions quiet -- x\r\n"},
		{"options quiet\nlinux /k\n", "options quiet a=b c\nlinux /k\n", "options quiet\nlinux /k\n"},
		{"linux /k", "linux /k\noptions a=b c", "linux /k"},
		{"linux /k\r\ninitrd /i\r\n", "linux /k\r\noptions a=b c\r\ninitrd /i\r\n", "linux /k\r\ninitrd /i\r\n"},
		{"title x\nefi /x.efi\n", "title x\nefi /x.efi\n", "title x\nefi /x.efi\n"},
	} {
		got, err := Edit([]byte(tt.in), bootmenu.Edit{Append: " a=b c "})
		if err != nil || string(got) != tt.want {
			t.Errorf("%q: %q, %v", tt.in, got, err)
		}
		if again, err := Edit(got, bootmenu.Edit{Append: "a=b c"}); err != nil || string(again) != tt.want {
			t.Errorf("again: %q, %v", again, err)
		}
		if back, err := Edit(got, bootmenu.Edit{Remove: "a=b c"}); err != nil || string(back) != tt.back {
			t.Errorf("back: %q, %v", back, err)
		}
	}
}
