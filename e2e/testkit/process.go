package testkit

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen. It is not how long that takes: the machine may be
// busy with ten other things.
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

// ReadPID waits for a program to write its number.
func ReadPID(t testing.TB, file string) (pid int) {
	t.Helper()
	WaitFor(t, func() bool {
		b, _ := os.ReadFile(file)
		n, _ := fmt.Sscanf(string(b), "%d\n", &pid)
		return n == 1
	})
	return pid
}

// Alive reports whether a process runs; one that waits to be reaped does not.
func Alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// Crowd is how many programs share one processor of this host now, and at least 1: the factor by which each of
// them takes longer than alone.
func Crowd() float64 {
	var load float64
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscan(string(b), &load) // else nobody knows
	}
	return max(1, load/float64(runtime.NumCPU()))
}
