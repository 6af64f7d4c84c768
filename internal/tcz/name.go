// Package tcz models Tiny Core extensions: their names, the small files that a mirror keeps
// beside each (.dep, .md5.txt), the order in which stock Tiny Core loads them, and their content
// as an [overlay.Tree].
//
// The package fetches nothing and merges nothing: callers give it bytes and decide what wins.
// What it relies on about Tiny Core is written down in docs/tiny-core.md.
package tcz

import (
	"errors"
	"fmt"
	"strings"
)

// ErrName says that a text cannot be the name of an extension.
var ErrName = errors.New("bad extension name")

// Suffix ends the file name of every extension.
const Suffix = ".tcz"

// kernelSuffix ends the name of an extension that exists once for each kernel.
const kernelSuffix = "-KERNEL" + Suffix

// maxName is NAME_MAX less the longest ending that a mirror puts behind it, ".md5.txt".
const maxName = 255 - len(".md5.txt")

// FileName returns the file name of an extension as a mirror has it. The name may lack ".tcz",
// and "-KERNEL" at its end stands for "-" and the kernel's release (uname -r), as in Tiny Core's
// own tce-load: "scsi-KERNEL" with kernel "3.0.21-tinycore" is "scsi-3.0.21-tinycore.tcz". Names
// come from mirrors, too, and become parts of paths and URLs: what no real name contains is
// refused with [ErrName].
func FileName(name, kernel string) (string, error) {
	file := strings.TrimSuffix(name, Suffix) + Suffix
	if base, ok := strings.CutSuffix(file, kernelSuffix); ok {
		if kernel == "" {
			return "", fmt.Errorf("%w: %q needs the kernel's release, which is not known", ErrName, name)
		}
		file = base + "-" + kernel + Suffix
	}
	if err := checkName(file); err != nil {
		return "", fmt.Errorf("%w: %.80q %w", ErrName, name, err)
	}
	return file, nil
}

func checkName(file string) error {
	switch {
	case file == Suffix:
		return errors.New("is empty")
	case len(file) > maxName:
		return fmt.Errorf("has %d bytes, the limit is %d", len(file), maxName)
	case file[0] == '-' || file[0] == '.':
		return fmt.Errorf("starts with %q", file[0])
	case strings.Contains(file, ".."):
		return errors.New(`contains ".."`)
	}
	for i := range len(file) {
		if !nameByte(file[i]) {
			return fmt.Errorf("contains %q", file[i])
		}
	}
	return nil
}

// nameByte reports whether c occurs in extension names: letters, digits and + _ - . in real
// ones, and a few more that neither a shell, a URL nor a path treats specially.
func nameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("+_-.@,", c) >= 0
}

// Base returns an extension's name without ".tcz": what Tiny Core calls it once it is loaded.
func Base(file string) string { return strings.TrimSuffix(file, Suffix) }
