// Package program runs other programs of a microkernel: with an environment of their own, in a process
// group that is killed when their time is over, and with bounded output. Start reading at [Run].
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
	pipeLinger = 2 * time.Second // how long a child that stays behind may hold the pipes open
)

// BasePath is where the client looks for the programs that it runs itself. It is fixed, so
// that no extension can put another facter, lshw or reboot in its way.
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

// IsExecutable reports whether p is a file that can be run.
func IsExecutable(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// BaseEnv is the environment of programs that the client runs for itself.
func BaseEnv(path string) []string {
	return []string{"PATH=" + path, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "TERM=linux", "LANG=C", "LC_ALL=C"}
}

// Command is one program to run: an absolute path, its arguments, all of its environment.
type Command struct {
	Path string
	Args []string
	Env  []string
	Dir  string
}

// Result is what a program left behind.
type Result struct {
	Stdout, Stderr []byte
	Code           int
	Left           int // process group in which something still runs; 0: nothing does
}

// ErrTimeout is returned if a program ran into its wall limit and was killed with its children.
var ErrTimeout = errors.New("ran too long and was killed")

// Run runs a program in a process group of its own, with stdin closed to it, and kills
// the whole group when ctx ends. A non-zero exit status is no error: the caller judges it. A
// background child that keeps the pipes open delays the result by pipeLinger, no more; it
// lives on, as it would for Facter itself, and the result names its group.
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

// Stragglers are the process groups that programs left running.
type Stragglers []int

// Kill ends what still runs in these groups and forgets them. A group's number stays taken as
// long as it has members, and its first process is gone: when there is a process of that number,
// the group has ended and the number was given anew.
func (s *Stragglers) Kill() {
	for _, group := range *s {
		if errors.Is(syscall.Kill(group, 0), syscall.ESRCH) {
			_ = syscall.Kill(-group, syscall.SIGKILL) // ESRCH: all of it has ended by itself
		}
	}
	*s = nil
}

// capped keeps the first maxOutput bytes and swallows the rest, so that endless output is
// bounded by its wall limit and not by the memory.
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

// take copies what was kept: after pipeLinger a straggler's bytes may still be on their way.
func (c *capped) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.buf.Bytes())
}

// Hint quotes the first line of what a program complained about, behind a colon.
func (r *Result) Hint() string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(r.Stderr), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return ": " + string(line[:min(len(line), 200)])
}
