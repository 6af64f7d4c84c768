package ipxe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func Example() {
	script, err := Script("vmlinuz", []string{"core.gz"}, "quiet")
	if err != nil {
		fmt.Println(err)
		return
	}
	if script, err = Edit(script, "", "console=ttyS0"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%+v\n%.60s", Entries(script), script)
	// Output:
	// [{Name: Kernel:vmlinuz Initrds:[core.gz] Append:initrd=core.gz quiet console=ttyS0}]
	// #!ipxe
	// kernel vmlinuz initrd=core.gz quiet console=ttyS0 ||
}

func TestEntriesAndEdit(t *testing.T) {
	tests := []struct {
		name, script, edited string
		want                 []Entry
	}{
		{"no arguments", "#!ipxe\nkernel vmlinuz\n", "#!ipxe\nkernel vmlinuz NEW\n", []Entry{{Kernel: "vmlinuz"}}},
		{"carriage returns", "kernel vmlinuz a=b c || goto x\r\n", "kernel vmlinuz a=b c NEW || goto x\r\n", []Entry{{Kernel: "vmlinuz", Append: "a=b c"}}},
		{"options", "\tkernel --name k ${base}/vmlinuz q && boot || shell", "\tkernel --name k ${base}/vmlinuz q NEW && boot || shell", []Entry{{Kernel: "${base}/vmlinuz", Append: "q"}}},
		{"options without a value", "kernel --autofree --timeout=5 vmlinuz", "kernel --autofree --timeout=5 vmlinuz NEW", []Entry{{Kernel: "vmlinuz"}}},
		{"nothing", "# kernel x\ninitrd y\nkernel\nboot -", "# kernel x\ninitrd y\nkernel\nboot -", nil},
		{"initrds around a kernel", "initrd --name i one\nkernel k\ninitrd two\nboot\n", "initrd --name i one\nkernel k NEW\ninitrd two\nboot\n", []Entry{{Kernel: "k", Initrds: []string{"one", "two"}}}},
		{"labels", ":a\nkernel one\nboot\n:b\nkernel two x\n", ":a\nkernel one NEW\nboot\n:b\nkernel two x NEW\n", []Entry{{Name: "a", Kernel: "one"}, {Name: "b", Kernel: "two", Append: "x"}}},
		{"edited before", "kernel k OLD\n", "kernel k NEW\n", []Entry{{Kernel: "k", Append: "OLD"}}},
		{"there already", "kernel k NEW\n", "kernel k NEW\n", []Entry{{Kernel: "k", Append: "NEW"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Entries([]byte(tt.script))
			if !slices.EqualFunc(got, tt.want, func(a, b Entry) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("entries %+v, want %+v", got, tt.want)
			}
			if got, err := Edit([]byte(tt.script), "OLD", "NEW"); err != nil || string(got) != tt.edited {
				t.Errorf("edited to %q, want %q: %v", got, tt.edited, err)
			}
		})
	}
}

func TestArgumentsThatMeanSomething(t *testing.T) {
	for _, args := range []string{"x=${ip}", "quiet || reboot", "a && b"} {
		_, one := Script("k", nil, args)
		_, two := Edit([]byte("kernel k\n"), "", args)
		for _, err := range []error{one, two} {
			if err == nil || !strings.Contains(err.Error(), "iPXE gives the kernel arguments") {
				t.Errorf("%s: %v", args, err)
			}
		}
	}
}

func FuzzEntries(f *testing.F) {
	f.Add([]byte("#!ipxe\nkernel --name vmlinuz\ninitrd -\nboot || x\n:a"), "x", "y")
	f.Fuzz(func(t *testing.T, script []byte, remove, add string) {
		before := len(Entries(script))
		if got, err := Edit(script, remove, ""); err == nil && len(Entries(got)) > before {
			t.Errorf("%d entries became more in %q", before, got)
		}
	})
}
