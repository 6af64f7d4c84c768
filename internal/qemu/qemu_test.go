package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is a stand-in for the emulator: a shell script that talks like a console. What it
// shows is how consoles are judged; real machines are booted in e2e.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "console")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestExpect(t *testing.T) {
	tests := []struct {
		name, script string
		texts        []string
		want         string // of the error; empty: none
	}{
		{"all said, in any order", "echo one; echo two; exec sleep 9", []string{"two", "one"}, ""},
		{"said without a newline before the end", "printf 'half a line'", []string{"half a line"}, ""},
		{"ended too early", "echo one", []string{"one", "two"}, `ended before it said ["two"]`},
		{"silent", "exec sleep 9", []string{"one"}, `in time it did not say ["one"]`},
		{"panic", "echo 'Kernel panic - not syncing'; exec sleep 9", []string{"one"}, "the kernel panicked"},
		{"no modules", "echo 'modprobe: chdir(3.0.21-tinycore): No such file or directory'; exec sleep 9", []string{"x"}, "waits for ever"},
		{"carriage returns and long lines", "head -c 100000 /dev/zero | tr '\\0' x; printf '\\r\\nend\\r\\n'; exec sleep 9", []string{"end"}, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			vm, err := Start(t.Context(), Machine{Program: program(t, tc.script)})
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Stop()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err = vm.Expect(ctx, tc.texts...)
			var be *BootError
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("%v\n%s", err, vm.Log())
			case tc.want != "" && (!errors.As(err, &be) || !strings.Contains(err.Error(), tc.want) || be.Hint() == ""):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCancelIsNotAVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	vm, err := Start(ctx, Machine{Program: program(t, "exec sleep 9")})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Stop()
	cancel()
	if err := vm.Expect(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMissingProgram(t *testing.T) {
	_, err := Start(t.Context(), Machine{Program: "/nowhere/qemu"})
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "apt-get install qemu") {
		t.Errorf("got %v", err)
	}
}

func TestArgs(t *testing.T) {
	for _, m := range []Machine{{CDROM: "x.iso"}, {Kernel: "k", Initrd: "i", Append: "a b"}, {NetBoot: "http://h/a,b"}} {
		a := m.args()
		i := slices.Index(a, "-accel")
		if i < 0 || a[i+1] != "tcg" || !slices.Contains(a, "-no-reboot") {
			t.Errorf("%+v: %q", m, a)
		}
	}
	if a := strings.Join((Machine{NetBoot: "http://h/a,b"}).args(), " "); !strings.Contains(a, "bootfile=http://h/a,,b -boot n") {
		t.Error(a)
	}
	if a := strings.Join((Machine{CDROM: "x", Forward: map[int]int{2222: 22}}).args(), " "); !strings.Contains(a, "hostfwd=tcp:127.0.0.1:2222-:22") {
		t.Error(a)
	}
	if a := strings.Join((Machine{CDROM: "x"}).args(), " "); !strings.Contains(a, "-nic none") {
		t.Error(a)
	}
}
