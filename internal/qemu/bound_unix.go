//go:build linux || freebsd

package qemu

import (
	"os/exec"
	"syscall"
)

// dieTogether lets the kernel kill a program when this process ends, even by SIGKILL.
func dieTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
