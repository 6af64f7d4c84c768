package isolinux

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
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

// crlf gives a configuration the line ends of a DOS editor.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestEdit(t *testing.T) {
	tests := []struct {
		name, cfg string
		o         Options
		want      [][2]string // replacements that turn cfg into the result
	}{
		{"nothing", lower, Options{}, nil},
		{"nothing upper", upper, Options{TimeoutTenths: -1, Append: "  "}, nil},
		{"lower", lower, Options{Append: "mk.debug x=1", TimeoutTenths: 100}, [][2]string{
			{"core.gz loglevel=3", "core.gz loglevel=3 mk.debug x=1"},
			{"extra.gz loglevel=3", "extra.gz loglevel=3 mk.debug x=1"},
			{"timeout 300", "timeout 100"},
		}},
		{"upper", upper, Options{Append: "quiet", TimeoutTenths: 1}, [][2]string{
			{"LABEL tc", "TIMEOUT 1\nLABEL tc"},
			{"loglevel=3 cde", "loglevel=3 cde quiet"},
			{"  KERNEL   /boot/vmlinuz64\n", "  KERNEL   /boot/vmlinuz64\n  APPEND   quiet\n"},
			{"memtest.bin\nAPPEND -", "memtest.bin\nAPPEND quiet"},
		}},
		{"crlf", crlf(upper), Options{Append: "quiet", TimeoutTenths: 50}, [][2]string{
			{"LABEL tc", "TIMEOUT 50\r\nLABEL tc"},
			{"loglevel=3 cde", "loglevel=3 cde quiet"},
			{"  KERNEL   /boot/vmlinuz64\r\n", "  KERNEL   /boot/vmlinuz64\r\n  APPEND   quiet\r\n"},
			{"memtest.bin\r\nAPPEND -", "memtest.bin\r\nAPPEND quiet"},
		}},
		{"no final newline", "label a\n\tkernel k", Options{Append: "x"},
			[][2]string{{"\tkernel k", "\tkernel k\n\tappend x"}}},
		{"label at the end", "label a\n\tkernel k\nlabel b", Options{TimeoutTenths: 7},
			[][2]string{{"label a", "timeout 7\nlabel a"}}},
		{"trailing blanks", "label a\n kernel k\n append \t\n", Options{Append: "x"},
			[][2]string{{"append \t", "append x"}}},
		{"blanks behind arguments", "label a\n kernel k\n append y \n", Options{Append: "x"},
			[][2]string{{"append y", "append y x"}}},
		{"global append", "append quiet\nlabel a\nkernel k\n", Options{Append: "x"},
			[][2]string{{"kernel k\n", "kernel k\nappend quiet x\n"}}},
		{"two timeouts", "timeout 1\nlabel a\nkernel k\ntimeout 2\n", Options{TimeoutTenths: 9},
			[][2]string{{"timeout 2", "timeout 9"}}},
		{"timeout without a value", "timeout\nlabel a\n", Options{TimeoutTenths: 9}, [][2]string{{"timeout", "timeout 9"}}},
		{"timeout in an empty file", "", Options{TimeoutTenths: 9}, nil},
		{"other arguments", lower, Options{Remove: "loglevel=3", Append: "new"}, [][2]string{{"core.gz loglevel=3", "core.gz new"}, {"extra.gz loglevel=3", "extra.gz new"}}},
		{"all arguments", "label a\nkernel k\nappend x y\n", Options{Remove: "x y", Append: "z"}, [][2]string{{"x y", "z"}}},
		{"removed", "label a\nkernel k\nappend x y\n", Options{Remove: "y"}, [][2]string{{"x y", "x"}}},
		{"not removed", "label a\nkernel k\nappend xy\n", Options{Remove: "y"}, nil},
		{"a part without labels", "menu title x\n", Options{Part: true, Append: "x", TimeoutTenths: 9}, nil},
		{"a part with all", "timeout 1\nlabel a\nkernel k\n", Options{Part: true, Append: "x", TimeoutTenths: 9},
			[][2]string{{"timeout 1", "timeout 9"}, {"kernel k", "kernel k\nappend x"}}},
		{"mixed case", "Label a\n Kernel k\n Append y\nTimeOut 3\n", Options{Append: "x", TimeoutTenths: 9},
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
		o         Options
		want      error
	}{
		{"two lines", lower, Options{Append: "a\nlabel b"}, ErrInvalid},
		{"NUL argument", lower, Options{Append: "a\x00"}, ErrInvalid},
		{"no arguments", lower, Options{Append: " - "}, ErrInvalid},
		{"long timeout", lower, Options{TimeoutTenths: 40000}, ErrInvalid},
		{"binary", "label\x00", Options{}, ErrInvalid},
		{"huge", strings.Repeat("#", maxConfig+1), Options{}, ErrInvalid},
		{"empty", "", Options{Append: "a"}, ErrNoLabel},
		{"no kernel", "label a\nlocalboot 0\nkernel k\nlabel b\nkernel\nappend x\n", Options{Append: "a"}, ErrNoLabel},
	} {
		if got, err := Edit([]byte(tt.cfg), tt.o); !errors.Is(err, tt.want) || got != nil {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
	if _, err := Labels([]byte{0}); !errors.Is(err, ErrInvalid) {
		t.Errorf("Labels: %v", err)
	}
}

func TestLabels(t *testing.T) {
	for _, tt := range []struct {
		name, cfg string
		want      []Label
	}{
		{"lower", lower, []Label{
			{"microcore", "/boot/vmlinuz", []string{"/boot/core.gz"}, "initrd=/boot/core.gz loglevel=3", true},
			{"mc", "/boot/vmlinuz", []string{"/boot/core.gz", "/boot/extra.gz"}, "initrd=/boot/core.gz,/boot/extra.gz loglevel=3", false},
		}},
		{"upper", crlf(upper), []Label{
			{"tc", "/boot/vmlinuz64", []string{"/boot/corepure64.gz"}, "loglevel=3 cde", true},
			{"plain", "/boot/vmlinuz64", []string{"/boot/corepure64.gz", "/boot/modules64.gz"}, "", false},
			{"mem", "/boot/memtest.bin", nil, "", false},
		}},
		{"both initrds", "label a\nkernel k\ninitrd one\nappend initrd=two,three x", []Label{
			{"a", "k", []string{"two", "three"}, "initrd=two,three x", false}}},
		{"global", "append g\ndefault A x\nlabel a\nkernel k\nlabel b\nkernel k\nappend -\n", []Label{
			{"a", "k", nil, "g", true}, {"b", "k", nil, "", false}}},
		{"arguments behind the kernel", "label a\nkernel /boot/vmlinuz\tcom1=9600,8n1 initrd=one\nappend x\nlabel b\nKERNEL k  y\nlabel c\nkernel menu.c32 k\n", []Label{
			{"a", "/boot/vmlinuz", []string{"one"}, "com1=9600,8n1 initrd=one x", false}, {"b", "k", nil, "y", false}}},
		{"none", "# nothing\n", nil},
	} {
		got, err := Labels([]byte(tt.cfg))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", tt.name, err, got, tt.want)
		}
	}
}

func TestExpand(t *testing.T) {
	files := map[string]string{
		"menu.cfg":  "label a\nkernel k\nINCLUDE deep.cfg",
		"deep.cfg":  "label b\nkernel k",
		"title.cfg": "menu title x\n",
	}
	open := func(name string) ([]byte, error) { return []byte(files[name]), nil }
	const main = "default b\n include menu.cfg\nMenu Include title.cfg tag\ninclude none.cfg\ntext help\ninclude prose\nendtext\n"
	got, err := Expand([]byte(main), open)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := Labels(got)
	if err != nil || len(labels) != 2 || labels[0].Default || !labels[1].Default || !strings.Contains(string(got), "menu title x") {
		t.Errorf("%+v, %v in\n%s", labels, err, got)
	}
	names, err := Includes([]byte(main))
	if err != nil || !reflect.DeepEqual(names, []string{"menu.cfg", "title.cfg", "none.cfg"}) {
		t.Errorf("%q, %v", names, err)
	}
	files["deep.cfg"] = "include menu.cfg\n"
	if _, err := Expand([]byte(main), open); !errors.Is(err, ErrInvalid) {
		t.Errorf("a circle: %v", err)
	}
}

func FuzzEdit(f *testing.F) {
	for _, cfg := range []string{"", lower, upper, crlf(lower), "label a\nkernel k", "append x\nlabel a\nlinux k\n"} {
		f.Add([]byte(cfg), "quiet x=1", 100)
		f.Add([]byte(cfg), "", -1)
	}
	f.Fuzz(func(t *testing.T, cfg []byte, args string, timeout int) {
		o := Options{Append: args, TimeoutTenths: timeout}
		got, err := Edit(cfg, o)
		if err != nil {
			return
		}
		before, err := Labels(cfg)
		if err != nil {
			t.Fatal(err)
		}
		after, err := Labels(got)
		if err != nil || len(after) != len(before) {
			t.Fatalf("%d labels became %d: %v", len(before), len(after), err)
		}
		for i := range after {
			if after[i].Kernel != before[i].Kernel || !strings.HasSuffix(after[i].Append, strings.TrimSpace(args)) {
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
