package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestStragglersSpareANumberGivenAnew(t *testing.T) {
	res, err := Run(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", "exit 0"}})
	if err != nil || res.Left != 0 {
		t.Errorf("left %d, %v", res.Left, err)
	}
	res, err = Run(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", "sleep 60 >/dev/null 2>&1 & echo $!"}})
	if err != nil || res.Left == 0 {
		t.Fatalf("left %d, %v", res.Left, err)
	}
	var child int
	fmt.Sscan(string(res.Stdout), &child)
	// A group with a living first process is not the one that was left.
	other := exec.Command("/bin/sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	testkit.Must(t, other.Start())
	t.Cleanup(func() {
		other.Process.Kill()
		other.Wait()
	})
	list := Stragglers{res.Left, other.Process.Pid}
	list.Kill()
	testkit.WaitFor(t, func() bool { return !testkit.Alive(child) })
	if len(list) != 0 || !testkit.Alive(other.Process.Pid) {
		t.Errorf("list %v, the other group lives: %v", list, testkit.Alive(other.Process.Pid))
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a/data": 0o644, "a/dir/x": 0o644, "b/data": 0o755, "b/dir": 0o755} {
		p := filepath.Join(dir, name)
		testkit.Must(t, errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, nil, mode)))
	}
	path := dir + "/a:" + dir + "/b"
	for name, want := range map[string]string{"data": "/b/data", "dir": "/b/dir", "none": ""} {
		got, err := Find(name, path)
		if want == "" && !errors.Is(err, exec.ErrNotFound) || want != "" && got != dir+want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
