// Package e2e builds images from the stand-in mirror with the real programs and boots them in QEMU. The tests check
// the image's own report from the probe in testdata/e2e.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// root is the project's folder.
func root(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	testkit.Must(t, err)
	return dir
}

// need skips the test, or fails in CI, if a program of the boot tests is missing.
func need(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: boots are slow")
	}
	for _, tool := range []string{"qemu-system-i386", "mksquashfs", "xorriso", "apt-get", "ssh", "ssh-keygen"} {
		testkit.Tool(t, tool)
	}
}

// TestMain lets two machines share a processor, because each waits at times: for its network, for a check-in, for
// mco. Free memory also bounds their number.
func TestMain(m *testing.M) {
	machines := int64(2 * runtime.GOMAXPROCS(0))
	if room := testkit.FreeMemory() >> 30; room > 0 { // a machine has up to 1 GiB
		machines = min(machines, room)
	}
	_ = flag.Set("test.parallel", fmt.Sprint(machines))
	_, _ = os.Stat("../bin/mkbuild") // go test keeps no result of another program
	os.Exit(m.Run())
}

// fixture is shared by all boot tests: the programs, the mirror and one download cache.
type fixture struct {
	dir, mkbuild, mirror string
	configName           string   // name of the mirror's configuration; none: the one for 4.x
	args                 string   // more kernel arguments
	env                  []string // more environment for mkbuild
	quick                bool     // the probe skips checks that are slow in Ruby
	err                  error
}

// share makes the fixture once.
var share = sync.OnceValue(func() (f fixture) { //nolint:gochecknoglobals // one mirror for all tests
	top, err := filepath.Abs("..")
	if err != nil {
		return fixture{err: err}
	}
	f = fixture{dir: filepath.Join(top, "build"), mkbuild: filepath.Join(top, "bin", "mkbuild")}
	f.mirror = filepath.Join(f.dir, "mirror")
	if f.err = os.MkdirAll(f.dir, 0o755); f.err != nil {
		return f
	}
	for _, c := range [][]string{{"make", "-s", "build"}, {"make", "-s", "mirror"}} {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = top
		if out, err := cmd.CombinedOutput(); err != nil {
			f.err = fmt.Errorf("%q: %w\n%s", c, err, out)
			return f
		}
	}
	return f
})

func setup(t testing.TB) fixture {
	t.Helper()
	need(t)
	f := share()
	if f.err != nil {
		t.Fatal(f.err)
	}
	return f
}

// run starts mkbuild like a user and returns its two streams.
func (f fixture) run(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), f.mkbuild, args...)
	cmd.Env = append(cmd.Environ(), f.env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// config writes a mkbuild.yaml for the mirror with the probe in it, and extra lines.
func (f fixture) config(t testing.TB, dir string, edit func(string) string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.mirror, cmp.Or(f.configName, "mkbuild.yaml")))
	testkit.Must(t, err)
	text := strings.NewReplacer("\n  - .\n", "\n  - "+f.mirror+"\n", ": archives/", ": "+f.mirror+"/archives/").Replace(string(b))
	probe := filepath.Join(root(t), "testdata", "e2e", "probe")
	text += fmt.Sprintf("\nboot: {append: %s, timeout: 10}\noverlay:\n  - {source: %s, target: /}\n", bootArgs+f.args, probe)
	if f.quick {
		text += fmt.Sprintf("  - {source: %s, target: /}\n", filepath.Join(root(t), "testdata", "e2e", "quick"))
	}
	name := filepath.Join(dir, "mkbuild.yaml")
	testkit.Must(t, os.WriteFile(name, []byte(edit(text)), 0o644))
	return name
}

// noTimerCheck disables the kernel's check that counts timer ticks for a moment: the emulator of a busy machine
// delivers none, and the kernel panics.
const noTimerCheck = "no_timer_check"

// bootArgs are the kernel arguments of all images: Facter has enough time even on a busy machine.
const bootArgs = "console=ttyS0 loglevel=3 razor.fact_timeout=3600 " + noTimerCheck

// noClient stops mk-client from acting while the probe works.
const noClient = " razor.skew=3600"

// with returns an edit that adds lines at the end, where the list of overlays is.
func with(lines string) func(string) string {
	return func(text string) string { return text + lines }
}

// image builds an ISO with the probe in it and returns its path.
func (f fixture) image(t testing.TB, edit func(string) string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	iso := filepath.Join(dir, "image.iso")
	args = append([]string{"iso", "--config", f.config(t, dir, edit), "--cache-dir", filepath.Join(f.dir, "cache"), "--progress", "plain", "-o", iso}, args...)
	stdout, stderr, err := f.run(t, args...)
	if err != nil {
		t.Fatalf("mkbuild %q: %v\n%s", args, err, stderr)
	}
	if stdout != iso+"\n" {
		t.Fatalf("stdout %q, want the ISO's path alone", stdout)
	}
	return iso
}

