//go:build !linux && !freebsd

package qemu

import "os/exec"

// dieTogether does nothing: the system cannot do it. A program outlives mkbuild only if mkbuild is killed by
// SIGKILL.
func dieTogether(*exec.Cmd) {}
