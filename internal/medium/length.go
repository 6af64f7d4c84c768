package medium

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"mkbuild/internal/fail"
)

const (
	// maxISOLINUX is the longest line of arguments, initrd= included, that ISOLINUX 3.82 and 4.05 took in our
	// tests: with 2011 bytes they hang before their prompt.
	maxISOLINUX = 1951
	// maxKernel is the limit of a kernel that does not name one: COMMAND_LINE_SIZE of x86 without its NUL.
	maxKernel = 2047
	// maxDevice is room for the device that GRUB puts in front of a kernel's path.
	maxDevice = 16
)

// TooLong lists entries whose kernel command line, with the loader's additions, is too long for their boot
// loader or kernel.
func TooLong(m *Medium) []Doubt {
	limits := map[string]int{}
	var out []Doubt
	for _, e := range m.Entries {
		args, whole := e.commandLine()
		limit, known := limits[e.Kernel]
		if !known {
			limit = kernelLimit(m, e.Kernel)
			limits[e.Kernel] = limit
		}
		what := ""
		switch {
		case (e.Loader == "isolinux" || e.Loader == "pxelinux") && args > maxISOLINUX:
			what = fmt.Sprintf("%d bytes of kernel arguments, including the names of its initrds; %s takes %d", args, strings.ToUpper(e.Loader), maxISOLINUX)
		case whole > limit:
			what = fmt.Sprintf("a kernel command line of %d bytes; its kernel takes %d", whole, limit)
		default:
			continue
		}
		out = append(out, Doubt{e.Menu, e.Line, e.title() + " has " + what})
	}
	return out
}

// commandLine returns the length of the arguments that the loader reads, and of the line that it makes.
func (e *Entry) commandLine() (args, whole int) {
	args = len(e.Append)
	list := " initrd=" + strings.Join(e.Initrds, ",")
	switch has := strings.Contains(e.Append, "initrd="); e.Loader {
	case "isolinux", "pxelinux":
		if !has && len(e.Initrds) > 0 {
			args += len(list)
		}
		return args, args + len("BOOT_IMAGE= ") + len(e.Kernel)
	case "grub":
		return args, args + len("BOOT_IMAGE= ") + len(e.Kernel) + maxDevice
	case "systemd-boot":
		return args, args + len(list) + len(e.Initrds)*len("initrd=")
	}
	return args, args
}

// kernelLimit reads the limit of a kernel's command line: cmdline_size, since version 2.06 of the boot protocol
// (Documentation/x86/boot.rst).
func kernelLimit(m *Medium, name string) int {
	file := m.find("", name)
	if file == "" {
		return maxKernel
	}
	r, err := m.Open(file)
	if err != nil {
		return maxKernel
	}
	defer r.Close() //nolint:errcheck // only read
	head := make([]byte, 0x23c)
	if _, err := io.ReadFull(r, head); err != nil || string(head[0x202:0x206]) != "HdrS" || binary.LittleEndian.Uint16(head[0x206:]) < 0x206 {
		return maxKernel
	}
	if n := binary.LittleEndian.Uint32(head[0x238:]); n > 0 && n < maxKernel {
		return int(n)
	}
	return maxKernel
}

// checkLength refuses a medium with an entry that is too long.
func checkLength(m *Medium) error {
	long := TooLong(m)
	if len(long) == 0 {
		return nil
	}
	next := "shorten them; "
	if len(m.Initrds) > 10 {
		next = "build the folder with --layout whole, or the image with `initrd: {layout: merged}`, or shorten them; "
	}
	return fail.New(fail.Usage, "kernel arguments: "+long[0].String(),
		next+"settings of mk-client need no kernel arguments: `client: settings` in mkbuild.yaml, or mkbuild customize --client-setting KEY=VALUE")
}
