package remaster

import (
	"fmt"
	"io"
	"os"
	"strings"

	"mkbuild/internal/iso9660"
)

// BootFiles are what a network boot needs of an image: read from the ISO as they are asked for.
type BootFiles struct {
	Kernel, Initrd func() (io.ReadCloser, error)
	// KernelRelease is the kernel's own name, "3.0.21-tinycore".
	KernelRelease string
	// Append are the default label's kernel arguments, without initrd=.
	Append string
	file   *os.File
}

// Close releases the ISO.
func (b *BootFiles) Close() error { return b.file.Close() }

// OpenBootFiles finds the kernel and the initrd that an ISO boots by default.
func OpenBootFiles(name string) (_ *BootFiles, err error) {
	defer recovered(name, &err)
	f, err := os.Open(name) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close() //nolint:errcheck,gosec // only read
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	img, err := iso9660.Open(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	b := &base{image: img, name: name}
	if err := b.findBoot(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	uname, err := b.kernelRelease()
	if err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", b.kernel, name, err)
	}
	kernel := func() (io.ReadCloser, error) { return b.open(b.kernel) }
	return &BootFiles{kernel, b.openInitrds, uname, withoutInitrd(b.append), f}, nil
}

// withoutInitrd drops what isolinux itself takes out of the arguments.
func withoutInitrd(args string) string {
	var out []string
	for _, a := range strings.Fields(args) {
		if !strings.HasPrefix(strings.ToLower(a), "initrd=") {
			out = append(out, a)
		}
	}
	return strings.Join(out, " ")
}
