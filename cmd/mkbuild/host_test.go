//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
)

// machine is a separate folder with a mirror, an image, and a place for temporary files.
type machine struct{ dir, config, image, tmp string }

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{dir, filepath.Join(dir, "mirror", "mkbuild.yaml"), filepath.Join(dir, "image.iso"), filepath.Join(dir, "tmp")}
	testkit.Must(t, os.Mkdir(m.tmp, 0o755))
	// Under nohup(1), tests ignore SIGHUP, and so would their children unless they catch it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	testkit.Must(t, tinymirror.Make(filepath.Join(dir, "mirror")))
	if out, err := m.command(t, "mkbuild", "iso", "--config", m.config, "-o", m.image).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return m
}

// command runs mkbuild as a separate process, possibly behind other programs.
func (m *machine) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	testkit.Must(t, err)
	link := filepath.Join(m.dir, "mkbuild") // the name makes it mkbuild, see TestMain
	if err := os.Symlink(self, link); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	c := exec.Command("env", args...)
	c.Dir, c.WaitDelay = m.dir, 5*time.Second // a surviving machine holds the streams
	c.Env = append(os.Environ(), "PATH="+m.dir+":"+os.Getenv("PATH"), cacheDirEnv+"="+filepath.Join(m.dir, "cache"), "TMPDIR="+m.tmp)
	return c
}

