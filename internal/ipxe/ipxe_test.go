package ipxe

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/bootmenu"
)

func Example() {
	script, err := Script("vmlinuz", []string{"core.gz"}, "quiet")
	if err != nil {
		fmt.Println(err)
		return
	}
	if script, err = Edit(script, bootmenu.Edit{Append: "console=ttyS0"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.60s", script)
	// Output:
	// #!ipxe
	// kernel vmlinuz initrd=core.gz quiet console=ttyS0 ||
}

func TestReadAndEdit(t *testing.T) {
	tests := []struct {
		name, script, edited string
		want                 []bootmenu.Entry
	}{
		{"no arguments", "#!ipxe\nkernel vmlinuz\n", "#!ipxe\nkernel vmlinuz NEW\n", []bootmenu.Entry{{Kernel: "vmlinuz"}}},
		{"carriage returns", "kernel vmlinuz a=b c || goto x\r\n", "kernel vmlinuz a=b c NEW || goto x\r\n", []bootmenu.Entry{{Kernel: "vmlinuz", Append: "a=b c"}}},
		{"options", "\tkernel --name k ${base}/vmlinuz q && boot || shell", "\tkernel --name k ${base}/vmlinuz q NEW && boot || shell", []bootmenu.Entry{{Kernel: "${base}/vmlinuz", Append: "q"}}},
		{"options without a value", "kernel --autofree --timeout=5 vmlinuz", "kernel --autofree --timeout=5 vmlinuz NEW", []bootmenu.Entry{{Kernel: "vmlinuz"}}},
		{"nothing", "# kernel x\ninitrd y\nkernel\nboot -", "# kernel x\ninitrd y\nkernel\nboot -", nil},
		{"initrds around a kernel", "initrd --name i one\nkernel k\ninitrd two\nboot\n", "initrd --name i one\nkernel k NEW\ninitrd two\nboot\n", []bootmenu.Entry{{Kernel: "k", Initrds: []string{"one", "two"}}}},
		{"labels", ":a\nkernel one\nboot\n:b\nkernel two x\n", ":a\nkernel one NEW\nboot\n:b\nkernel two x NEW\n", []bootmenu.Entry{{Name: "a", Kernel: "one"}, {Name: "b", Kernel: "two", Append: "x"}}},
		{"edited before", "kernel k OLD\n", "kernel k NEW\n", []bootmenu.Entry{{Kernel: "k", Append: "OLD"}}},
		{"there already", "kernel k NEW\n", "kernel k NEW\n", []bootmenu.Entry{{Kernel: "k", Append: "NEW"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read([]byte(tt.script), nil)
			if err != nil || !reflect.DeepEqual(got.Entries, tt.want) {
				t.Errorf("entries %+v, want %+v: %v", got.Entries, tt.want, err)
			}
			if got, err := Edit([]byte(tt.script), bootmenu.Edit{Remove: "OLD", Append: "NEW"}); err != nil || string(got) != tt.edited {
				t.Errorf("edited to %q, want %q: %v", got, tt.edited, err)
			}
		})
	}
}

func TestArgumentsThatMeanSomething(t *testing.T) {
	for _, args := range []string{"x=${ip}", "quiet || reboot", "a && b"} {
		_, one := Script("k", nil, args)
		_, two := Edit([]byte("kernel k\n"), bootmenu.Edit{Append: args})
		for _, err := range []error{one, two} {
			if err == nil || !strings.Contains(err.Error(), "iPXE interprets") {
				t.Errorf("%s: %v", args, err)
			}
		}
	}
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte("#!ipxe\nkernel --name vmlinuz\ninitrd -\nboot || x\n:a"), "x")
	f.Fuzz(func(t *testing.T, script []byte, remove string) {
		before, _ := Read(script, nil)
		got, err := Edit(script, bootmenu.Edit{Remove: remove})
		testkit.Must(t, err)
		if after, _ := Read(got, nil); len(after.Entries) > len(before.Entries) {
			t.Errorf("%+v became %+v", before, after)
		}
	})
}
