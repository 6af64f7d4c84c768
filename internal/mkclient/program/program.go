// Package program runs other programs of a microkernel: with their own environment, in a process group that is
// killed at the time limit, and with bounded output. Start reading at [Run].
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxOutput  = 8 << 20         // bytes kept of each stream of a program
	pipeLinger = 2 * time.Second // how long a background child may hold the pipes open
)

// BasePath is the search path of programs that the client runs itself. It is fixed, so that no extension can
// replace facter, lshw or reboot.
const BasePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Find looks for an executable file on a path like [BasePath].
func Find(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if p := filepath.Join(dir, name); IsExecutable(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("find %s in %s: %w", name, path, exec.ErrNotFound)
}

// IsExecutable reports whether p is an executable file.
func IsExecutable(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// BaseEnv is the environment of the client's own programs.
func BaseEnv(path string) []string {
	return []string{"PATH=" + path, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "TERM=linux", "LANG=C", "LC_ALL=C"}
}

// Command is a program to run: an absolute path, its arguments, its whole environment.
type Command struct {
	Path string
	Args []string
	Env  []string
	Dir  string
}

// Result is the result of a program.
type Result struct {
	Stdout, Stderr []byte
	Code           int
	Left           int // process group with running processes; 0 without any
}

// ErrTimeout is returned if a program reached its time limit and was killed with its children.
var ErrTimeout = errors.New("ran too long and was killed")

// Run runs a program in its own process group, with stdin closed, and kills the whole group when ctx ends. A
// non-zero exit status is not an error: the caller judges it. A background child that keeps the pipes open delays
// the result by at most pipeLinger; it lives on, as it would for Facter itself, and the result names its group.
func Run(ctx context.Context, c Command) (Result, error) {
	var out, errs capped
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	if cmd.Env == nil {
		cmd.Env = []string{} // never inherit by accident
	}
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var killed atomic.Bool
	cmd.Cancel = func() error {
		killed.Store(true)
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = pipeLinger
	err := cmd.Run()
	res := Result{Stdout: out.take(), Stderr: errs.take()}
	if cmd.ProcessState != nil {
		res.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case killed.Load() && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return res, fmt.Errorf("%s %w", c.Path, ErrTimeout)
	case killed.Load():
		return res, ctx.Err()
	case err == nil, errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		if cmd.Process != nil && syscall.Kill(-cmd.Process.Pid, 0) == nil {
			res.Left = cmd.Process.Pid
		}
		return res, nil
	}
	return res, err
}

// Stragglers are process groups that programs left running.
type Stragglers []int

// Kill ends the processes in these groups and forgets them. A group keeps its number while it has members, and
// its first process is gone: a process of that number means that the group has ended and the number was reused.
func (s *Stragglers) Kill() {
	for _, group := range *s {
		if errors.Is(syscall.Kill(group, 0), syscall.ESRCH) {
			_ = syscall.Kill(-group, syscall.SIGKILL) // ESRCH: all of it has ended by itself
		}
	}
	*s = nil
}

// capped keeps the first maxOutput bytes and drops the rest: the time limit ends endless output.
type capped struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if room := maxOutput - c.buf.Len(); room > 0 {
		c.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// take copies the kept bytes: after pipeLinger a straggler may still write.
func (c *capped) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.buf.Bytes())
}

// Hint returns the first line of a program's complaints, after a colon.
func (r *Result) Hint() string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(r.Stderr), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return ": " + string(line[:min(len(line), 200)])
}
