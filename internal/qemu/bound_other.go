//go:build !linux && !freebsd

package qemu

import "os/exec"

// dieTogether does nothing: the system has no such thing. A program ends with every end of mkbuild that
// mkbuild sees, but outlives a mkbuild that is killed by SIGKILL.
func dieTogether(*exec.Cmd) {}
