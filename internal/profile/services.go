package profile

import (
	"fmt"
	"strings"

	"mkbuild/internal/overlay"
)

// bootsync keeps the base's /opt/bootsync.sh and adds one line to it, before the one that puts
// /opt/bootlocal.sh into the background, so that a user's bootlocal.sh finds the services up.
func bootsync(t, out *overlay.Tree, _ Options) error {
	return replaceText(t, out, "opt/bootsync.sh", func(text string) (string, error) {
		call := "/" + InitScript + " start"
		ls := lines(text)
		for i, l := range ls {
			if strings.HasPrefix(strings.TrimSpace(l), "/opt/bootlocal.sh") {
				return join(append(ls[:i:i], append([]string{call}, ls[i:]...)...)), nil
			}
		}
		return join(append(ls, call)), nil
	})
}

const serviceHead = `#!/bin/sh
# The microkernel's services. Made by mkbuild; /opt/bootsync.sh runs it as root.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
[ "$1" = start ] || { echo "usage: $0 start" >&2; exit 1; }
`

// service writes the script that bootsync calls. Each part stands alone: one that fails must
// not keep the next from starting.
func service(t, out *overlay.Tree, o Options) error {
	var b strings.Builder
	b.WriteString(serviceHead)
	if o.BootGems != "" {
		b.WriteString("\n# Gems from the image's own repository.\n(\n" + strings.TrimRight(o.BootGems, "\n") + "\n) || echo 'microkernel: gems were not installed' >&2\n")
	}
	if hasSSH(o) {
		s, err := findSSH(t)
		if err != nil {
			return err
		}
		b.WriteString(s.start())
	}
	fmt.Fprintf(&b, "\necho %q >/dev/console 2>/dev/null\nexit 0\n", "MK loaded: v"+o.Version)
	return out.Put(overlay.File(InitScript, 0o755, []byte(b.String())))
}
