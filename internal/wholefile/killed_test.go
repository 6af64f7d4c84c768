package wholefile

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// childMode makes the test binary a process that holds a file until it is killed.
const childMode = "MKBUILD_TEST_HOLD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		hang(mode, os.Args[1])
	}
	os.Exit(m.Run())
}

// hang opens a file in one of three ways, reports it, and waits.
func hang(mode, name string) {
	f, err := openAs(mode, beside(name))
	if err == nil {
		_, err = io.WriteString(f, "half")
	}
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	io.Copy(io.Discard, os.Stdin)
}

// openAs opens a file without a name, with a name, or with a temporary name for replacing another file.
func openAs(mode string, p place) (*File, error) {
	if mode == "named" {
		f, err := p.named()
		if err != nil {
			return nil, err
		}
		return &File{File: f, place: p, path: f.Name()}, nil
	}
	f, err := anonymous(p)
	if err != nil {
		return nil, err
	}
	out := &File{File: f, place: p}
	if mode == "linked" {
		out.path, err = linked(p, f)
	}
	return out, err
}

func modes(t *testing.T) []string {
	f, err := anonymous(beside(filepath.Join(t.TempDir(), "x")))
	if errors.Is(err, errors.ErrUnsupported) || err != nil && runtime.GOOS != "linux" {
		return []string{"named"}
	}
	if err != nil {
		t.Logf("this file system has no files without a name: %v", err)
		return []string{"named"}
	}
	f.Close()
	return []string{"anonymous", "named", "linked"}
}

// start runs a process that holds an unfinished file for name.
func start(t *testing.T, mode, name string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := exec.Command(self, name)
	c.Env = append(os.Environ(), childMode+"="+mode)
	stdin, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() { stdin.Close(); c.Process.Kill(); c.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return c
}

// TestKilled: an unfinished file of a living process stays. A killed process's file is gone, at the latest when the
// next process starts to write the same file.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name := filepath.Join(dir, "out")
			child := start(t, mode, name)
			before := names(t, dir)
			if (before == "") != (mode == "anonymous") {
				t.Errorf("under way: %q", before)
			}
			must(t, Write(name, text("whole")))
			if got := strings.TrimSpace(before + " out"); names(t, dir) != got {
				t.Errorf("a living process lost its file: %q, want %q", names(t, dir), got)
			}
			must(t, child.Process.Kill())
			child.Wait()
			must(t, Write(name, text("again")))
			if got := names(t, dir); got != "out" {
				t.Errorf("left: %q", got)
			}
		})
	}
}

// TestEveryWay: a file appears completely in each of the three ways, and through the copy for sandboxes.
func TestEveryWay(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		for _, old := range []string{"", "old"} {
			for _, copied := range []bool{false, true} {
				dir := t.TempDir()
				name := filepath.Join(dir, "out")
				if old != "" {
					must(t, os.WriteFile(name, []byte(old), 0o600))
				}
				f, err := openAs(mode, beside(name))
				must(t, err)
				io.WriteString(f, "whole")
				if copied && mode == "anonymous" {
					must(t, f.copied())
				}
				if err := f.CommitAs(name, true); err != nil {
					t.Errorf("%s: %v", mode, err)
				}
				b := make([]byte, 6)
				if _, err := f.ReadAt(b, 0); string(b) != "whole\x00" && runtime.GOOS != "windows" {
					t.Errorf("%s: open for reading it has %q, %v", mode, b, err)
				}
				f.Close()
				b, err = os.ReadFile(name)
				if st, serr := os.Stat(name); serr != nil || st.Mode() != 0o644 || string(b) != "whole" || names(t, dir) != "out" {
					t.Errorf("%s: %q, %v, %v, left %q", mode, b, err, serr, names(t, dir))
				}
			}
		}
	}
}

// TestSweepKeepsWhatIsNotOurs: only plain files with the names of waiting files are removed.
func TestSweepKeepsWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := []string{".out.tmp-", ".out.tmp-1a", ".out.tmp-1.iso", ".out2.tmp-1", "out.tmp-1", ".mkbuild-tmp-x", ".tmp-34x"}
	for _, n := range append(kept, ".out.tmp-12", ".mkbuild-tmp-34") {
		must(t, os.WriteFile(filepath.Join(dir, n), nil, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, ".out.tmp-5"), 0o755))
	must(t, os.Symlink("elsewhere", filepath.Join(dir, ".out.tmp-6")))
	if runtime.GOOS == "windows" { // no locks: age decides
		for _, n := range []string{".out.tmp-12", ".mkbuild-tmp-34"} {
			os.Chtimes(filepath.Join(dir, n), time.Unix(1e9, 0), time.Unix(1e9, 0))
		}
	}
	must(t, Write(filepath.Join(dir, "out"), text("x")))
	if swept := Sweep(dir); len(swept) != 1 || filepath.Base(swept[0]) != ".mkbuild-tmp-34" {
		t.Errorf("swept: %q", swept)
	}
	got := " " + names(t, dir) + " "
	for _, n := range append(kept, "out", ".out.tmp-5", ".out.tmp-6") {
		if !strings.Contains(got, " "+n+" ") {
			t.Errorf("%s is gone", n)
		}
	}
	if strings.Contains(got, ".out.tmp-12 ") || strings.Contains(got, ".mkbuild-tmp-34 ") {
		t.Errorf("left: %s", got)
	}
}

// TestOwnFilesAreNotSwept: one process does not sweep its own unfinished files.
func TestOwnFilesAreNotSwept(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "out")
	f, err := beside(name).named()
	must(t, err)
	defer f.Close()
	must(t, Write(name, text("x")))
	if !holds(f) {
		t.Error("it was swept")
	}
}

func TestNewTemp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := NewTempIn(dir)
	must(t, err)
	io.WriteString(f, "scratch")
	b := make([]byte, 7)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "scratch" {
		t.Errorf("%q, %v", b, err)
	}
	if got := names(t, dir); got != "" && runtime.GOOS != "windows" {
		t.Errorf("it can be seen: %q", got)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got := names(t, dir); got != "" {
		t.Errorf("left: %q", got)
	}
	if _, err := NewTempIn(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there")
	}
}
