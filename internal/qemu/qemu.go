// Package qemu boots images in QEMU and judges them by what they print on the serial console.
//
// It always says -accel tcg: old kernels hang on KVM, and a build machine's /dev/kvm may exist
// and not work. Markers must come from inside the image; a prompt proves nothing.
package qemu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Machine is what to boot.
type Machine struct {
	// Program is the emulator; empty is qemu-system-i386.
	Program string
	// MemoryMiB is the machine's memory; 0 is 512.
	MemoryMiB int
	// CDROM is an ISO to boot from. Otherwise Kernel, Initrd and Append are booted directly,
	// as PXE would.
	CDROM, Kernel, Initrd, Append string
	// NetBoot is the URL of an iPXE script to boot from the network with, when CDROM and Kernel
	// are empty: the card's own ROM is an iPXE, and DHCP names the URL as its boot file.
	NetBoot string
	// Forward maps ports of this machine's loopback to ports of the guest.
	Forward map[int]int
	// Network gives the guest a network card; Forward implies it. The guest reaches this
	// machine's loopback as 10.0.2.2.
	Network bool
	// Console receives a copy of the serial console; may be nil.
	Console io.Writer
}

// BootError is an image that did not do what was expected of it.
type BootError struct {
	Why  string
	Tail string // the console's last lines
}

func (e *BootError) Error() string { return "boot test: " + e.Why }

// Hint points at the console, which says more than any summary.
func (e *BootError) Hint() string {
	if e.Tail == "" {
		return "the serial console stayed silent: build the image with --append console=ttyS0, or boot it with --pxe"
	}
	return "the console's last line was: " + lastLine(e.Tail)
}

func lastLine(s string) string {
	ls := strings.Split(strings.TrimSpace(s), "\n")
	return ls[len(ls)-1]
}

// fatal lists what a console never says in a good boot, and what it means.
func fatal() []struct{ text, why string } {
	return []struct{ text, why string }{
		{"Kernel panic", "the kernel panicked"},
		{"Initramfs unpacking failed", "the kernel could not unpack the initrd"},
		{"No bootable device", "the BIOS found nothing to boot"},
		{"Could not read from CDROM", "the BIOS could not read the CD's boot sector"},
		{"modprobe: chdir(", "the initrd has no modules for its kernel: Tiny Core waits for ever for zram"},
	}
}

// VM is a running machine.
type VM struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	mu     sync.Mutex
	log    strings.Builder
	grown  chan struct{} // closed and renewed at each new line
	ended  chan struct{}
}

func (m Machine) args() []string {
	mem := m.MemoryMiB
	if mem == 0 {
		mem = 512
	}
	a := []string{
		"-accel", "tcg", "-m", strconv.Itoa(mem), "-display", "none", "-monitor", "none", "-no-reboot",
		"-serial", "stdio", "-rtc", "base=utc",
	}
	switch {
	case len(m.Forward) > 0 || m.Network || m.NetBoot != "":
		net := "user,model=e1000"
		if m.NetBoot != "" {
			net += ",bootfile=" + strings.ReplaceAll(m.NetBoot, ",", ",,")
		}
		for host, guest := range m.Forward {
			net += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", host, guest)
		}
		a = append(a, "-nic", net)
	default:
		a = append(a, "-nic", "none")
	}
	switch {
	case m.CDROM != "":
		return append(a, "-boot", "d", "-cdrom", m.CDROM)
	case m.NetBoot != "":
		return append(a, "-boot", "n")
	}
	return append(a, "-kernel", m.Kernel, "-initrd", m.Initrd, "-append", m.Append)
}

// Start boots m. The caller stops the machine; it also ends with ctx.
func Start(ctx context.Context, m Machine) (*VM, error) {
	program := m.Program
	if program == "" {
		program = "qemu-system-i386"
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, m.args()...) //nolint:gosec // the program is the caller's constant or flag
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	cmd.Stderr = m.Console
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, &missingError{program, err}
	}
	vm := &VM{cmd: cmd, cancel: cancel, grown: make(chan struct{}), ended: make(chan struct{})}
	go vm.read(out, m.Console)
	return vm, nil
}

type missingError struct {
	program string
	err     error
}

func (e *missingError) Error() string { return "start " + e.program + ": " + e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }

// Hint says how to get QEMU.
func (*missingError) Hint() string { return "install QEMU: apt-get install qemu-system-x86" }

// maxLine bounds one line of console output; longer ones are cut, not lost.
const maxLine = 64 << 10

func (vm *VM) read(out io.Reader, console io.Writer) {
	defer close(vm.ended)
	r := bufio.NewReaderSize(out, maxLine)
	for {
		line, _, err := r.ReadLine()
		if len(line) > 0 || err == nil {
			vm.add(strings.TrimRight(string(line), "\r"))
			if console != nil {
				fmt.Fprintf(console, "%s\n", line)
			}
		}
		if err != nil {
			return
		}
	}
}

func (vm *VM) add(line string) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.log.WriteString(line + "\n")
	close(vm.grown)
	vm.grown = make(chan struct{})
}

// Log returns everything that the console has said so far.
func (vm *VM) Log() string {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.log.String()
}

func (vm *VM) snapshot() (string, <-chan struct{}) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.log.String(), vm.grown
}

// Expect waits until the console has said every one of texts. It fails with a [*BootError] when
// the console says something fatal, the machine ends, or ctx does.
func (vm *VM) Expect(ctx context.Context, texts ...string) error {
	for {
		log, grown := vm.snapshot()
		left := missing(log, texts)
		if len(left) == 0 {
			return nil
		}
		for _, f := range fatal() {
			if strings.Contains(log, f.text) {
				return &BootError{f.why, tail(log)}
			}
		}
		select {
		case <-grown:
		case <-vm.ended:
			if log, _ := vm.snapshot(); len(missing(log, texts)) == 0 {
				return nil
			}
			return &BootError{fmt.Sprintf("the machine ended before it said %q", left), tail(vm.Log())}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &BootError{fmt.Sprintf("in time it did not say %q", left), tail(vm.Log())}
			}
			return ctx.Err()
		}
	}
}

// missing returns those of texts that log does not hold.
func missing(log string, texts []string) []string {
	var out []string
	for _, t := range texts {
		if !strings.Contains(log, t) {
			out = append(out, t)
		}
	}
	return out
}

// tail returns the console's last lines.
func tail(log string) string {
	ls := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(ls[max(0, len(ls)-15):], "\n")
}

// Ended is closed when the machine has ended by itself: a reboot or a power-off.
func (vm *VM) Ended() <-chan struct{} { return vm.ended }

// Stop ends the machine and waits for it.
func (vm *VM) Stop() {
	vm.cancel()
	<-vm.ended
	vm.cmd.Wait() //nolint:errcheck,gosec // killed: its status says nothing
}
