package main

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"mkbuild/internal/fail"
)

// hint is the error's own, or the one of its class.
func (r reporter) hint(err error) string {
	if h := fail.HintOf(err); h != "" {
		return h
	}
	if h := r.causeHint(err); h != "" {
		return h
	}
	return r.codeHint(exitCode(err))
}

// causeHint returns what helps against a cause that errors of many kinds have; empty for others.
// Commands that build are told of flags that only they have.
func (r reporter) causeHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return r.choose("free some space, or choose other places with -o FILE and --cache-dir DIR", "free some space: `df` shows where there is any")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		look := "`ls -ld` shows whose the file is that is named"
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			look = "`ls -ld " + at.Path + "` shows whose it is"
		}
		return r.choose(look+"; -o FILE and --cache-dir DIR choose places to write to", look)
	case errors.Is(err, syscall.ENOTDIR):
		return "name a folder: a file is in its place"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "allow more open files: `ulimit -n 4096`, then run the command again"
	case errors.Is(err, fs.ErrNotExist) && exitCode(err) == exitUnexpected:
		return "check the spelling of the file that is named"
	}
	return ""
}

// codeHint returns what helps against all errors of one exit code.
func (r reporter) codeHint(code int) string {
	switch code {
	case exitVerify:
		return r.choose("the file is not what it should be: try another mirror with --mirror URL, or look at the file", makeAgain)
	case exitNetwork:
		return r.choose("check the network, or add a mirror with --mirror URL", "check the network, then run the command again")
	case exitUsage:
		return "`" + strings.TrimSpace("mkbuild help "+r.command) + "` explains the command"
	}
	return r.choose("run the command again with --progress plain, and report what it prints if it stays",
		"run the command again, and report what it prints if it stays")
}

const makeAgain = "the file is not what it should be: look at it, or make it again: `mkbuild iso` makes images"

func (r reporter) choose(builds, other string) string {
	if r.builds {
		return builds
	}
	return other
}