// start starts a command and ends it with the test.
func start(t *testing.T, c *exec.Cmd) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	testkit.Must(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return &out
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(testkit.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// emulatorOf returns the child process of pid that runs QEMU, or 0.
func emulatorOf(pid int) int {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range all {
		b, _ := os.ReadFile(name)
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(pid) && bytes.Contains(b, []byte("(qemu-system")) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			return child
		}
	}
	return 0
}

// hasEnded reports whether a process has ended, even if nobody has read its status.
func hasEnded(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// TestEmulatorDies: a real QEMU ends with mkbuild, whatever the reason, and the next mkbuild removes a killed one's
// remains in TMPDIR.
func TestEmulatorDies(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "qemu-system-i386")
	m := newMachine(t)
	paused := filepath.Join(m.dir, "paused") // a real QEMU that prints nothing
	put(t, paused, "#!/bin/sh\nexec qemu-system-i386 -S \"$@\"\n")
	testkit.Must(t, os.Chmod(paused, 0o755))
	commands := map[string][]string{
		"boot": {"mkbuild", "boot", m.image, "--qemu", paused},
		"test": {"mkbuild", "test", m.image, "--qemu", paused, "--timeout", "1h", "--check-in"},
		"pxe":  {"mkbuild", "boot", m.image, "--pxe"},
	}
	for _, tt := range []struct {
		command string
		signal  syscall.Signal
	}{
		{"boot", syscall.SIGKILL}, {"boot", syscall.SIGHUP}, {"test", syscall.SIGKILL}, {"test", syscall.SIGTERM},
		{"test", syscall.SIGHUP}, {"test", syscall.SIGQUIT}, {"pxe", syscall.SIGKILL}, {"boot", syscall.SIGTERM},
	} {
		c := m.command(t, commands[tt.command]...)
		in, err := c.StdinPipe()
		testkit.Must(t, err)
		defer in.Close()
		out := start(t, c)
		child := 0
		eventually(t, tt.command+" starts QEMU", func() bool { child = emulatorOf(c.Process.Pid); return child != 0 })
		testkit.Must(t, c.Process.Signal(tt.signal))
		begun := time.Now()
		err = c.Wait()
		eventually(t, fmt.Sprintf("QEMU ends with a %s that gets %v", tt.command, tt.signal), func() bool { return hasEnded(child) })
		if d := time.Since(begun); d > time.Minute {
			t.Errorf("%s, %v: it took %v", tt.command, tt.signal, d)
		}
		if tt.signal == syscall.SIGKILL || tt.signal == syscall.SIGQUIT {
			continue // the next mkbuild sweeps the remains
		}
		if c.ProcessState.ExitCode() != exitInterrupted {
			t.Errorf("%s, %v: %v\n%s", tt.command, tt.signal, err, out)
		}
		if left, err := os.ReadDir(m.tmp); err != nil || len(left) > 0 {
			t.Errorf("%s, %v: left in TMPDIR: %v, %v", tt.command, tt.signal, left, err)
		}
	}
}

// TestHangup: a closed terminal stops mkbuild like SIGTERM, except one that was started to outlive it.
func TestHangup(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	put(t, m.config, tinymirror.ConfigAt(server.URL))
	out := filepath.Join(m.dir, "out")
	testkit.Must(t, os.Mkdir(out, 0o755))
	args := []string{"mkbuild", "iso", "--config", m.config, "--cache-dir", filepath.Join(m.dir, "cold"), "-o", filepath.Join(out, "x.iso")}
	for _, tt := range []struct {
		name    string
		before  []string
		signals []os.Signal
	}{
		{"terminal", nil, []os.Signal{syscall.SIGHUP}},
		{"nohup", []string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh"}, []os.Signal{syscall.SIGHUP, syscall.SIGTERM}},
	} {
		c := m.command(t, append(tt.before, args...)...)
		said := start(t, c)
		select {
		case <-asked:
		case <-time.After(testkit.Patience):
			t.Fatalf("%s: no download began\n%s", tt.name, said)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		for i, s := range tt.signals {
			testkit.Must(t, c.Process.Signal(s))
			wait := time.Second
			if i == len(tt.signals)-1 {
				wait = testkit.Patience
			}
			select {
			case err := <-ended:
				if i != len(tt.signals)-1 || c.ProcessState.ExitCode() != exitInterrupted {
					t.Errorf("%s: %v ended it: %v\n%s", tt.name, s, err, said)
				}
			case <-time.After(wait):
				if i == len(tt.signals)-1 {
					t.Errorf("%s: %v did not end it", tt.name, s)
				}
			}
		}
		if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", tt.name, left, err)
		}
	}
}

// TestOnePXEFolderAtOnce: concurrent builds to one folder all succeed, and the folder is whole.
func TestOnePXEFolderAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	rounds := 12
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		name := filepath.Join(m.dir, "pxe"+strconv.Itoa(round/2)) // first new, then existing
		var all sync.WaitGroup
		for range 6 {
			c := m.command(t, "mkbuild", "iso", "--config", m.config, "--progress", "quiet", "--format", "pxe", "-o", name)
			all.Go(func() {
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("round %d: %v\n%s", round, err, out)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		if out, err := m.command(t, "mkbuild", "verify", name).CombinedOutput(); err != nil {
			t.Errorf("round %d: %v\n%s", round, err, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(m.dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestImageOnAScreen: a terminal gets no image.
func TestImageOnAScreen(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, args := range [][]string{
		{"iso", "--config", m.config, "-o", "-"}, {"iso", "--config", m.config, "--format", "razor", "-o", "-"},
		{"overlay", "--config", m.config, "-o", "-"}, {"customize", m.image, "-o", "-", "--append", "site=1"},
	} {
		var out, errs bytes.Buffer
		w := &world{stdout: &out, stderr: &errs, onScreen: true, getenv: os.Getenv, client: testClient}
		if code := run(t.Context(), w, args); code != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), "stdout: it is a terminal") {
			t.Errorf("%q: %d, %q\n%s", args, code, &out, &errs)
		}
	}
}

// TestStopsWhereverItIs: SIGTERM ends each command within two seconds on a free processor: while it waits for a
// server or for a silent machine, or reads an endless file.
func TestStopsWhereverItIs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	far, deaf, endless := filepath.Join(m.dir, "far.yaml"), filepath.Join(m.dir, "deaf"), filepath.Join(m.dir, "endless.iso")
	put(t, far, tinymirror.ConfigAt(server.URL))
	put(t, deaf, "#!/bin/sh\ntrap '' TERM INT HUP\nwhile :; do sleep 1; done\n")
	testkit.Must(t, os.Chmod(deaf, 0o755))
	long := func(name string, head []byte) string { // a terabyte that uses no disk space
		testkit.Put(t, name, head)
		testkit.Must(t, os.Truncate(name, 1<<40))
		return name
	}
	long(endless, testkit.Read(t, m.image))
	heavy := filepath.Join(m.dir, "heavy.yaml") // an overlay of a gigabyte of zeros, and no other work
	testkit.Put(t, filepath.Join(m.dir, "tree", "zeros"), nil)
	testkit.Must(t, os.Truncate(filepath.Join(m.dir, "tree", "zeros"), 3<<30))
	put(t, heavy, string(testkit.Read(t, m.config))+"overlay: [{source: "+filepath.Join(m.dir, "tree")+", target: /opt/zeros}]\n")
	put(t, filepath.Join(m.dir, "mirror", "heavy.yaml"), string(testkit.Read(t, heavy)))
	cache := filepath.Join(m.dir, "sparse")
	long(filepath.Join(cache, "sha256", "aa", strings.Repeat("a", 64)), nil)
	out := filepath.Join(m.dir, "out")
	testkit.Must(t, os.Mkdir(out, 0o755))
	net := func(command string, rest ...string) []string {
		return append([]string{command, "--config", far, "--cache-dir", filepath.Join(m.dir, "cold"+command)}, rest...)
	}
	for _, args := range [][]string{
		net("iso", "-o", filepath.Join(out, "a.iso")), net("overlay", "-o", filepath.Join(out, "a.tar.gz")), net("plan"), net("lock"), net("fetch"), net("mirror", filepath.Join(out, "mirror")),
		{"iso", "--config", filepath.Join(m.dir, "mirror", "heavy.yaml"), "-o", filepath.Join(out, "b.iso")}, {"plan", "--config", filepath.Join(m.dir, "mirror", "heavy.yaml")},
		{"inspect", endless}, {"verify", endless}, {"diff", endless, endless}, {"cache", "verify", "--cache-dir", cache},
		{"test", m.image, "--qemu", deaf}, {"boot", m.image, "--qemu", deaf}, {"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(m.dir, "data")},
	} {
		c := m.command(t, append([]string{"mkbuild"}, args...)...)
		in, err := c.StdinPipe() // of boot
		testkit.Must(t, err)
		defer in.Close()
		said := start(t, c)
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		if strings.Contains(strings.Join(args, " "), far) {
			<-asked
		}
		select {
		case err := <-ended:
			t.Errorf("%q ends by itself: %v\n%s", args, err, said)
			continue
		case <-time.After(time.Duration(300*testkit.Crowd()) * time.Millisecond): // at work
		}
		testkit.Must(t, c.Process.Signal(syscall.SIGTERM))
		begun := time.Now()
		select {
		case <-ended:
		case <-time.After(testkit.Patience):
			t.Errorf("%q is deaf", args)
			continue
		}
		if took := time.Since(begun); took.Seconds() > 2*testkit.Crowd() || c.ProcessState.ExitCode() != exitInterrupted && args[0] != "serve" {
			t.Errorf("%q: exit status %d after %v\n%s", args, c.ProcessState.ExitCode(), took, said)
		}
	}
	if left, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
