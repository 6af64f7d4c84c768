// Package tcz models Tiny Core extensions: their names, the small files that a mirror keeps next to
// each (.dep, .md5.txt, .info), the order in which stock Tiny Core loads them, and their content as
// an [overlay.Tree]. It also knows which series of releases there are ([AllSeries]).
//
// The package fetches nothing and merges nothing: callers give it bytes and decide what wins.
// docs/tiny-core.md says what it relies on. Start reading at [FileName] and [Closure].
package tcz

import (
	"fmt"
	"regexp"
	"strings"

	"mkbuild/internal/fail"
)

// ErrName is returned for a text that cannot be the name of an extension.
var ErrName = fail.New(fail.Verification, "bad extension name", "")

// Suffix ends the file name of every extension.
const Suffix = ".tcz"

// maxName is NAME_MAX less the longest suffix that a mirror adds, ".md5.txt".
const maxName = 255 - len(".md5.txt")

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_+@,][A-Za-z0-9_+.@,-]*$`)

// FileName returns the file name of an extension as a mirror has it. The name may lack ".tcz".
// "-KERNEL" at its end stands for "-" and the kernel's release (uname -r), as in Tiny Core's
// own tce-load: "scsi-KERNEL" with kernel "3.0.21-tinycore" is "scsi-3.0.21-tinycore.tcz". Names
// also come from mirrors, and become parts of paths and URLs: it fails with [ErrName] on
// characters that no real name has.
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

// isName reports whether a text may be a file name: letters, digits and + _ - . as real ones have, and
// @ and a comma, which neither a shell, a URL nor a path treats specially.
func isName(file string) bool {
	return len(file) <= maxName && nameForm.MatchString(file) && !strings.Contains(file, "..")
}

// Base returns an extension's name without ".tcz": what Tiny Core calls it once it is loaded.
func Base(file string) string { return strings.TrimSuffix(file, Suffix) }
