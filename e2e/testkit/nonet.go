package testkit

import (
	"fmt"
	"os"
	"os/exec"
)

// NoNetwork returns the words before a command that run it in a separate network namespace, without a loopback. If
// users may not create namespaces, as in a chroot, root makes it.
func NoNetwork() ([]string, error) {
	var said []error
	for _, words := range [][]string{{"unshare", "-rn"}, {"unshare", "-n"}} {
		out, err := exec.Command(words[0], append(words[1:], "true")...).CombinedOutput() //nolint:gosec // constants
		if err == nil {
			return words, nil
		}
		said = append(said, fmt.Errorf("%q: %w %s", words, err, out))
	}
	return nil, fmt.Errorf("no network namespace here: %w", said[0])
}

// Required reports whether CI requires all programs.
func Required() bool { return os.Getenv("MKBUILD_REQUIRE_TOOLS") == "1" }
