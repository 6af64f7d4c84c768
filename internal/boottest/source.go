package boottest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"mkbuild/internal/medium"
	"mkbuild/internal/tcz"
)

// scriptName is the iPXE script of a folder for PXE, and of the server.
const scriptName = "boot.ipxe"

// source is what an image offers to boot.
type source struct {
	format        string // "iso" or "pxe"
	kernelRelease string // empty when it is not known
	args          string // the image's own kernel arguments
	// script makes the iPXE script, with further kernel arguments.
	script func(args string) (string, error)
	// open opens a file that the script names.
	open  func(name string) (io.ReadCloser, error)
	close func()
}

func openSource(name string) (*source, error) {
	folder, err := isFolder(name)
	if err != nil {
		return nil, err
	}
	if folder {
		return openFolder(name)
	}
	return openISO(name)
}

// openISO looks into an ISO. One without a kernel and an initrd in its menu can only be booted as
// it is: what it then does is what the test is for.
func openISO(name string) (*source, error) {
	m, err := medium.OpenISO(name)
	if errors.Is(err, medium.ErrNoMenu) {
		none := func(string) (string, error) { return "", err }
		return &source{format: "iso", script: none, close: func() {}}, nil
	}
	if err != nil {
		return nil, err
	}
	release, err := m.KernelRelease()
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &source{
		format: "iso", kernelRelease: release, args: m.Arguments,
		script: func(args string) (string, error) { return script(strings.TrimSpace(m.Arguments + " " + args)), nil },
		open: func(name string) (io.ReadCloser, error) {
			switch name {
			case "vmlinuz":
				return m.Open(m.Kernel)
			case "initrd":
				return m.Segments().Open()
			}
			return nil, os.ErrNotExist
		},
		close: func() { m.Close() }, //nolint:errcheck,gosec // only read
	}, nil
}

// script boots what the server has under the names of openISO.
func script(args string) string {
	return fmt.Sprintf("#!ipxe\ninitrd --name initrd initrd\nkernel vmlinuz initrd=initrd %s\nboot\n", args)
}

// maxScript bounds a folder's boot.ipxe, in bytes.
const maxScript = 1 << 20

// openFolder looks into a folder for PXE. Its files are read through an os.Root: a script that
// names others gets none.
func openFolder(name string) (*source, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	f, err := root.Open(scriptName)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxScript))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	s := &source{
		format: "pxe", close: func() { root.Close() }, //nolint:errcheck,gosec // only read
		open: func(n string) (io.ReadCloser, error) { return root.Open(n) },
	}
	kernel, args := kernelLine(string(text))
	if kernel == "" {
		return nil, errors.Join(&ImageError{name, scriptName + " has no kernel line", "make the folder again with mkbuild iso --format pxe"}, root.Close())
	}
	s.args, s.kernelRelease = args, releaseOf(root, kernel)
	s.script = func(args string) (string, error) { return withArguments(string(text), args), nil }
	return s, nil
}

// releaseOf reads the kernel's name; empty when the kernel is none, which booting it will show.
func releaseOf(root *os.Root, kernel string) string {
	f, err := root.Open(path.Base(kernel))
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	release, _ := tcz.KernelRelease(f)
	return release
}

// kernelLine returns the file and the arguments of a script's first kernel line.
func kernelLine(text string) (kernel, args string) {
	for _, l := range strings.Split(text, "\n") {
		command, _ := cutCommand(l)
		words := strings.Fields(command)
		if len(words) < 2 || words[0] != "kernel" {
			continue
		}
		rest := words[1:]
		for len(rest) > 1 && strings.HasPrefix(rest[0], "-") { // --name NAME, --timeout N
			rest = rest[2:]
		}
		if len(rest) > 0 {
			return rest[0], strings.Join(rest[1:], " ")
		}
	}
	return "", ""
}

// cutCommand cuts a line of a script before what iPXE runs next: "|| goto failed".
func cutCommand(line string) (command, rest string) {
	line = strings.TrimRight(line, "\r")
	end := len(line)
	for _, sep := range []string{" ||", " &&"} {
		if i := strings.Index(line, sep); i >= 0 {
			end = min(end, i)
		}
	}
	return line[:end], line[end:]
}

// withArguments adds arguments to every kernel line of a script.
func withArguments(text, args string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		command, rest := cutCommand(l)
		if words := strings.Fields(command); len(words) > 1 && words[0] == "kernel" && args != "" {
			lines[i] = command + " " + args + rest
		}
	}
	return strings.Join(lines, "\n")
}
