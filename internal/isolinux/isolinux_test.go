package isolinux

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/bootmenu"
)

// lower is the dialect of Tiny Core 4.x, upper that of 7.x and later.
const (
	lower = `display boot.msg
default microcore
label microcore
	kernel /boot/vmlinuz
	append initrd=/boot/core.gz loglevel=3

label mc
	kernel /boot/vmlinuz
	append initrd=/boot/core.gz,/boot/extra.gz loglevel=3
implicit 0
prompt 1
timeout 300
F1 boot.msg
`
	upper = `UI menu.c32
PROMPT 0
MENU TITLE Tiny Core
# APPEND in a comment
LABEL tc
MENU LABEL Boot TinyCore
MENU DEFAULT
TEXT HELP
append nothing to this
kernel of truth
ENDTEXT
KERNEL /boot/vmlinuz64
INITRD /boot/corepure64.gz
APPEND loglevel=3 cde

LABEL plain
  KERNEL   /boot/vmlinuz64
  INITRD   /boot/corepure64.gz,/boot/modules64.gz

LABEL local
LOCALBOOT 0x80
APPEND -

LABEL mem
LINUX /boot/memtest.bin
APPEND -

LABEL reboot
COM32 reboot.c32
APPEND now

LABEL poweroff
KERNEL poweroff.c32
APPEND now
INCLUDE more.cfg
`
)

