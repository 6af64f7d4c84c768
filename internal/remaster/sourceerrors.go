package remaster

import (
	"fmt"
	"strings"

	"mkbuild/internal/tcz"
)

// ReleaseError says that no mirror has the wanted release, and which ones it does have.
type ReleaseError struct {
	Release, ISO string
	Known        []string // oldest first
	// Series are the major versions of the mirrors, "4.x", if they have nothing of the wanted one.
	Series []string
	Err    error
}

func (e *ReleaseError) Error() string {
	return fmt.Sprintf("find release %s: no mirror has %s: %v", e.Release, e.ISO, e.Err)
}

func (e *ReleaseError) Unwrap() error { return e.Err }

// Hint names the releases that are there.
func (e *ReleaseError) Hint() string {
	switch {
	case len(e.Known) > 0:
		return "the mirror has " + strings.Join(e.Known, ", ") + ": try --release " + e.Known[len(e.Known)-1]
	case len(e.Series) > 0:
		return "the mirror has releases of " + strings.Join(e.Series, ", ") + ": look into the folders release/ and archive/ of one for a version, then --release VERSION"
	}
	return "the mirrors could not be listed; look at their release/ and archive/ folders for a version, then --release VERSION"
}

// NoDigestError says that a release is there, but not the file with its digest.
type NoDigestError struct {
	ISO string
	Dir string // where the ISO is
	Err error
}

func (e *NoDigestError) Error() string {
	return fmt.Sprintf("check %s of %s: %s.md5.txt is missing beside it", e.ISO, e.Dir, e.ISO)
}

func (e *NoDigestError) Unwrap() error { return e.Err }

// Hint says how to get one.
func (e *NoDigestError) Hint() string {
	return "add a mirror that has it with --mirror URL, or, on a mirror of your own, make it: md5sum " + e.ISO + " >" + e.ISO + ".md5.txt"
}

// ForbiddenError says that a server keeps the .dep of an extension to itself.
type ForbiddenError struct {
	File string // the extension
	Err  error
}

func (e *ForbiddenError) Error() string { return e.Err.Error() }

func (e *ForbiddenError) Unwrap() error { return e.Err }

// Hint says what the answer may mean.
func (e *ForbiddenError) Hint() string {
	return "some servers forbid what does not exist, so it cannot be told whether " + e.File + " depends on others: name another mirror with --mirror URL, or, on a mirror of your own, put an empty " + e.File + ".dep beside it"
}

// DependencyError says that an extension does not exist on the mirror, and who asked for it.
type DependencyError struct {
	File  string
	Chain []string // from the extension in the configuration to the one that asked; may be empty
	// Nowhere says that there is no trace of it; else its digest is there and it is not.
	Nowhere bool
	Err     error
}

func (e *DependencyError) Error() string {
	return fmt.Sprintf("resolve %s%s: %v", e.File, e.asked(), e.Err)
}

// asked renders the chain as a remark.
func (e *DependencyError) asked() string {
	if len(e.Chain) == 0 {
		return ""
	}
	return " (asked for by " + strings.Join(e.Chain, " → ") + ")"
}

func (e *DependencyError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *DependencyError) Hint() string {
	listed := e.File
	if len(e.Chain) > 0 {
		listed = e.Chain[0]
	}
	hint := "take " + tcz.Base(listed) + " out of `extensions` in mkbuild.yaml, or add a mirror that has " + e.File
	if e.Nowhere && len(e.Chain) > 0 {
		hint += "; or, if it is known to exist nowhere, list " + tcz.Base(e.File) + " under `missing`"
	}
	return hint
}
