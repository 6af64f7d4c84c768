// Command testrun runs `go test -json` with its own arguments. It prints a line for each package, for each slow
// test and, after a silence, for the running test; and all output of a failed test. go test itself prints nothing
// about a package until it and the packages before it are done.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mkbuild/e2e/testkit"
)

const (
	quiet = 20 * time.Second // longest time between two lines
	slow  = 5.0              // seconds: a slower test gets a line
)

// event is one line of `go test -json`: see `go doc test2json`.
type event struct {
	Action, Package, Test, ImportPath, Output string
	Elapsed                                   float64
}

func main() {
	// One more package than processors, because many tests wait; without paths and DWARF, so that another clone needs
	// no compilation and links faster; without vet, which make lint runs.
	flags := []string{"test", "-json", "-vet=off", "-trimpath", "-ldflags=-w", fmt.Sprintf("-p=%d", 1+runtime.GOMAXPROCS(0))}
	cmd := exec.Command("go", append(flags, os.Args[1:]...)...) //nolint:gosec // it is for this
	cmd.Stderr = os.Stderr
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0") // like the programs: fewer packages to compile
	dir, done := memory()
	if dir != "" {
		cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
	signal.Ignore(os.Interrupt) // go test also gets it, and ends
	newReport(os.Stdout).follow(events(out))
	err = cmd.Wait()
	done()
	if err != nil {
		os.Exit(1)
	}
}

// memory makes a folder for temporary files in memory, if there is room for programs and files of tests: on a disk,
// tests mostly wait for the file system. Its name is always the same, because go test keeps results only for the
// same environment. It returns "" if there is no room, if TMPDIR is set, or if another run has the folder.
func memory() (dir string, done func()) {
	const need = 4 << 30
	var fs unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs("/dev/shm", &fs) != nil || fs.Flags&unix.ST_NOEXEC != 0 ||
		fs.Bavail*uint64(fs.Bsize) < need || testkit.FreeMemory() < 3*need {
		return "", func() {}
	}
	dir = fmt.Sprintf("/dev/shm/mkbuild-%d", os.Getuid())
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", func() {}
	}
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || os.RemoveAll(dir) != nil || os.Mkdir(dir, 0o700) != nil {
		lock.Close()
		return "", func() {}
	}
	return dir, func() {
		os.RemoveAll(dir)
		lock.Close()
	}
}

// events reads until out ends. It passes lines that are not JSON on as output.
func events(out io.Reader) <-chan event {
	c := make(chan event)
	go func() {
		defer close(c)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			var e event
			if line != "" && json.Unmarshal([]byte(line), &e) != nil {
				e = event{Action: "build-output", Output: line}
			}
			if line != "" {
				c <- e
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

// report is the state so far. A key is a package, or a package and a test.
type report struct {
	out     io.Writer
	running map[string]time.Time
	said    map[string][]string
	failed  []string
	last    time.Time // of a line
}

func newReport(out io.Writer) *report {
	return &report{out: out, last: time.Now(), running: make(map[string]time.Time), said: make(map[string][]string)}
}

func (r *report) print(format string, args ...any) {
	fmt.Fprintf(r.out, format, args...)
	r.last = time.Now()
}

// follow prints until the events end.
func (r *report) follow(events <-chan event) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case e, more := <-events:
			if !more {
				for _, key := range r.failed {
					r.print("FAILED %s\n", key)
				}
				return
			}
			r.add(e)
		case <-tick.C:
			if time.Since(r.last) >= quiet {
				r.print("%s\n", r.now())
			}
		}
	}
}

// add adds an event, and prints it if it deserves a line.
func (r *report) add(e event) {
	key := strings.TrimPrefix(strings.TrimSpace(e.Package+" "+e.Test), "mkbuild/")
	switch e.Action {
	case "build-output":
		r.print("%s", e.Output)
	case "output":
		r.said[key] = append(r.said[key], e.Output)
	case "start", "run", "cont":
		r.running[key] = time.Now()
	case "pause":
		delete(r.running, key)
	case "pass", "fail", "skip":
		r.end(e, key)
	}
}

// end prints the result of a package, of a slow test, or of a failed test.
func (r *report) end(e event, key string) {
	text := strings.Join(r.said[key], "")
	switch {
	case e.Action == "fail":
		r.print("%sFAIL %s  %.1f s\n", text, key, e.Elapsed)
		r.failed = append(r.failed, key)
	case e.Test != "" && e.Elapsed >= slow && !r.kept(e):
		r.print("  %s %s  %.1f s\n", e.Action, key, e.Elapsed)
	case e.Test == "" && e.Action == "pass" && strings.Contains(text, "(cached)"):
		r.print("ok %s  as before\n", key)
	case e.Test == "" && e.Action == "pass":
		r.print("ok %s  %.1f s\n", key, e.Elapsed)
	}
	delete(r.running, key)
	delete(r.said, key)
}

// kept reports whether a test's package has not run as long as the test: its results are from an earlier run.
func (r *report) kept(e event) bool {
	since, known := r.running[strings.TrimPrefix(e.Package, "mkbuild/")]
	return known && time.Since(since).Seconds() < e.Elapsed
}

// now names the longest running test. A package's own entry says less than the entries of its tests.
func (r *report) now() string {
	var keys []string
	for key := range r.running {
		if strings.Contains(key, " ") {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return "… compiling"
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(r.running[a].Compare(r.running[b]), cmp.Compare(a, b))
	})
	more := ""
	if len(keys) > 3 {
		more = fmt.Sprintf(", and %d more", len(keys)-3)
		keys = keys[:3]
	}
	for i, key := range keys {
		keys[i] = fmt.Sprintf("%s (%.0f s)", key, time.Since(r.running[key]).Seconds())
	}
	return "… " + strings.Join(keys, ", ") + more
}
