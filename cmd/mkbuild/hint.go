package main

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"mkbuild/internal/fail"
)

// hint returns the hint of the error, of its cause or of its class.
func (r reporter) hint(err error) string {
	if h := fail.HintOf(err); h != "" {
		return h
	}
	if h := r.causeHint(err); h != "" {
		return h
	}
	return r.codeHint(exitCode(err))
}

// causeHint returns the hint for causes that many errors share, else "". Flags that only builds have are named to
// builds only.
func (r reporter) causeHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return r.choose("free some space, or choose other places with -o FILE and --cache-dir DIR", "free some space: `df` shows which disk is full")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		look := "`ls -ld FILE` shows who owns it"
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			look = "`ls -ld " + at.Path + "` shows who owns it"
		}
		return r.choose(look+"; -o FILE and --cache-dir DIR choose places to write to", look)
	case errors.Is(err, syscall.ENOTDIR):
		return "a part of the path is a file, not a folder: choose another path"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "allow more open files: `ulimit -n 4096`, then run the command again"
	case errors.Is(err, fs.ErrNotExist) && exitCode(err) == exitUnexpected:
		return "check the spelling of the file name"
	}
	return ""
}

// codeHint returns the hint for the errors of one exit code.
func (r reporter) codeHint(code int) string {
	switch code {
	case exitVerify:
		return r.choose("the file is damaged or not the expected one: try another mirror with --mirror URL, or look at the file", makeAgain)
	case exitNetwork:
		return r.choose("check the network, or add a mirror with --mirror URL", "check the network, then run the command again")
	case exitUsage:
		return "`" + strings.TrimSpace("mkbuild help "+r.command) + "` explains the command"
	}
	return r.choose("run the command again with --progress plain; if it fails again, report what it prints",
		"run the command again; if it fails again, report what it prints")
}

const makeAgain = "the file is damaged or not the expected one: look at it, or make it again: `mkbuild iso` makes images"

func (r reporter) choose(builds, other string) string {
	if r.builds {
		return builds
	}
	return other
}
