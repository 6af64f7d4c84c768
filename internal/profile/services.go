package profile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/overlay"
)

// InitScript is the script that /opt/bootsync.sh calls, in Tiny Core's folder for services.
const InitScript = "usr/local/etc/init.d/microkernel"

// bootsync adds one line to the base's /opt/bootsync.sh, before the line that starts /opt/bootlocal.sh in the
// background: a user's bootlocal.sh finds the services up. Without such a line it adds the line at the end, but
// before an "exit".
func bootsync(e *edit) error {
	return e.change("opt/bootsync.sh", func(ls []string) ([]string, error) {
		at := slices.IndexFunc(ls, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "/opt/bootlocal.sh") })
		if at < 0 {
			at = trailingExit(ls)
		}
		return slices.Insert(ls, at, "/"+InitScript+" start"), nil
	})
}

var exits = regexp.MustCompile(`^exit(?:[ \t;]|$)`)

// trailingExit returns the index of the "exit" that ends a script, else the number of its lines.
func trailingExit(ls []string) int {
	for i := len(ls) - 1; i >= 0; i-- {
		l := strings.TrimSpace(ls[i])
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if exits.MatchString(l) {
			return i
		}
		break
	}
	return len(ls)
}

const serviceHead = `#!/bin/sh
# The microkernel's services. Made by mkbuild; /opt/bootsync.sh runs it as root.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
[ "$1" = start ] || { echo "usage: $0 start" >&2; exit 1; }
`

// service writes the script that bootsync calls. Its parts are independent: a failed one must not stop the next.
func service(e *edit) error {
	var b strings.Builder
	b.WriteString(serviceHead)
	if hasMCollective(e.tree) {
		b.WriteString("\n# tce-setup has just given everything here to tc, and mcollectived runs it as root.\nchown -hR 0:0 " + mcollectiveTrees + "*\n")
	}
	if e.BootGems != "" {
		b.WriteString("\n# Gems from the image's own repository.\n(\n" + strings.TrimRight(e.BootGems, "\n") + "\n) || echo 'microkernel: gems were not installed' >&2\n")
	}
	if e.hasSSH() {
		s, err := findSSH(e.tree)
		if err != nil {
			return err
		}
		b.WriteString(s.start())
	}
	fmt.Fprintf(&b, "\necho %q >/dev/console 2>/dev/null\nexit 0\n", "MK loaded: v"+e.Version)
	return e.out.Put(overlay.File(InitScript, 0o755, []byte(b.String())))
}

// mcollectiveTrees is the path prefix of each MCollective in the image.
const mcollectiveTrees = "/usr/local/tce.installed/mcollective-"

func hasMCollective(t *overlay.Tree) bool {
	return slices.ContainsFunc(t.Entries(), func(e *overlay.Entry) bool { return strings.HasPrefix("/"+e.Path, mcollectiveTrees) })
}
