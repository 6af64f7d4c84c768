package mkclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxOutput  = 8 << 20         // bytes kept of each stream of a program
	pipeLinger = 2 * time.Second // how long a child that stays behind may hold the pipes open
)

// command is one program to run: an absolute path, its arguments, all of its environment.
type command struct {
	Path string
	Args []string
	Env  []string
	Dir  string
}

// result is what a program left behind.
type result struct {
	Stdout, Stderr []byte
	Code           int
	Left           int // process group in which something still runs; 0: nothing does
}

// errTimeout says that a program ran into its wall limit and was killed with its children.
var errTimeout = errors.New("ran too long and was killed")

// runGroup runs a program in a process group of its own, with stdin closed to it, and kills
// the whole group when ctx ends. A non-zero exit status is no error: the caller judges it. A
// background child that keeps the pipes open delays the result by pipeLinger, no more; it
// lives on, as it would for Facter itself, and the result names its group.
func runGroup(ctx context.Context, c command) (result, error) {
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
	res := result{Stdout: out.take(), Stderr: errs.take()}
	if cmd.ProcessState != nil {
		res.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case killed.Load() && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return res, fmt.Errorf("%s %w", c.Path, errTimeout)
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

// stragglers are the process groups that facts left running.
type stragglers []int

// note remembers what a program left behind.
func (s *stragglers) note(r result) {
	if r.Left != 0 {
		*s = append(*s, r.Left)
	}
}

// kill ends what still runs in these groups and forgets them. A group's number stays taken as
// long as it has members, and its first process is gone: when there is a process of that number,
// the group has ended and the number was given anew.
func (s *stragglers) kill() {
	for _, group := range *s {
		if errors.Is(syscall.Kill(group, 0), syscall.ESRCH) {
			_ = syscall.Kill(-group, syscall.SIGKILL) // ESRCH: all of it has ended by itself
		}
	}
	*s = nil
}

// capped keeps the first maxOutput bytes and swallows the rest, so that a program that prints
// for ever is bounded by its wall limit and not by the memory.
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

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if len(line) > 200 {
		line = line[:200]
	}
	return line
}
