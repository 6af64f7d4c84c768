// Package tcz models Tiny Core extensions: their names, the small files next to each on a mirror (.dep, .md5.txt,
// .info), the load order of stock Tiny Core, and their content as an [overlay.Tree]. It also lists the release
// series ([AllSeries]).
//
// The package fetches nothing and merges nothing: callers pass bytes and choose the winner. docs/tiny-core.md lists
// the facts that it relies on. Start reading at [FileName] and [Closure].
package tcz

import (
	"fmt"
	"regexp"
	"strings"

	"mkbuild/internal/fail"
)

// ErrName is returned for an invalid name of an extension.
var ErrName = fail.New(fail.Verification, "bad extension name", "")

// Suffix ends the file name of every extension.
const Suffix = ".tcz"

// maxName is NAME_MAX minus the longest suffix on a mirror, ".md5.txt".
const maxName = 255 - len(".md5.txt")

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_+@,][A-Za-z0-9_+.@,-]*$`)

// FileName returns the file name of an extension on a mirror. ".tcz" is optional in name. A final "-KERNEL" means
// "-" and the kernel's release (uname -r), as in Tiny Core's own tce-load: "scsi-KERNEL" with kernel
// "3.0.21-tinycore" is "scsi-3.0.21-tinycore.tcz". Names also come from mirrors and become parts of paths and URLs:
// FileName fails with [ErrName] on characters that no real name has.
func FileName(name, kernel string) (string, error) {
	file := strings.TrimSuffix(name, Suffix) + Suffix
	if base, ok := strings.CutSuffix(file, "-KERNEL"+Suffix); ok {
		if kernel == "" {
			return "", fmt.Errorf("%w: %q needs the kernel's release, which is not known", ErrName, name)
		}
		file = base + "-" + kernel + Suffix
	}
	if !isName(file) {
		return "", fmt.Errorf("%w: %.80q", ErrName, name)
	}
	return file, nil
}

// isName reports whether a text may be a file name: letters, digits and + _ - . as in real names, and @ and a
// comma, which are not special in a shell, a URL or a path.
func isName(file string) bool {
	return len(file) <= maxName && nameForm.MatchString(file) && !strings.Contains(file, "..")
}

// Base returns an extension's name without ".tcz": its name in Tiny Core after loading.
func Base(file string) string { return strings.TrimSuffix(file, Suffix) }
