// Package qemu boots images in QEMU and judges them by their output on the serial console.
//
// It always uses -accel tcg: old kernels hang on KVM, and a build machine's /dev/kvm may exist and not work.
// Markers must come from inside the image; a prompt proves nothing. Firmware and boot loaders print to the serial
// console, too: otherwise a failed boot would show no reason.
//
// It reads no image and starts only QEMU. Start reading at [Machine].
package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mkbuild/internal/fail"
)

// Machine describes a machine to boot.
type Machine struct {
	// Program is the emulator; empty is qemu-system-i386.
	Program string
	// MemoryMiB is the machine's memory; 0 is 512.
	MemoryMiB int
	// CDROM is an ISO to boot from. Otherwise Kernel, Initrd and Append are booted directly.
	CDROM, Kernel, Initrd, Append string
	// Stick is a hybrid image to boot as a USB stick, if CDROM is empty.
	Stick string
	// Firmware is a file with UEFI firmware, such as Debian's /usr/share/ovmf/OVMF.fd; empty is
	// QEMU's own BIOS.
	Firmware string
	// NetBoot is the URL of an iPXE script for a network boot, if CDROM and Kernel are empty: the card's own ROM
	// is an iPXE, and DHCP names the URL as its boot file.
	NetBoot string
	// Forward maps ports of this machine's loopback to ports of the guest.
	Forward map[int]int
	// Network gives the guest a network card; Forward implies it. The guest reaches this
	// machine's loopback as 10.0.2.2.
	Network bool
	// Display is QEMU's -display: empty is none.
	Display string
	// Console receives a copy of the serial console, line by line and without escape sequences;
	// may be nil.
	Console io.Writer
	// Harmless names rules that do not apply to this machine.
	Harmless []string
}

// VM is a running machine.
type VM struct {
	console  *console
	cmd      *exec.Cmd
	cancel   context.CancelFunc
	release  func() // see startBound
	harmless []string
}

// args are the emulator's arguments, without the console's.
func (m Machine) args() []string {
	mem := m.MemoryMiB
	if mem == 0 {
		mem = 512
	}
	display := m.Display
	if display == "" {
		display = "none"
	}
	a := []string{"-accel", "tcg", "-m", strconv.Itoa(mem), "-display", display, "-no-reboot", "-rtc", "base=utc"}
	if display == "none" {
		a = append(a, "-machine", "graphics=off") // SeaBIOS then writes to the serial console
	}
	if m.Firmware != "" {
		a = append(a, "-bios", m.Firmware)
	}
	return append(append(a, m.nic()...), m.medium()...)
}

func (m Machine) nic() []string {
	if len(m.Forward) == 0 && !m.Network && m.NetBoot == "" {
		return []string{"-nic", "none"}
	}
	net := "user,model=e1000"
	if m.NetBoot != "" {
		net += ",bootfile=" + strings.ReplaceAll(m.NetBoot, ",", ",,")
	}
	for host, guest := range m.Forward {
		net += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", host, guest)
	}
	return []string{"-nic", net}
}

func (m Machine) medium() []string {
	switch {
	case m.CDROM != "":
		// By AHCI the BIOS reads with DMA. By IDE it moves every word itself, which takes an emulated processor seconds.
		return []string{"-drive", "if=none,id=cd,media=cdrom,format=raw,readonly=on,file=" + strings.ReplaceAll(m.CDROM, ",", ",,"),
			"-device", "ahci,id=ahci", "-device", "ide-cd,drive=cd,bus=ahci.0,bootindex=0"}
	case m.Stick != "":
		return []string{"-drive", "if=none,id=stick,format=raw,readonly=on,file=" + strings.ReplaceAll(m.Stick, ",", ",,"),
			"-device", "qemu-xhci", "-device", "usb-storage,drive=stick,bootindex=0"}
	case m.NetBoot != "":
		return []string{"-boot", "n"}
	}
	return []string{"-kernel", m.Kernel, "-initrd", m.Initrd, "-append", m.Append}
}

func (m Machine) program() string {
	if m.Program == "" {
		return "qemu-system-i386"
	}
	return m.Program
}

// Start boots m. The caller stops the machine; it also ends with ctx.
func Start(ctx context.Context, m Machine) (*VM, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, m.program(), append(m.args(), "-monitor", "none", "-serial", "stdio")...) //nolint:gosec // the program is the caller's constant or flag
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	cmd.Stderr = cmd.Stdout // QEMU's own messages belong to the log
	release, err := startBound(cmd)
	if err != nil {
		cancel()
		return nil, missing(m.program(), err)
	}
	vm := &VM{console: newConsole(), cmd: cmd, cancel: cancel, release: release, harmless: m.Harmless}
	go vm.console.read(out, m.Console)
	return vm, nil
}

// Log returns the console's output so far, without escape sequences.
func (vm *VM) Log() string { return vm.console.log() }

// Ended is closed when the machine has ended by itself: a reboot or a power-off.
func (vm *VM) Ended() <-chan struct{} { return vm.console.ended }

// Stop ends the machine and waits for it.
func (vm *VM) Stop() {
	vm.cancel()
	<-vm.console.ended
	vm.cmd.Wait() //nolint:errcheck,gosec // killed: its status says nothing
	vm.release()
}

// Interact boots m with its serial console on the three streams until the machine ends, the user ends it with
// Ctrl-A X, or ctx ends. If in is a terminal, QEMU puts it into raw mode, so that Ctrl-C goes to the guest, and
// restores it.
func Interact(ctx context.Context, m Machine, in *os.File, out, errs io.Writer) error {
	args := append(m.args(), "-chardev", "stdio,id=console,mux=on,signal=off", "-mon", "chardev=console", "-serial", "chardev:console")
	cmd := exec.CommandContext(ctx, m.program(), args...) //nolint:gosec // as in Start
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	cmd.Cancel = func() error { // SIGTERM lets QEMU restore the terminal; Windows has none
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return cmd.Process.Kill()
		}
		return nil
	}
	cmd.WaitDelay = time.Second
	release, err := startBound(cmd)
	if err != nil {
		return missing(m.program(), err)
	}
	defer release()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("run %s: %w", m.program(), err)
	}
	return err
}

// missing is the error of a machine without the emulator.
func missing(program string, err error) error {
	return &fail.Error{Class: fail.Usage, What: "start " + program, Err: err,
		Hint: "install QEMU: apt-get install qemu-system-x86 ipxe-qemu"}
}
