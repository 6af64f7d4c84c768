package boottest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/medium"
	"mkbuild/internal/qemu"
)

// session is one boot, ready to start.
type session struct {
	Options
	format  string
	machine qemu.Machine
	server  *server // nil where nothing asks for one
	cleanup []func()
}

func (s *session) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
}

func (s *session) note(format string, args ...any) {
	if s.Note != nil {
		s.Note(fmt.Sprintf(format, args...))
	}
}

// prepare looks at the image and makes the machine for it.
func prepare(ctx context.Context, o Options) (_ *session, err error) {
	s := &session{Options: o}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	src, err := openSource(o.Image)
	if err != nil {
		return nil, err
	}
	s.cleanup = append(s.cleanup, src.close)
	if s.format, err = chooseFormat(o, src); err != nil {
		return nil, err
	}
	s.machine = qemu.Machine{Program: o.Program, MemoryMiB: o.MemoryMiB, Network: o.Network || o.CheckIn, Display: o.Display}
	if s.machine.Program == "" && strings.HasSuffix(src.kernelRelease, "64") {
		s.machine.Program = "qemu-system-x86_64"
	}
	if o.CheckIn || s.format == "pxe" {
		if s.server, err = serve(ctx, o.CheckIn); err != nil {
			return nil, err
		}
		s.cleanup = append(s.cleanup, s.server.close)
	}
	args := s.arguments(src.args)
	if slices.Contains(strings.Fields(src.args+" "+args), "nozswap") {
		s.machine.Harmless = []string{qemu.RuleNoModules}
	}
	if s.format == "pxe" {
		return s, s.fromNetwork(src, args)
	}
	return s, s.fromCD(ctx, args)
}

// chooseFormat settles which way to boot.
func chooseFormat(o Options, src *source) (string, error) {
	switch {
	case o.Format == "":
		return src.format, nil
	case o.Format != "iso" && o.Format != "pxe":
		return "", &ImageError{o.Image, fmt.Sprintf("format %q is not known", o.Format), "choose --format iso or pxe"}
	case o.Format == "iso" && src.format != "iso":
		return "", &ImageError{o.Image, "it is a folder for PXE, and no ISO", "leave --format out, or name an ISO"}
	}
	return o.Format, nil
}

// arguments are those that a boot needs beyond the image's own: a serial console, the user's, and
// the server's address. The client takes the last one of a name, so the server's wins.
func (s *session) arguments(own string) string {
	var args []string
	if !strings.Contains(own+" "+s.Append, "console=ttyS0") {
		args = append(args, "console=ttyS0")
	}
	args = append(args, strings.Fields(s.Append)...)
	if s.CheckIn {
		args = append(args, "razor.server="+s.server.guestHost(), "razor.skew=1")
	}
	return strings.Join(args, " ")
}

// fromCD boots the ISO itself, or a copy with further arguments.
func (s *session) fromCD(ctx context.Context, args string) error {
	s.machine.CDROM = s.Image
	if args == "" {
		return nil
	}
	f, err := os.CreateTemp("", "mkbuild-boot-*.iso")
	if err != nil {
		return err
	}
	s.cleanup = append(s.cleanup, func() { os.Remove(f.Name()) }) //nolint:errcheck,gosec // best effort
	err = errors.Join(medium.CopyWithArguments(ctx, f, s.Image, args), f.Close())
	if errors.Is(err, medium.ErrNoMenu) {
		s.note("%s has no isolinux.cfg: it boots as it is, without %s", s.Image, args)
		return nil
	}
	s.machine.CDROM = f.Name()
	s.note("%s boots as a temporary copy whose boot menu does not wait and also says: %s", s.Image, args)
	return err
}

// fromNetwork boots what the server hands out.
func (s *session) fromNetwork(src *source, args string) error {
	script, err := src.script(args)
	if err != nil {
		return err
	}
	s.server.publish(src, script)
	s.machine.NetBoot = "http://" + s.server.guestHost() + "/" + scriptName
	s.note("%s boots over the network, with the further kernel arguments: %s", s.Image, args)
	return nil
}

// absent turns a missing image into a usage error.
func absent(name string, err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return &ImageError{name, errors.Unwrap(err).Error(), "name an image: mkbuild iso makes one"}
	}
	return err
}

// isFolder reports whether name is a folder for PXE.
func isFolder(name string) (bool, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return false, absent(name, err)
	case info.Mode().IsRegular():
		return false, nil
	case !info.IsDir():
		return false, &ImageError{name, "it is not a file", "name an ISO, or a folder for PXE"}
	}
	if _, err := os.Stat(filepath.Join(name, scriptName)); err != nil {
		return false, &ImageError{name, "the folder has no " + scriptName, "name an ISO, or a folder that mkbuild iso --format pxe made"}
	}
	return true, nil
}