// stalled is the longest silence of a machine with a processor of its own, and aLot bounds waits without visible
// progress. TCG is slow, and a machine may be shared: the total time is not an error.
const (
	stalled = 5 * time.Minute
	aLot    = time.Hour
)

// patient returns a context that ends when heard, the length of the output, stops growing.
func patient(t *testing.T, heard func() int) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	go func() {
		last, silent := heard(), time.Duration(0)
		for ; ctx.Err() == nil; time.Sleep(time.Second) {
			if n := heard(); n != last {
				last, silent = n, 0
			} else if silent += time.Duration(float64(time.Second) / testkit.Crowd()); silent > stalled {
				cancel(fmt.Errorf("nothing new for %v", stalled))
			}
		}
	}()
	return ctx
}

// start starts an image and waits for a line of its console.
func start(t *testing.T, m qemu.Machine, line string) *qemu.VM {
	t.Helper()
	vm, err := qemu.Start(t.Context(), m)
	testkit.Must(t, err)
	t.Cleanup(vm.Stop)
	expect(t, vm, line)
	return vm
}

func expect(t *testing.T, vm *qemu.VM, line string) {
	t.Helper()
	ctx := patient(t, func() int { return len(vm.Log()) })
	if err := vm.Expect(ctx, regexp.MustCompile(line)); err != nil {
		t.Fatalf("%v (%v)\n%s", err, context.Cause(ctx), vm.Log())
	}
}

// boot starts an image and waits for the end of its report.
func boot(t *testing.T, m qemu.Machine) (*qemu.VM, string) {
	t.Helper()
	vm := start(t, m, "PROBE done")
	return vm, vm.Log()
}

// failures returns the probe's complaints. An image without complaints reports each check: silence is a failure
// too.
func failures(log string) []string {
	var out []string
	ok := 0
	for _, l := range strings.Split(log, "\n") {
		switch {
		case strings.Contains(l, "PROBE FAIL"):
			out = append(out, l)
		case strings.Contains(l, "PROBE ok"):
			ok++
		}
	}
	if ok < 20 {
		out = append(out, fmt.Sprintf("only %d checks said ok", ok))
	}
	return out
}

func wantLines(t *testing.T, log string, lines ...string) {
	t.Helper()
	for _, f := range failures(log) {
		t.Error(f)
	}
	for _, l := range lines {
		if !strings.Contains(log, l) {
			t.Errorf("the console never said %q", l)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// TestBootDevTakesAKeyAndNoPassword logs in by ssh. The client's check-in server does not exist.
func TestBootDevTakesAKeyAndNoPassword(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.quick = true
	dir := t.TempDir()
	key := filepath.Join(dir, "id")
	testkit.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	iso := f.image(t, with(fmt.Sprintf("openssh: {authorized_keys: [%s.pub]}\nclient: {settings: {server: \"10.0.2.2:%d\"}}\n", key, testkit.FreePort(t))),
		"--with-openssh", "--source-date-epoch", "1700000000")
	port := testkit.FreePort(t)
	vm, log := boot(t, qemu.Machine{CDROM: iso, Forward: map[int]int{port: 22}})
	wantLines(t, log, "PROBE sshd running", "PROBE console 0 login lines")

	if out, err := ssh(t, key, port, "id -un; sudo -n id -u || true"); err != nil || !strings.HasPrefix(out, "tc\n") {
		t.Errorf("login by key: %v, %q", err, out)
	}
	other := filepath.Join(dir, "other")
	testkit.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
	if out, err := ssh(t, other, port, "id"); err == nil || !strings.Contains(out, "Permission denied (publickey") {
		t.Errorf("a stranger's key: %v, %q", err, out)
	}
	expect(t, vm, "mk-client: .*connection refused")
}

// ssh logs in as tc, with retries: the server may start before DHCP is done.
func ssh(t *testing.T, key string, port int, command string) (string, error) {
	t.Helper()
	var out []byte
	var err error
	for range 200 {
		out, err = exec.CommandContext(t.Context(), "ssh", "-F", "none", "-i", key, "-p", fmt.Sprint(port), "-o", "IdentitiesOnly=yes",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
			"-o", "ConnectTimeout=20", "tc@127.0.0.1", command).CombinedOutput()
		if err == nil || strings.Contains(string(out), "Permission denied") {
			break
		}
		time.Sleep(3 * time.Second)
	}
	return string(out), err
}

func TestSameInputsSameBytes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.env = []string{"TZ=America/New_York"}
	a := digest(t, f.image(t, with("")))
	f.env = []string{"TZ=UTC", "GOMAXPROCS=1", "LC_ALL=C", "TMPDIR=" + t.TempDir()}
	if b := digest(t, f.image(t, with(""))); a != b {
		t.Errorf("two builds differ: %s and %s", a, b)
	}
	if c := digest(t, f.image(t, with(""), "--image-version", "0.1.1")); c == a {
		t.Error("another version gives the same bytes: this check cannot fail")
	}
}

func digest(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	testkit.Must(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(b))
}
