package grub

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/bootmenu"
)

// menu has the form of Tiny Core's 64-bit images, with additions of others.
const menu = `# linux in a comment
search --no-floppy --set=root --label "CorePure64"
if loadfont unicode ; then
  set gfxmode=auto
fi
set kdir=/boot
set timeout=5

menuentry "Boot CorePure64; really" --class core {
	linux $kdir/vmlinuz64 loglevel=3 # quiet
	initrd /boot/corepure64.gz
}
menuentry 'two' { linuxefi (cd0)/boot/vmlinuz64 \
    loglevel=3 "a b"; initrdefi /boot/corepure64.gz ${kdir}/modules64.gz; }
submenu "More" {
	menuentry "unknown" {
		linux ${isofile}/vmlinuz
	}
	menuentry reboot { reboot }
}
source /boot/grub/more.cfg
configfile ${prefix}/x.cfg
`

// none is a medium without other files.
func none(string) ([]byte, error) { return nil, nil }

func TestRead(t *testing.T) {
	got, err := Read([]byte(menu), none)
	at := func(line int) bootmenu.Place { return bootmenu.Place{Line: line} }
	want := &bootmenu.Menu{Menus: []string{"${prefix}/x.cfg"}, Entries: []bootmenu.Entry{
		{Place: at(10), Name: "Boot CorePure64; really", Kernel: "/boot/vmlinuz64", Initrds: []string{"/boot/corepure64.gz"}, Append: "loglevel=3"},
		{Place: at(13), Name: "two", Kernel: "/boot/vmlinuz64", Initrds: []string{"/boot/corepure64.gz", "/boot/modules64.gz"}, Append: "loglevel=3 \"a b\""},
		{Place: at(17), Name: "unknown", Kernel: "${isofile}/vmlinuz"},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

func TestEdit(t *testing.T) {
	for _, tt := range []struct {
		name, cfg string
		o         bootmenu.Edit
		want      [][2]string
	}{
		{"nothing", menu, bootmenu.Edit{}, nil},
		{"all", menu, bootmenu.Edit{Append: `console=ttyS0 x="a b"`, TimeoutTenths: 11}, [][2]string{
			{"loglevel=3 # quiet", "loglevel=3 console=ttyS0 'x=a b' # quiet"},
			{`"a b";`, `"a b" console=ttyS0 'x=a b';`},
			{"${isofile}/vmlinuz\n", "${isofile}/vmlinuz console=ttyS0 'x=a b'\n"},
			{"timeout=5", "timeout=2"},
		}},
		{"other arguments", "linux /k a old=1 two\n", bootmenu.Edit{Remove: "old=1 two", Append: "new"}, [][2]string{{"old=1 two", "new"}}},
		{"removed", "linux /k old", bootmenu.Edit{Remove: "old"}, [][2]string{{" old", ""}}},
		{"largest", strings.Repeat("#", maxConfig), bootmenu.Edit{}, nil},
		{"no timeout", "set\nmenuentry a {\nlinux /k\n}\n", bootmenu.Edit{TimeoutTenths: 100}, [][2]string{{"menuentry a", "set timeout=10\nmenuentry a"}}},
		{"at most", "timeout=50\n", bootmenu.Edit{TimeoutTenths: 10, AtMost: true}, nil},
		{"waits forever", "timeout=-1\n", bootmenu.Edit{TimeoutTenths: 100}, [][2]string{{"-1", "10"}}},
		{"both branches", "if true; then\n set timeout=1\nelse\n  set timeout=\"-1\"\nfi\n", bootmenu.Edit{TimeoutTenths: 30},
			[][2]string{{"timeout=1", "timeout=3"}, {`timeout="-1"`, "timeout=3"}}},
		{"backslash at the end", "linux /k \\", bootmenu.Edit{Append: "a"}, [][2]string{{"/k", "/k a"}}},
		{"backslash at the end of a word", "linux /k b\\", bootmenu.Edit{Append: "a"}, [][2]string{{"k b", "k b a"}}},
		{"in front of --", "linux /k b -- y", bootmenu.Edit{Append: "a"}, [][2]string{{"k b", "k b a"}}},
		{"quotes", "linux /k", bootmenu.Edit{Append: "it's $x;"}, [][2]string{{"/k", `/k 'it'\''s' '$x;'`}}},
	} {
		want := tt.cfg
		for _, r := range tt.want {
			if !strings.Contains(want, r[0]) {
				t.Fatalf("%s: %q is not in the input", tt.name, r[0])
			}
			want = strings.Replace(want, r[0], r[1], 1)
		}
		got, err := Edit([]byte(tt.cfg), tt.o)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n got %q\nwant %q", tt.name, err, got, want)
		}
		again, err := Edit(got, tt.o)
		if err != nil || string(again) != want {
			t.Errorf("%s: edited twice: %v\n%q", tt.name, err, again)
		}
	}
}

func TestEditRefuses(t *testing.T) {
	for _, tt := range []struct {
		cfg string
		o   bootmenu.Edit
	}{
		{"linux /k", bootmenu.Edit{Append: "a\nb"}}, {"linux /k", bootmenu.Edit{Append: "-- a"}}, {"menuentry \"a {\n", bootmenu.Edit{}}, {"a\x00", bootmenu.Edit{}},
		{strings.Repeat("#", maxConfig+1), bootmenu.Edit{}}, {`"a\`, bootmenu.Edit{}},
	} {
		if got, err := Edit([]byte(tt.cfg), tt.o); !errors.Is(err, ErrInvalid) || got != nil {
			t.Errorf("%.40q: %q, %v", tt.cfg, got, err)
		}
	}
}

// TestScriptCheck: GRUB's own parser accepts our edits.
func TestScriptCheck(t *testing.T) {
	t.Parallel()
	check := testkit.Tool(t, "grub-script-check")
	got, err := Edit([]byte(menu), bootmenu.Edit{Append: `it's x="a b" $y;`, TimeoutTenths: 100})
	testkit.Must(t, err)
	name := filepath.Join(t.TempDir(), "grub.cfg")
	testkit.Must(t, os.WriteFile(name, got, 0o644))
	testkit.Run(t, check, name)
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte(menu), "quiet x=1", 100)
	f.Add([]byte("linux /k\\\n a"), "it's \"a b\"", 0)
	f.Add([]byte("menuentry a{linux k}"), "", -1)
	f.Fuzz(func(t *testing.T, cfg []byte, args string, timeout int) {
		o := bootmenu.Edit{Append: args, TimeoutTenths: min(timeout, 35996)}
		got, err := Edit(cfg, o)
		if err != nil {
			return
		}
		before, err := Read(cfg, none)
		testkit.Must(t, err)
		after, err := Read(got, none)
		if err != nil || len(after.Entries) != len(before.Entries) {
			t.Fatalf("%+v became %+v: %v\n%q\n%q", before, after, err, cfg, got)
		}
		for i, b := range before.Entries {
			if a := after.Entries[i]; a.Kernel != b.Kernel || !reflect.DeepEqual(a.Initrds, b.Initrds) {
				t.Errorf("%+v became %+v", b, a)
			}
		}
		if again, err := Edit(got, o); err != nil || string(again) != string(got) {
			t.Errorf("edited twice: %v\n%q\n%q", err, got, again)
		}
	})
}
