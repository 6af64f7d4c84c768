package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mkbuild/internal/qemu"
	"mkbuild/internal/remaster"
)

type bootOptions struct {
	expect  []string
	timeout time.Duration
	memory  int
	pxe     bool
	network bool
	keep    bool
	append  string
	qemu    string
}

func bootCommand(w *world) *cobra.Command {
	o := &bootOptions{}
	c := &cobra.Command{
		Use:   "boot IMAGE.iso",
		Short: "Boot an image in QEMU and check what it says",
		Long: `Boot an image in QEMU, without acceleration, and wait until its serial console has said every
--expect text. stdout is the console. The image needs console=ttyS0 among its kernel arguments
(mkbuild iso --append console=ttyS0); --pxe boots its kernel and initrd directly and adds that.`,
		Example: `  mkbuild boot rz_mk_prod-image.0.1.0.iso
  mkbuild boot image.iso --pxe --network --keep --append razor.server=10.0.2.2:8150
  mkbuild boot image.iso --expect 'MK loaded: v0.1.0' --timeout 3m`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runBoot(cmd.Context(), w, o, args[0]) },
	}
	f := c.Flags()
	f.StringArrayVar(&o.expect, "expect", []string{"MK loaded: v"}, "`text` that the console must say; may be repeated")
	f.DurationVar(&o.timeout, "timeout", 3*time.Minute, "how long to wait")
	f.IntVar(&o.memory, "memory", 512, "the machine's memory in `MiB`")
	f.BoolVar(&o.pxe, "pxe", false, "boot the image's kernel and initrd directly, as PXE would")
	f.BoolVar(&o.network, "network", false, "give the machine a network card: it reaches this machine's loopback as 10.0.2.2")
	f.BoolVar(&o.keep, "keep", false, "let the machine run until it ends or you press Ctrl-C")
	f.StringVar(&o.append, "append", "", "further kernel `arguments`, with --pxe")
	f.StringVar(&o.qemu, "qemu", "", "emulator `program` (default qemu-system-i386, or qemu-system-x86_64 for a 64-bit kernel)")
	return c
}

func runBoot(ctx context.Context, w *world, o *bootOptions, name string) error {
	if o.append != "" && !o.pxe {
		return &usageError{"--append needs --pxe", "build the arguments into the image, or add --pxe"}
	}
	if info, err := os.Stat(name); err != nil {
		return &usageError{"boot " + name + ": " + err.Error(), "name an image: mkbuild iso makes one"}
	} else if !info.Mode().IsRegular() {
		return &usageError{"boot " + name + ": it is not a file", "name an image: mkbuild iso makes one"}
	}
	files, err := remaster.OpenBootFiles(name)
	if err != nil {
		return err
	}
	defer files.Close() //nolint:errcheck // only read
	m := qemu.Machine{Program: o.qemu, MemoryMiB: o.memory, CDROM: name, Network: o.network, Console: w.stdout}
	if m.Program == "" && strings.HasSuffix(files.KernelRelease, "64") {
		m.Program = "qemu-system-x86_64"
	}
	if o.pxe {
		dir, err := os.MkdirTemp("", "mkbuild-boot-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // best effort
		if err := directBoot(&m, files, dir, o.append); err != nil {
			return err
		}
	}
	return o.watch(ctx, w, m, name)
}

// watch starts the machine and judges it by what it says.
func (o *bootOptions) watch(ctx context.Context, w *world, m qemu.Machine, name string) error {
	vm, err := qemu.Start(ctx, m)
	if err != nil {
		return err
	}
	defer vm.Stop()
	limited, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := vm.Expect(limited, o.expect...); err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "mkbuild: %s said all of %q\n", name, o.expect)
	if !o.keep {
		return nil
	}
	select {
	case <-vm.Ended():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// directBoot puts kernel and initrd into dir, where QEMU can read them.
func directBoot(m *qemu.Machine, f *remaster.BootFiles, dir, args string) error {
	m.CDROM, m.Kernel, m.Initrd = "", filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd")
	m.Append = strings.TrimSpace(f.Append + " console=ttyS0 " + args)
	if err := copyOut(m.Kernel, f.Kernel); err != nil {
		return err
	}
	return copyOut(m.Initrd, f.Initrd)
}

func copyOut(name string, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // checked below
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	return f.Close()
}
