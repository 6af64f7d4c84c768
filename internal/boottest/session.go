package boottest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/qemu"
	"mkbuild/internal/wholefile"
)

// scriptName is the iPXE script of a folder for PXE, and of the server.
const scriptName = "boot.ipxe"

// Options are the image to boot and the options of the boot.
type Options struct {
	// Image is an ISO, or a folder with boot.ipxe, kernel and initrd.
	Image string
	// Format is "iso", "pxe", or empty for the image's own.
	Format string
	// MemoryMiB is the machine's memory; 0 is 512.
	MemoryMiB int
	// Program is the emulator; empty chooses by the kernel's name.
	Program string
	// Append are more kernel arguments.
	Append string
	// Network gives the machine a network card, which PXE and CheckIn imply.
	Network bool
	// SSH is a port of this machine that is forwarded to the image's port 22; 0 forwards no port.
	SSH int
	// Display is QEMU's -display, for [Interact].
	Display string

	// Expect must match lines of the console; none is [Marker].
	Expect []*regexp.Regexp
	// Timeout bounds a test; 0 is five minutes.
	Timeout time.Duration
	// CheckIn also waits for the node's first check-in.
	CheckIn bool
	// Log is the file for the console log. If empty, the log of a failed test goes to Image.console.log, or to a
	// temporary file if that cannot be written.
	Log string
	// Console receives the console line by line; may be nil.
	Console io.Writer
	// Note gets messages for the user, such as added arguments; may be nil.
	Note func(string)

	judged bool // by [Test]
}

// session is one boot, ready to start.
type session struct {
	options Options
	medium  *medium.Medium
	format  string
	prod    *config.Config // of a prod image
	machine qemu.Machine
	server  *server // nil without a server
	cleanup []func()
}

func (s *session) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
}

func (s *session) note(format string, args ...any) {
	if s.options.Note != nil {
		s.options.Note(fmt.Sprintf(format, args...))
	}
}

// refuse is the error of an image that cannot boot, found before the boot.
func refuse(image, what, next string) error {
	return fail.New(fail.Usage, "boot "+image+": "+what, next)
}

// noteSSH says how to log in. Host keys are new with each boot, and the ssh servers of Tiny Core up to 7.x offer
// only ssh-rsa.
func (s *session) noteSSH(prod *config.Config) error {
	if s.options.SSH == 0 {
		return nil
	}
	if prod != nil && len(prod.Services.Allow) == 0 {
		return refuse(s.options.Image, "--ssh: a prod image has no ssh server", "build one with a server: mkbuild iso --with-openssh -o dev.iso")
	}
	s.note("after the boot: ssh -p %d -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o HostKeyAlgorithms=+ssh-rsa -o PubkeyAcceptedAlgorithms=+ssh-rsa tc@127.0.0.1", s.options.SSH)
	return nil
}

// prepare reads the image and makes its machine.
func prepare(ctx context.Context, o Options) (_ *session, err error) {
	if o.Format != "" && o.Format != "iso" && o.Format != "pxe" {
		return nil, refuse(o.Image, fmt.Sprintf("unknown format %q", o.Format), "choose --format iso or pxe")
	}
	s := &session{options: o}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.medium, err = open(o.Image); err != nil {
		return nil, err
	}
	s.cleanup = append(s.cleanup, func() { s.medium.Close() }) //nolint:errcheck,gosec // only read
	if s.format, err = chooseFormat(o, s.medium.Form); err != nil {
		return nil, err
	}
	prod, err := promised(s.medium)
	if err != nil && (o.judged || o.SSH != 0) {
		return nil, fmt.Errorf("boot %s: %w", o.Image, err)
	}
	if o.judged {
		s.prod = prod
	}
	if err := s.noteSSH(prod); err != nil {
		return nil, err
	}
	own, release, err := s.lookAt()
	if err != nil {
		return nil, err
	}
	s.machine = qemu.Machine{Program: o.Program, MemoryMiB: o.MemoryMiB, Network: o.Network || o.CheckIn, Display: o.Display}
	if o.SSH != 0 {
		s.machine.Forward = map[int]int{o.SSH: 22}
	}
	if s.machine.Program == "" && strings.HasSuffix(release, "64") {
		s.machine.Program = "qemu-system-x86_64"
	}
	if o.CheckIn || s.format == "pxe" {
		if s.server, err = serve(ctx, o.CheckIn); err != nil {
			return nil, err
		}
		s.cleanup = append(s.cleanup, s.server.close)
	}
	args := s.arguments(own)
	if slices.Contains(strings.Fields(own+" "+args), "nozswap") {
		s.machine.Harmless = []string{qemu.RuleNoModules}
	}
	if s.format == "pxe" {
		return s, s.fromNetwork(args)
	}
	return s, s.fromCD(ctx, args)
}

