package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"mkbuild/internal/boottest"
)

// machineOptions are the flags of the commands that boot an image.
type machineOptions struct {
	boot boottest.Options
	pxe  bool
}

func (o *machineOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.boot.Format, "format", "", "boot as `FORMAT`: iso from the CD, or pxe over the network with iPXE (default: the form of IMAGE)")
	f.BoolVar(&o.pxe, "pxe", false, "the same as --format pxe")
	f.IntVar(&o.boot.MemoryMiB, "memory", 512, "the machine's memory in `MiB`")
	f.StringVar(&o.boot.Append, "append", "", "kernel `arguments` to add")
	f.StringVar(&o.boot.Program, "qemu", "", "emulator `program` (default qemu-system-i386, or qemu-system-x86_64 for a 64-bit kernel)")
}

// options are the flags as options for a boot of image.
func (o *machineOptions) options(w *world, image string) (boottest.Options, error) {
	out := o.boot
	if o.pxe && out.Format != "" && out.Format != "pxe" {
		return out, usage("--pxe and --format "+out.Format+" cannot be combined", "leave one of the two out")
	}
	if o.pxe {
		out.Format = "pxe"
	}
	out.Image = image
	out.Note = func(text string) { fmt.Fprintf(w.stderr, "mkbuild: %s\n", oneLine(text)) }
	return out, nil
}

func bootCommand(w *world) *cobra.Command {
	o, razorServer, ssh := &machineOptions{}, "", ""
	c := &cobra.Command{
		Use:   "boot IMAGE",
		Short: "Boot an image in QEMU and use its serial console",
		Long: `Boot an image in QEMU, without acceleration, with its serial console on this terminal. IMAGE is an
ISO, or a folder that mkbuild iso --format pxe made. Ctrl-A X ends the machine, Ctrl-A C changes to
QEMU's own prompt and back; Ctrl-C goes to the machine. mkbuild test judges a boot.

The image's file is never changed. Kernel arguments that it lacks (console=ttyS0, and --append's)
reach an ISO's kernel through a temporary copy that differs only in its boot menu.
With --network the machine reaches this machine's loopback as 10.0.2.2. --ssh forwards a port to the
machine's ssh server, and prints the command that connects to it.

QEMU is the only other program needed: apt-get install qemu-system-x86 ipxe-qemu`,
		Example: `  mkbuild boot rz_mk_dev-image.0.1.0.iso
  mkbuild boot image.iso --format pxe --memory 768 --razor-server 10.0.2.2:8150
  mkbuild boot rz_mk_dev-image.0.1.0.iso --ssh
  mkbuild boot image.iso --display gtk`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && cmd.Flags().Changed("ssh") { // a blank where an equals sign belongs
				ssh, args = args[1], args[:1]
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.forward(cmd.Context(), ssh); err != nil {
				return err
			}
			return runBoot(cmd.Context(), w, o, args[0], razorServer)
		},
	}
	o.addFlags(c.Flags())
	f := c.Flags()
	f.BoolVar(&o.boot.Network, "network", false, "give the machine a network card; PXE has one always")
	f.StringVar(&razorServer, "razor-server", "", "`HOST[:PORT]` for mk-client to check in with; implies --network")
	f.StringVar(&ssh, "ssh", "", "forward a `PORT` of this machine's loopback (default 2222) to the machine's port 22")
	f.Lookup("ssh").NoOptDefVal = "2222"
	f.StringVar(&o.boot.Display, "display", "none", "QEMU's -display `TYPE` (gtk, vnc=:1, …), to see the boot menu on a screen")
	return c
}

// forward checks the port of --ssh.
func (o *machineOptions) forward(ctx context.Context, ssh string) error {
	if ssh == "" {
		return nil
	}
	port, err := strconv.ParseUint(ssh, 10, 16)
	if err != nil || port == 0 {
		return usage(fmt.Sprintf("--ssh: %q is not a port", ssh), "for example: --ssh=2222")
	}
	taken, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return usage(fmt.Sprintf("--ssh: port %d is taken", port), fmt.Sprintf("name another one: --ssh=%d", port%60000+1111))
	}
	o.boot.SSH = int(port)
	return taken.Close()
}

func runBoot(ctx context.Context, w *world, o *machineOptions, image, razorServer string) error {
	opts, err := o.options(w, image)
	if err != nil {
		return err
	}
	if razorServer != "" {
		opts.Network = true
		opts.Append += " razor.server=" + razorServer
	}
	stdin := int(os.Stdin.Fd())
	if state, err := term.GetState(stdin); err == nil {
		defer term.Restore(stdin, state) //nolint:errcheck // a QEMU that was killed leaves it raw
		fmt.Fprintln(w.stderr, "mkbuild: Ctrl-A X ends the machine")
	}
	return boottest.Interact(ctx, opts, os.Stdin, w.stdout, w.stderr)
}
