package mkclient

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"mkbuild/e2e/testkit"
)

// kernel30Tests cover all run-time parts of the client: sockets, TLS, unpacking, locks, process groups, daemons and
// signals.
const kernel30Tests = "^(TestE01_.*|TestE11_.*|TestE13_.*|TestE22_.*|TestE23_.*|TestForeign.*|TestLeftovers.*|" +
	"TestMcollectiveIs.*|TestActions|TestNodeID.*|TestTLS|TestCheckinFollows.*|TestRun.*|TestOnlyOneRuns|TestSysfs.*)$"

// TestKernel30SystemCalls runs the tests of the client as a 32-bit program in which ENOSYS answers every system call
// newer than Linux 3.0. A helper with the same filter proves that the filter works.
func TestKernel30SystemCalls(t *testing.T) {
	if os.Getenv("MKBUILD_REQUIRE_TOOLS") != "1" {
		t.Skip("compiles the tests once more: with MKBUILD_REQUIRE_TOOLS=1, as in CI")
	}
	goTool, cc := testkit.Tool(t, "go"), testkit.Tool(t, "cc")
	dir := t.TempDir()
	filter, tests := filepath.Join(dir, "kernel30"), filepath.Join(dir, "mkclient.test")
	testkit.Run(t, cc, "-Wall", "-o", filter, "testdata/kernel30.c")
	build := exec.CommandContext(t.Context(), goTool, "test", "-c", "-o", tests, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=386", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(pattern string) (string, error) {
		cmd := exec.CommandContext(t.Context(), filter, tests, "-test.run", pattern, "-test.v")
		cmd.Env = append(os.Environ(), "MKCLIENT_KERNEL30=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("^TestKernel30FilterBites$")
	if strings.Contains(out, "exec format error") || strings.Contains(out, "Exec format error") {
		t.Skip("this kernel runs no 32-bit programs")
	}
	if err != nil || !strings.Contains(out, "--- PASS") {
		t.Fatalf("the filter: %v\n%s", err, out)
	}
	out, err = run(kernel30Tests)
	if err != nil || strings.Count(out, "--- PASS: Test") < 14 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestKernel30FilterBites runs inside TestKernel30SystemCalls.
func TestKernel30FilterBites(t *testing.T) {
	if os.Getenv("MKCLIENT_KERNEL30") == "" {
		t.Skip("part of TestKernel30SystemCalls")
	}
	const getrandom386 = 355
	var b [1]byte
	if _, _, errno := syscall.Syscall(getrandom386, uintptr(unsafe.Pointer(&b[0])), 1, 0); !errors.Is(errno, syscall.ENOSYS) {
		t.Errorf("getrandom gave %v", errno)
	}
}
