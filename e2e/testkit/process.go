package testkit

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Patience bounds a test's wait for something that must happen. It is not the usual duration: the machine may be
// busy with ten other tasks.
const Patience = 3 * time.Minute

// WaitFor waits until ok.
func WaitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it does not happen")
}

// ReadPID waits for a program to write its process ID.
func ReadPID(t testing.TB, file string) (pid int) {
	t.Helper()
	WaitFor(t, func() bool {
		b, _ := os.ReadFile(file)
		n, _ := fmt.Sscanf(string(b), "%d\n", &pid)
		return n == 1
	})
	return pid
}

// Alive reports whether a process runs; a zombie does not.
func Alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// Crowd returns the number of programs that share one processor of this host now, at least 1: the factor by which
// each is slower than alone. See proc_loadavg(5): the average of a minute is late when a run begins.
func Crowd() float64 {
	var minute, five, quarter, now float64
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscanf(string(b), "%f %f %f %f/", &minute, &five, &quarter, &now) // otherwise unknown
	}
	return max(1, max(minute, now)/float64(runtime.NumCPU()))
}