func open(name string) (*medium.Medium, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return nil, refuse(name, errors.Unwrap(err).Error(), "check the name, or make an image with mkbuild iso")
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		return medium.OpenISO(name)
	case !info.IsDir():
		return nil, refuse(name, "it is not a file", "name an ISO or a PXE folder")
	}
	if _, err := os.Stat(filepath.Join(name, scriptName)); err != nil {
		return nil, refuse(name, "the folder has no "+scriptName, "name an ISO, or a folder that mkbuild iso --format pxe made")
	}
	return medium.OpenFolder(name)
}

// chooseFormat settles which way to boot.
func chooseFormat(o Options, form medium.Form) (string, error) {
	is := map[medium.Form]string{medium.ISO: "iso", medium.PXE: "pxe"}[form]
	switch {
	case o.Format == "":
		return is, nil
	case o.Format == "iso" && is != "iso":
		return "", refuse(o.Image, "it is a PXE folder, not an ISO", "leave --format out, or name an ISO")
	}
	return o.Format, nil
}

// lookAt returns the image's own kernel arguments and the name of its kernel, if known. An ISO whose menu has no
// kernel with an initrd is booted unchanged: the test shows the result.
func (s *session) lookAt() (args, release string, err error) {
	m := s.medium
	if m.Form == medium.ISO {
		if m.Bootable() == nil {
			release, err = m.KernelRelease()
		}
		return m.Arguments, release, err
	}
	at := slices.IndexFunc(m.Entries, func(e medium.Entry) bool { return e.Menu == scriptName })
	if at < 0 {
		return "", "", refuse(m.Name, scriptName+" has no kernel line", "make the folder again with mkbuild iso --format pxe")
	}
	if name := path.Base(m.Entries[at].Kernel); m.Kernel == "" && m.Files.Get(name) != nil {
		m.Kernel = name
	}
	release, _ = m.KernelRelease()
	return m.Entries[at].Append, release, nil
}

// arguments are the additional arguments of a boot: a serial console, the user's, and the server's address.
// mk-client uses the last argument of a name, so the server's wins.
func (s *session) arguments(own string) string {
	var args []string
	if !strings.Contains(own+" "+s.options.Append, "console=ttyS0") {
		args = append(args, "console=ttyS0")
	}
	args = append(args, strings.Fields(s.options.Append)...)
	if s.options.CheckIn {
		args = append(args, "razor.server="+s.server.guestHost())
	}
	if (s.options.CheckIn || s.prod != nil) && !strings.Contains(own+" "+s.options.Append, "razor.skew=") {
		args = append(args, "razor.skew=1") // mk-client reports at once
	}
	return strings.Join(args, " ")
}

// fromCD boots the ISO itself, or a copy with more arguments.
func (s *session) fromCD(ctx context.Context, args string) error {
	image := s.options.Image
	s.machine.CDROM = image
	if args == "" {
		return nil
	}
	f, err := wholefile.NewNamedTemp() // open, and so locked, as long as QEMU reads it
	if err != nil {
		return err
	}
	s.cleanup = append(s.cleanup, func() { f.Close() }) //nolint:errcheck,gosec // best effort
	err = s.medium.WriteForOneBoot(ctx, f, args)
	if errors.Is(err, medium.ErrNoMenu) {
		s.note("%s has no isolinux.cfg: it boots unchanged, without %s", image, args)
		return nil
	}
	s.machine.CDROM = f.Name()
	s.note("%s boots as a temporary copy; its boot menu does not wait and adds: %s", image, args)
	return err
}

// fromNetwork boots a folder from the server: the image itself, or one made of the ISO.
func (s *session) fromNetwork(args string) error {
	m := s.medium
	err := m.Bootable()
	switch {
	case m.Form == medium.PXE:
		m, err = m.Edit(bootmenu.Edit{Append: args}, 0)
	case err == nil:
		m, err = medium.NewFolder(*m.Files.Get(m.Kernel), []overlay.Entry{m.OneInitrd()}, strings.TrimSpace(m.Arguments+" "+args))
	}
	if err != nil {
		return err
	}
	s.server.publish(m)
	s.machine.NetBoot = "http://" + s.server.guestHost() + "/" + scriptName
	s.note("%s boots over the network, with these kernel arguments added: %s", s.options.Image, args)
	return nil
}
