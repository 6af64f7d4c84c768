package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

// program is a fake emulator: a shell script that acts like a console. It tests how consoles are judged; e2e boots
// real machines.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "console")
	testkit.WriteFile(t, name, "#!/bin/sh\n"+script, 0o755)
	return name
}

func TestExpect(t *testing.T) {
	tests := []struct {
		name, script string
		patterns     []string
		want         string // of the error; empty: none
	}{
		{"all said, in any order", "echo one; echo two; exec sleep 99", []string{"two", "one"}, ""},
		{"a regular expression", "echo MK loaded: v0.1.0; exec sleep 99", []string{`^MK loaded: v0\.1\.[0-9]+$`}, ""},
		{"said without a newline before the end", "printf 'half a line'", []string{"half a line"}, ""},
		{"ended too early", "echo one", []string{"one", "two"}, `boot-ended: the machine ended before it printed ["two"]`},
		{"said something else", "echo two; exec sleep 99", []string{"one"}, `boot-no-marker: it did not print ["one"] in time`},
		{"silent", "exec sleep 99", []string{"one"}, `boot-silent: `},
		{"what QEMU itself says", "echo 'cannot do that' >&2; exit 1", []string{"cannot do that"}, ""},
		{"carriage returns and long lines", "head -c 100000 /dev/zero | tr '\\0' x; printf '\\r\\nend\\r\\n'; exec sleep 99", []string{"^end$"}, ""},
		{"escape sequences", "printf '\\033[2J\\033[01;01Hab\\033[0mc\\033cd\\n'; exec sleep 99", []string{"^abcd$"}, ""},
		{"what was rubbed out", "printf 'x\\b \\bend\\n'; exec sleep 99", []string{"^end$"}, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			vm := start(t, Machine{Program: program(t, tc.script)})
			limit := testkit.Patience
			if strings.Contains(tc.want, "in time") {
				testkit.WaitFor(t, func() bool { return vm.Log() != "" })
			}
			if strings.Contains(tc.want, "in time") || strings.Contains(tc.want, "silent") {
				limit = 100 * time.Millisecond // only a timeout can detect it
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := vm.Expect(ctx, patterns(tc.patterns)...)
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

func start(t *testing.T, m Machine) *VM {
	t.Helper()
	vm, err := Start(t.Context(), m)
	testkit.Must(t, err)
	t.Cleanup(vm.Stop)
	return vm
}

func patterns(texts []string) []*regexp.Regexp {
	var out []*regexp.Regexp
	for _, s := range texts {
		out = append(out, regexp.MustCompile(s))
	}
	return out
}

// TestRules compares the names of faults with the output of firmware, boot loaders and kernels.
func TestRules(t *testing.T) {
	named := map[string]bool{RuleNoMarker: true, RuleSilent: true, RuleEnded: true, RuleNoCheckIn: true, RuleOpen: true}
	for line, want := range map[string]string{
		"No bootable device.":                                                                       "boot-no-bootable-device",
		"Boot failed: Could not read from CDROM (code 0005)":                                        "boot-no-bootable-device",
		"No more network devices":                                                                   "boot-network-failed",
		"The microkernel did not boot: trying again in 30 seconds":                                  "boot-network-failed",
		"isolinux: Image checksum error, sorry...":                                                  "boot-loader-corrupt",
		"Could not find kernel image: linux":                                                        "boot-no-kernel",
		"No DEFAULT or UI configuration directive found!":                                           "boot-no-kernel",
		"Loading /boot/vmlinuz... failed: No such file or directory":                                "boot-no-kernel",
		"Loading /boot/core.gz...failed: No such file or directory":                                 "boot-no-initrd",
		"Could not find ramdisk image: /boot/core.gz":                                               "boot-no-initrd",
		"This kernel requires an x86-64 CPU, but only detected an i686 CPU.":                        "boot-wrong-cpu",
		"This kernel requires the following features not present on the CPU:":                       "boot-wrong-cpu",
		"[    1.2] Initramfs unpacking failed: invalid magic at start of compressed archive":        "boot-initrd-corrupt",
		"[    1.2] Initramfs unpacking failed: compression method xz not configured":                "boot-initrd-corrupt",
		"[    1.2] rootfs image is not initramfs (crc error); looks like an initrd":                 "boot-initrd-corrupt",
		"[    1.2] Initramfs unpacking failed: write error":                                         "boot-out-of-memory",
		"[   20.1] Out of memory: Killed process 71 (ruby)":                                         "boot-out-of-memory",
		"[    2.0] Kernel panic - not syncing: System is deadlocked on memory":                      "boot-out-of-memory",
		"[    2.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)":  "boot-no-initrd",
		"[    2.0] Kernel panic - not syncing: No working init found.  Try passing init= option":    "boot-no-init",
		"[    2.0] Kernel panic - not syncing: Requested init /x failed (error -2).":                "boot-no-init",
		"[    2.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100":         "boot-init-died",
		"[    0.1] Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug": "boot-host-busy",
		"[    2.0] Kernel panic - not syncing: Fatal exception in interrupt":                        "boot-kernel-panic",
		"modprobe: chdir(3.0.21-tinycore): No such file or directory":                               RuleNoModules,
		"modprobe: can't change directory to '/lib/modules': No such file or directory":             RuleNoModules,
	} {
		named[want] = true
		vm := start(t, Machine{Program: program(t, "cat <<'EOF'\n"+line+"\nEOF\nexec sleep 99")})
		var be *BootError
		if err := vm.Expect(t.Context(), nothing); !errors.As(err, &be) || be.Rule != want || !strings.Contains(be.Hint(), line) {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
	for _, r := range Rules() {
		if !named[r.Name] {
			t.Errorf("no line here shows %s", r.Name)
		}
		if r.Why == "" || r.Next == "" {
			t.Errorf("%s explains nothing", r.Name)
		}
	}
}

func TestHarmlessRulesAreNotJudged(t *testing.T) {
	vm := start(t, Machine{Program: program(t, "echo 'modprobe: chdir(x): no'; echo up; exec sleep 99"), Harmless: []string{RuleNoModules}})
	if err := vm.Expect(t.Context(), regexp.MustCompile("up")); err != nil {
		t.Error(err)
	}
}

// TestWatch watches the output after all expected text.
func TestWatch(t *testing.T) {
	var be *BootError
	vm := start(t, Machine{Program: program(t, "echo up; echo 'Kernel panic - not syncing: x'; exec sleep 99")})
	if err := vm.Watch(t.Context()); !errors.As(err, &be) || be.Rule != "boot-kernel-panic" {
		t.Errorf("got %v", err)
	}
	vm = start(t, Machine{Program: program(t, "echo up")})
	if err := vm.Watch(t.Context()); !errors.As(err, &be) || be.Rule != RuleEnded {
		t.Errorf("got %v", err)
	}
	vm = start(t, Machine{Program: program(t, "exec sleep 99")})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := vm.Watch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestInteract talks to a fake emulator through its stdin and stdout.
func TestInteract(t *testing.T) {
	in, typed, err := os.Pipe()
	testkit.Must(t, err)
	defer in.Close()
	typed.WriteString("hello\n")
	typed.Close()
	var out, errs strings.Builder
	testkit.Must(t, Interact(t.Context(), Machine{Program: program(t, `read line; echo "you said $line"; echo "$@" >&2`)}, in, &out, &errs))
	if out.String() != "you said hello\n" || !strings.Contains(errs.String(), "mux=on,signal=off") {
		t.Errorf("got %q and %q", out.String(), errs.String())
	}
	if err := Interact(t.Context(), Machine{Program: program(t, "exit 3")}, nil, &out, &errs); err == nil {
		t.Error("an emulator that fails is no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Interact(ctx, Machine{Program: program(t, "exec sleep 99")}, nil, &out, &errs); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCancelIsNotAVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	vm, err := Start(ctx, Machine{Program: program(t, "exec sleep 9")})
	testkit.Must(t, err)
	defer vm.Stop()
	cancel()
	if err := vm.Expect(ctx, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMissingProgram(t *testing.T) {
	_, err := Start(t.Context(), Machine{Program: "/nowhere/qemu"})
	if fail.ClassOf(err) != fail.Usage || !strings.Contains(fail.HintOf(err), "apt-get install qemu") {
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

func TestStickAndFirmware(t *testing.T) {
	t.Parallel()
	got := strings.Join(Machine{Stick: "a,b.iso", Firmware: "OVMF.fd"}.args(), " ")
	for _, want := range []string{"-bios OVMF.fd", "if=none,id=stick,format=raw,readonly=on,file=a,,b.iso", "usb-storage,drive=stick,bootindex=0"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if plain := strings.Join(Machine{CDROM: "a,b.iso"}.args(), " "); !strings.Contains(plain, "readonly=on,file=a,,b.iso -device ahci") || strings.Contains(plain, "-bios") || strings.Contains(plain, "usb-storage") {
		t.Errorf("a CD's machine: %q", plain)
	}
}
