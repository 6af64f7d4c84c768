package isolinux

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mkbuild/e2e/testkit/menus"
	"mkbuild/internal/bootmenu"
)

// shown is an entry in the tests: "name kernel initrds | arguments", with a star for the default and a question
// mark for a possible non-kernel.
func shown(e bootmenu.Entry) string {
	text := fmt.Sprintf("%s %s %s | %s", e.Name, e.Kernel, strings.Join(e.Initrds, ","), e.Append)
	if e.Default {
		text += " *"
	}
	if e.Implied {
		text += " ?"
	}
	return text
}

// TestFollow tests the entries of labels, command lines, modules and other files.
func TestFollow(t *testing.T) {
	files := map[string]string{"a.cfg": "\nlabel a\nkernel k\n"}
	open := func(name string) ([]byte, error) { return []byte(files[name]), nil }
	const unknown = ", of which mkbuild cannot say what it boots\n"
	menus.Read(t, []menus.Case{
		{"# x\ninclude a.cfg\nmenu include\ninclude\nlabel b\nkernel l\n", "a.cfg:2 a k  | \n:5 b l  | \n"},
		{"label\nlabel /k\nlabel x.c32\n", ":2 /k /k  |  ?\n:3 label x.c32 starts x.c32" + unknown},
		{"append initrd=/i a\nlabel /k\nlabel l\nappend -\nkernel m\n", ":2 /k /k /i | initrd=/i a ?\n:3 l m  | \n"},
		{"label a\nkernel k x\ninitrd /i, ,/j\nappend y \"INITRD=/l\" z\n", ":1 a k /l | x y \"INITRD=/l\" z\n"},
		{"label a\nlinux x.c32\nlabel b\nkernel\nlabel c\ncom32 k\n", ":1 a x.c32  | \n:5 label c starts k" + unknown},
		{"label a\nlocalboot 0\nkernel k\nlabel b\nkernel k\nlocalboot 0\n", ":1 a k  | \n"},
		{"label a\nbss x y\nlabel b\nfdimage z\n", ":1 label a starts the boot sector x\n:3 label b starts the boot sector z\n"},
		{"label a\nconfig x.cfg /boot\n", "menu x.cfg\n"},

		// the default
		{"default\ndefault b c\nlabel b\nkernel k\nmenu default\n", ":2 b k  | c *\n:3 b k  |  *\n"},
		{"default x\ndefault b\nlabel x\nkernel k\nlabel b\nkernel l\n", ":3 x k  | \n:5 b l  |  *\n"},
		{"ontimeout /k a\nonerror /l initrd=/i\ndefault x.c32\n", ":1 ontimeout /k  | a ?\n:2 onerror /l /i | initrd=/i ?\n:3 default starts x.c32" + unknown},
		{"default m x.cfg\nlabel m\nkernel menu.c32\n", "menu x.cfg\n"},
		{"default m\nlabel m\nkernel linux.c32\n", ":2 label m starts linux.c32" + unknown},
		{"kernel k\nlabel a\nkernel l\n", ":2 a l  | \n:1 a KERNEL line in front of all labels\n"},
		{"kernel k\n", ":1 a KERNEL line in front of all labels\n"},

		// modules
		{"ui menu.c32 a - ~ b\nlabel x\nkernel \\x\\VESAMENU.c32\nappend c\n", "menu c\nmenu a\nmenu b\n"},
		{"ui vesamenu.c32\nui gfxboot.c32 x\nui k\n", ":2 ui starts gfxboot.c32 x" + unknown + ":3 ui starts k" + unknown},
		{"label a\ncom32 chain.c32\nappend hd0 1\nlabel b\ncom32 chain.c32 file=x\nlabel c\ncom32 chain.c32\nappend /x\n", ":4 label b starts chain.c32 file=x" + unknown + ":6 label c starts chain.c32 /x" + unknown},
		{"label a\nkernel hdt.c32\nlabel b\ncom32 reboot.c32\nlabel c\nkernel poweroff.com\nlabel d\ncom32\n", ""},
	}, func(b []byte) (*bootmenu.Menu, error) { return Read(b, open) }, shown)
}

// TestBounds: at most 1000 entries, 20,000 lines and lines of 64 KiB are accepted, in time.
func TestBounds(t *testing.T) {
	labels := func(n int) string { return strings.Repeat("label a\nkernel k\n", n) }
	long := "append " + strings.Repeat("x", maxLine)
	for cfg, want := range map[string]error{
		long + "\n" + labels(10): nil, "ontimeout k\n" + labels(maxEntries-1) + strings.Repeat("\n", maxLines-2*maxEntries+1): nil, strings.Repeat("\n", maxLines+1): ErrInvalid, labels(maxEntries + 1): ErrInvalid, long + "x": ErrInvalid,
		strings.Repeat("default x\n", maxEntries+1): ErrInvalid, "include many\n" + labels(maxEntries/2): ErrInvalid,
	} {
		_, err := Read([]byte(cfg), func(string) ([]byte, error) { return []byte(labels(maxEntries/2 + 1)), nil })
		if !errors.Is(err, want) {
			t.Errorf("%.20q: %v", cfg, err)
		}
		if _, err := Edit([]byte(cfg), bootmenu.Edit{Append: "a"}); !errors.Is(err, want) && !strings.HasPrefix(cfg, "include") {
			t.Errorf("edit %.20q: %v", cfg, err)
		}
	}
}

// TestManyFiles: at most 64 files are included, and an error in one persists.
func TestManyFiles(t *testing.T) {
	broken := errors.New("broken")
	open := func(name string) ([]byte, error) {
		if name == "error" {
			return nil, broken
		}
		return nil, nil
	}
	for cfg, want := range map[string]error{strings.Repeat("include x\n", maxIncludes): nil, strings.Repeat("include x\n", maxIncludes+1): ErrInvalid, "include error\n": broken} {
		if _, err := Read([]byte(cfg), open); !errors.Is(err, want) {
			t.Errorf("%.20q: %v", cfg, err)
		}
	}
}