// crlf gives a configuration DOS line ends.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestEdit(t *testing.T) {
	tests := []struct {
		name, cfg string
		o         bootmenu.Edit
		want      [][2]string // replacements that turn cfg into the result
	}{
		{"nothing", lower, bootmenu.Edit{}, nil},
		{"nothing upper", upper, bootmenu.Edit{TimeoutTenths: -1, Append: "  "}, nil},
		{"lower", lower, bootmenu.Edit{Append: "mk.debug x=1", TimeoutTenths: 100}, [][2]string{
			{"core.gz loglevel=3", "core.gz loglevel=3 mk.debug x=1"},
			{"extra.gz loglevel=3", "extra.gz loglevel=3 mk.debug x=1"},
			{"timeout 300", "timeout 100"},
		}},
		{"upper", upper, bootmenu.Edit{Append: "quiet", TimeoutTenths: 1}, [][2]string{
			{"LABEL tc", "TIMEOUT 1\nLABEL tc"},
			{"loglevel=3 cde", "loglevel=3 cde quiet"},
			{"  KERNEL   /boot/vmlinuz64\n", "  KERNEL   /boot/vmlinuz64\n  APPEND   quiet\n"},
			{"memtest.bin\nAPPEND -", "memtest.bin\nAPPEND -\nAPPEND quiet"},
		}},
		{"crlf", crlf(upper), bootmenu.Edit{Append: "quiet", TimeoutTenths: 50}, [][2]string{
			{"LABEL tc", "TIMEOUT 50\r\nLABEL tc"},
			{"loglevel=3 cde", "loglevel=3 cde quiet"},
			{"  KERNEL   /boot/vmlinuz64\r\n", "  KERNEL   /boot/vmlinuz64\r\n  APPEND   quiet\r\n"},
			{"memtest.bin\r\nAPPEND -", "memtest.bin\r\nAPPEND -\r\nAPPEND quiet"},
		}},
		{"no final newline", "label a\n\tkernel k", bootmenu.Edit{Append: "x"},
			[][2]string{{"\tkernel k", "\tkernel k\n\tappend x"}}},
		{"label at the end", "label a\n\tkernel k\nlabel b", bootmenu.Edit{TimeoutTenths: 7},
			[][2]string{{"label a", "timeout 7\nlabel a"}}},
		{"trailing blanks", "label a\n kernel k\n append \t\n", bootmenu.Edit{Append: "x"},
			[][2]string{{"append \t", "append \t\n append x"}}},
		{"blanks behind arguments", "label a\n kernel k\n append y \n", bootmenu.Edit{Append: "x"},
			[][2]string{{"append y", "append y x"}}},
		{"global append", "append quiet\nlabel a\nkernel k\n", bootmenu.Edit{Append: "x"},
			[][2]string{{"kernel k\n", "kernel k\nappend quiet x\n"}}},
		{"two timeouts", "timeout 1\nlabel a\nkernel k\ntimeout 2\n", bootmenu.Edit{TimeoutTenths: 9},
			[][2]string{{"timeout 2", "timeout 9"}}},
		{"timeout without a value", "timeout\nlabel a\n", bootmenu.Edit{TimeoutTenths: 9}, [][2]string{{"timeout", "timeout 9"}}},
		{"timeout in an empty file", "", bootmenu.Edit{TimeoutTenths: 9}, nil},
		{"other arguments", lower, bootmenu.Edit{Remove: "loglevel=3", Append: "new"}, [][2]string{{"core.gz loglevel=3", "core.gz new"}, {"extra.gz loglevel=3", "extra.gz new"}}},
		{"all arguments", "label a\nkernel k\nappend x y\n", bootmenu.Edit{Remove: "x y", Append: "z"}, [][2]string{{"x y", "z"}}},
		{"removed", "label a\nkernel k\nappend x y\n", bootmenu.Edit{Remove: "y"}, [][2]string{{"x y", "x"}}},
		{"not removed", "label a\nkernel k\nappend xy\n", bootmenu.Edit{Remove: "y"}, nil},
		{"no kernel", "label a\nkernel k\nlocalboot 0\nlabel b\nkernel\nappend x\n", bootmenu.Edit{Append: "a"}, nil},
		{"at most: longer", "timeout 300\n", bootmenu.Edit{TimeoutTenths: 9, AtMost: true}, [][2]string{{"300", "9"}}},
		{"at most: shorter", "timeout 3\n", bootmenu.Edit{TimeoutTenths: 9, AtMost: true}, nil},
		{"at most: forever", "timeout 0\n", bootmenu.Edit{TimeoutTenths: 9, AtMost: true}, nil},
		{"at most: none", "label a\n", bootmenu.Edit{TimeoutTenths: 9, AtMost: true}, nil},
		{"a part without labels", "menu title x\n", bootmenu.Edit{Part: true, Append: "x", TimeoutTenths: 9}, nil},
		{"a part with all", "timeout 1\nlabel a\nkernel k\n", bootmenu.Edit{Part: true, Append: "x", TimeoutTenths: 9},
			[][2]string{{"timeout 1", "timeout 9"}, {"kernel k", "kernel k\nappend x"}}},
		{"at most: the same", "timeout 09\n", bootmenu.Edit{TimeoutTenths: 9, AtMost: true}, nil},
		{"largest", strings.Repeat("#", maxConfig), bootmenu.Edit{TimeoutTenths: -1}, nil},
		{"longest timeout", "timeout 1\n", bootmenu.Edit{TimeoutTenths: 35996}, [][2]string{{"1", "35996"}}},
		{"a name alone", "label /k\n", bootmenu.Edit{Append: "a"}, nil},
		{"a name and a global initrd", "append initrd=/i\nlabel /k\n", bootmenu.Edit{Append: "a"}, [][2]string{{"label /k\n", "label /k\nappend initrd=/i a\n"}}},
		{"a kernel without an initrd by default", "default /k\n", bootmenu.Edit{Append: "a"}, nil},
		{"no label, no line end", "prompt 0", bootmenu.Edit{TimeoutTenths: 9}, [][2]string{{"prompt 0", "prompt 0\ntimeout 9"}}},
		{"no label, line ends of DOS", "prompt 0\r\n", bootmenu.Edit{TimeoutTenths: 9}, [][2]string{{"prompt 0\r\n", "prompt 0\r\ntimeout 9\r\n"}}},
		{"a label alone", "label a", bootmenu.Edit{TimeoutTenths: 9}, [][2]string{{"label a", "timeout 9\nlabel a"}}},
		{"line ends of two kinds", "prompt 0\nlabel a\r\nkernel k\r\n", bootmenu.Edit{Append: "x"}, [][2]string{{"kernel k\r\n", "kernel k\r\nappend x\r\n"}}},
		{"mixed case", "Label a\n Kernel k\n Append y\nTimeOut 3\n", bootmenu.Edit{Append: "x", TimeoutTenths: 9},
			[][2]string{{"Append y", "Append y x"}, {"TimeOut 3", "TimeOut 9"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.cfg
			for _, r := range tt.want {
				if !strings.Contains(want, r[0]) {
					t.Fatalf("%q is not in the input", r[0])
				}
				want = strings.Replace(want, r[0], r[1], 1)
			}
			if tt.cfg == "" {
				want = "timeout 9\n"
			}
			got, err := Edit([]byte(tt.cfg), tt.o)
			if err != nil || string(got) != want {
				t.Fatalf("%v\n got %q\nwant %q", err, got, want)
			}
			again, err := Edit(got, tt.o)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("edited twice: %v\n%q", err, again)
			}
		})
	}
}

func TestEditRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, cfg string
		o         bootmenu.Edit
		want      error
	}{
		{"two lines", lower, bootmenu.Edit{Append: "a\nlabel b"}, ErrInvalid},
		{"NUL argument", lower, bootmenu.Edit{Append: "a\x00"}, ErrInvalid},
		{"no arguments", lower, bootmenu.Edit{Append: " - "}, ErrInvalid},
		{"long timeout", lower, bootmenu.Edit{TimeoutTenths: 40000}, ErrInvalid},
		{"binary", "label\x00", bootmenu.Edit{}, ErrInvalid},
		{"huge", strings.Repeat("#", maxConfig+1), bootmenu.Edit{}, ErrInvalid},
	} {
		if got, err := Edit([]byte(tt.cfg), tt.o); !errors.Is(err, tt.want) || got != nil {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
	if _, err := Read([]byte{0}, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("Read: %v", err)
	}
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, cfg string
		want      []bootmenu.Entry
	}{
		{"lower", lower, []bootmenu.Entry{
			{Name: "microcore", Kernel: "/boot/vmlinuz", Initrds: []string{"/boot/core.gz"}, Append: "initrd=/boot/core.gz loglevel=3", Default: true},
			{Name: "mc", Kernel: "/boot/vmlinuz", Initrds: []string{"/boot/core.gz", "/boot/extra.gz"}, Append: "initrd=/boot/core.gz,/boot/extra.gz loglevel=3"},
		}},
		{"upper", crlf(upper), []bootmenu.Entry{
			{Name: "tc", Kernel: "/boot/vmlinuz64", Initrds: []string{"/boot/corepure64.gz"}, Append: "loglevel=3 cde", Default: true},
			{Name: "plain", Kernel: "/boot/vmlinuz64", Initrds: []string{"/boot/corepure64.gz", "/boot/modules64.gz"}},
			{Name: "mem", Kernel: "/boot/memtest.bin"},
		}},
		{"both initrds", "label a\nkernel k\ninitrd one\nappend initrd=two,three x", []bootmenu.Entry{
			{Name: "a", Kernel: "k", Initrds: []string{"two", "three"}, Append: "initrd=two,three x"}}},
		{"global", "append g\ndefault A x\nlabel a\nkernel k\nlabel b\nkernel k\nappend -\n", []bootmenu.Entry{
			{Name: "a", Kernel: "k", Append: "g x", Default: true}, {Name: "a", Kernel: "k", Append: "g", Default: true}, {Name: "b", Kernel: "k"}}},
		{"arguments behind the kernel", "label a\nkernel /boot/vmlinuz\tcom1=9600,8n1 initrd=one\nappend x\nlabel b\nKERNEL k  y\nlabel c\nkernel menu.c32 k\n", []bootmenu.Entry{
			{Name: "a", Kernel: "/boot/vmlinuz", Initrds: []string{"one"}, Append: "com1=9600,8n1 initrd=one x"}, {Name: "b", Kernel: "k", Append: "y"}}},
		{"none", "# nothing\n", nil},
	} {
		if got := entries(t, tt.cfg); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

// entries reads a configuration without other files.
func entries(t *testing.T, cfg string) []bootmenu.Entry {
	t.Helper()
	m, err := Read([]byte(cfg), func(string) ([]byte, error) { return nil, nil })
	testkit.Must(t, err)
	for i := range m.Entries {
		m.Entries[i].Place = bootmenu.Place{} // the tests of medium check it
	}
	return m.Entries
}

func TestIncludes(t *testing.T) {
	files := map[string]string{
		"menu.cfg":  "label a\nkernel k\nINCLUDE deep.cfg",
		"deep.cfg":  "label b\nkernel k",
		"title.cfg": "menu title x\n",
	}
	var asked []string
	open := func(name string) ([]byte, error) {
		asked = append(asked, name)
		return []byte(files[name]), nil
	}
	const main = "default b\n include menu.cfg\nMenu Include title.cfg tag\ninclude none.cfg\ntext help\ninclude prose\nendtext\n"
	m, err := Read([]byte(main), open)
	testkit.Must(t, err)
	if len(m.Entries) != 2 || m.Entries[0].Default || !m.Entries[1].Default {
		t.Errorf("%+v", m.Entries)
	}
	if got := strings.Join(asked, " "); got != "menu.cfg deep.cfg title.cfg none.cfg" {
		t.Errorf("asked for %s", got)
	}
	files["deep.cfg"] = "include menu.cfg\n"
	if _, err := Read([]byte(main), open); !errors.Is(err, ErrInvalid) {
		t.Errorf("a circle: %v", err)
	}
}

// TestRemovedAgain: Edit can remove its additions without a trace, for `customize --reset`.
func TestRemovedAgain(t *testing.T) {
	for _, cfg := range []string{
		lower, upper, crlf(upper), "label a\n\tkernel k", "append quiet\nlabel a\nkernel k\n", "append -\nlabel a\nkernel k\n",
		"append quiet\nlabel a\nkernel k\nappend -\n", "label a\n kernel k\n append \t", "default /k x\nappend initrd=/i\n", "default\nappend initrd=/i\n",
		"label a\nkernel k\nappend x=1\n",
	} {
		once, err := Edit([]byte(cfg), bootmenu.Edit{Append: "x=1 y"})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Edit(once, bootmenu.Edit{Remove: "x=1 y"}); err != nil || string(back) != cfg {
			t.Errorf("%v\n got %q\nwant %q", err, back, cfg)
		}
	}
}

func FuzzEdit(f *testing.F) {
	for _, cfg := range []string{"", lower, upper, crlf(lower), "label a\nkernel k", "append x\nlabel a\nlinux k\n"} {
		f.Add([]byte(cfg), "quiet x=1", 100)
		f.Add([]byte(cfg), "", -1)
	}
	f.Fuzz(func(t *testing.T, cfg []byte, args string, timeout int) {
		o := bootmenu.Edit{Append: args, TimeoutTenths: timeout}
		got, err := Edit(cfg, o)
		if err != nil {
			return
		}
		before, after := entries(t, string(cfg)), entries(t, string(got))
		if len(after) != len(before) {
			t.Fatalf("%d entries became %d", len(before), len(after))
		}
		for i := range after {
			bare := before[i].Implied && len(before[i].Initrds) == 0 // a name without more is not a known kernel
			if after[i].Kernel != before[i].Kernel || !bare && !strings.HasSuffix(after[i].Append, strings.TrimSpace(args)) {
				t.Errorf("%+v became %+v", before[i], after[i])
			}
		}
		if args == "" && timeout <= 0 && !bytes.Equal(got, cfg) {
			t.Errorf("no change changed %q to %q", cfg, got)
		}
		if again, err := Edit(got, o); err != nil || !bytes.Equal(again, got) {
			t.Errorf("edited twice: %v\n%q\n%q", err, got, again)
		}
	})
}

// TestGlobalAppend: a kernel in DEFAULT has the arguments of the global APPEND, and gets more.
func TestGlobalAppend(t *testing.T) {
	for _, cfg := range []string{"default /k\nappend initrd=/i a\n", "default /k\nappend b\nappend initrd=/i a\nlabel x\nkernel y\nappend z\n"} {
		got, err := Edit([]byte(cfg), bootmenu.Edit{Append: "c"})
		if err != nil || !strings.Contains(string(got), "default /k c\n") {
			t.Errorf("%q: %q, %v", cfg, got, err)
		}
		at := entries(t, string(got))
		i := slices.IndexFunc(at, func(e bootmenu.Entry) bool { return e.Kernel == "/k" })
		if i < 0 || at[i].Append != "initrd=/i a c" || len(at[i].Initrds) != 1 {
			t.Errorf("%q: %+v", cfg, at)
		}
	}
}

// TestUnclosedHelp: nothing is added after an unclosed TEXT, where it would be text and would be added again.
func TestUnclosedHelp(t *testing.T) {
	o := bootmenu.Edit{Append: "a", TimeoutTenths: 9}
	for _, cfg := range []string{"text help\nx", "label a\nkernel k\ntext help\nx", "default x\ntext help\n"} {
		once, err := Edit([]byte(cfg), o)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := Edit(once, o); err != nil || string(twice) != string(once) || !strings.Contains(string(once), "timeout 9") {
			t.Errorf("%q: %q, then %q, %v", cfg, once, twice, err)
		}
	}
}
