package testkit

import (
	"fmt"
	"os"
	"os/exec"
)

// NoNetwork returns the words before a command that let it run in a network namespace of its own, without
// even a loopback. Where users may not have namespaces of their own, as in a chroot, root has one all the same.
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

// Required reports whether CI says that no program may be missing.
func Required() bool { return os.Getenv("MKBUILD_REQUIRE_TOOLS") == "1" }
