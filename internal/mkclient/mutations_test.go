package mkclient

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests in this file and its neighbour watch properties that a small slip would lose
// without any other test noticing.

// readPID waits for a program to write its number.
func readPID(t *testing.T, file string) (pid int) {
	t.Helper()
	waitFor(t, func() bool {
		b, _ := os.ReadFile(file)
		n, _ := fmt.Sscanf(string(b), "%d\n", &pid)
		return n == 1
	})
	return pid
}

// alive reports whether a process runs; one that waits to be reaped does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// TestChildrenOfFactsDoNotPileUp leaves one child in the background in every cycle, and one that
// has become a daemon.
func TestChildrenOfFactsDoNotPileUp(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	dir := m.write("pids/.keep", "")
	dir = filepath.Dir(dir)
	script := "#!/bin/sh\nsleep 60 >/dev/null 2>&1 &\necho $! > " + dir + "/$$\necho ext_x=1\n"
	daemon := "#!/bin/sh\n[ -f " + dir + "/daemon ] || setsid sh -c 'echo $$ > " + dir + "/daemon; exec sleep 60' >/dev/null 2>&1 &\necho ext_d=1\n"
	srv.publish(pack(t, member{"facts.d/x", script, 0o755}, member{"facts.d/d", daemon, 0o755}), t0)
	m.cycle(srv)
	demon := readPID(t, filepath.Join(dir, "daemon"))
	t.Cleanup(func() { syscall.Kill(demon, syscall.SIGKILL) })
	for range 3 {
		m.cycle(srv)
	}
	waitFor(t, func() bool { // only the last one's is left
		running := 0
		files, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
		for _, f := range files {
			if alive(readPID(t, f)) {
				running++
			}
		}
		return running == 1
	})
	if !alive(demon) {
		t.Error("the daemon was killed too")
	}
	m.facter.left.kill()
}

func TestStragglersSpareANumberGivenAnew(t *testing.T) {
	t.Parallel()
	res, err := runGroup(t.Context(), command{Path: "/bin/sh", Args: []string{"-c", "exit 0"}})
	if err != nil || res.Left != 0 {
		t.Errorf("left %d, %v", res.Left, err)
	}
	res, err = runGroup(t.Context(), command{Path: "/bin/sh", Args: []string{"-c", "sleep 60 >/dev/null 2>&1 & echo $!"}})
	if err != nil || res.Left == 0 {
		t.Fatalf("left %d, %v", res.Left, err)
	}
	var child int
	fmt.Sscan(string(res.Stdout), &child)
	// A group whose first process lives is not the one that was left.
	other := startSleeper(t)
	list := stragglers{res.Left, other}
	list.kill()
	waitFor(t, func() bool { return !alive(child) })
	if len(list) != 0 || !alive(other) {
		t.Errorf("list %v, the other group lives: %v", list, alive(other))
	}
}

// startSleeper starts a process that leads a group of its own.
func startSleeper(t *testing.T) int {
	t.Helper()
	attr := &os.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: true}}
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, attr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Wait()
	})
	return p.Pid
}

// TestHangLeavesNoProcess kills the whole group of a Facter that hangs, not its first process.
func TestHangLeavesNoProcess(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	pidFile := filepath.Join(m.base, "pid")
	m.program("facter", "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\nsleep 60 &\necho $! > "+pidFile+"\nwait")
	m.set.FactTimeout = 1500 * time.Millisecond
	start := time.Now()
	m.cycle(srv)
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %s", d)
	}
	pid := readPID(t, pidFile)
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	waitFor(t, func() bool { return !alive(pid) })
}
