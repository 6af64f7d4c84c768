package mkclient

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestGenerationsChurn publishes 20 extensions while a fact of an early one still runs: its
// directory stays as long as it does, all others but two are collected.
func TestGenerationsChurn(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	pidFile := filepath.Join(m.base, "pid")
	// In a session of its own it outlives the next collection, as a daemon would.
	slow := "#!/bin/sh\nsetsid sh -c 'echo $$ > " + pidFile + "; exec sleep 60' >/dev/null 2>&1 &\n" +
		"while [ ! -s " + pidFile + " ]; do sleep 0.01; done\necho ext_slow=1\n"
	srv.publish(pack(t, member{"facts.d/slow", slow, 0o755}), t0)
	m.cycle(srv)
	busy := m.generation()
	for i := range 20 {
		srv.publish(fact(t, "ext_x", fmt.Sprint(i)), t0.Add(time.Duration(i+1)*time.Second))
		if got := m.cycle(srv)["ext_x"]; got != fmt.Sprint(i) {
			t.Fatalf("generation %d: ext_x = %v", i, got)
		}
	}
	if _, err := os.Stat(filepath.Join(busy, "facts.d/slow")); err != nil {
		t.Errorf("the tree of a running fact is gone: %v", err)
	}
	if n := len(m.generations()); n != 3 {
		t.Errorf("%d generations, want the newest, the one before and the busy one", n)
	}
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	exec.Command("kill", string(pid[:len(pid)-1])).Run()
	for deadline := time.Now().Add(5 * time.Second); ; {
		m.cycle(srv)
		if len(m.generations()) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not collected: %v", m.generations())
		}
	}
}

func TestLeftoversOfAKilledClientAreCollected(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	m.write("ext/g-123/bin/x", "x")
	m.write("ext/download-55", "half")
	m.write("ext/.mk-client-9", "half")
	m.write("ext/state.json", "{broken")
	m.cycle(srv)
	entries, _ := os.ReadDir(m.opt.ExtensionRoot)
	if len(entries) != 2 { // state.json and lock
		t.Errorf("left: %v", entries)
	}
}

func TestForeignRootIsReplaced(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	target := filepath.Join(m.base, "target")
	os.Mkdir(target, 0o755)
	if err := os.Symlink(target, m.opt.ExtensionRoot); err != nil {
		t.Fatal(err)
	}
	srv.publish(fact(t, "ext_x", "1"), t0)
	if got := m.cycle(srv)["ext_x"]; got != "1" {
		t.Errorf("ext_x = %v", got)
	}
	if left, _ := os.ReadDir(target); len(left) != 0 {
		t.Errorf("written through a planted link: %v", left)
	}
	if fi, err := os.Lstat(m.opt.ExtensionRoot); err != nil || fi.Mode() != os.ModeDir|0o700 {
		t.Errorf("root is %v, %v", fi.Mode(), err)
	}
}
