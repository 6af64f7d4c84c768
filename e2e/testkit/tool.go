// Package testkit holds the common parts of several packages' tests. Only tests import it, and the programs that make
// and run them.
package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Tool returns the path of a reference program such as xorriso, for an independent check. If the program is
// missing, the test is skipped; with MKBUILD_REQUIRE_TOOLS=1, as in CI, it fails, so that a missing program never
// looks like a passed test.
func Tool(t testing.TB, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err == nil {
		return p
	}
	if Required() {
		t.Fatalf("%s is required here (MKBUILD_REQUIRE_TOOLS=1): %v", name, err)
	}
	t.Skipf("%s is not installed: no second opinion", name)
	return ""
}

// Run runs a reference program and returns its output, both streams together.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), Tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Must ends the test if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// FreeMemory returns Linux' free memory in bytes, or 0 if unknown.
func FreeMemory() int64 {
	b, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := strings.Cut(string(b), "MemAvailable:")
	var kib int64
	fmt.Sscan(rest, &kib)
	return kib << 10
}
