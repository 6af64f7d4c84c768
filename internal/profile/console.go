package profile

import (
	"slices"
	"strings"

	"mkbuild/internal/overlay"
)

// ClientPath is the path of mk-client in the image.
const ClientPath = "usr/local/sbin/mk-client"

// clientLine starts mk-client.
const clientLine = "::respawn:/" + ClientPath + " run"

// ClientConfig is the path of mk-client's settings.
const ClientConfig = "etc/razor-mk-client.conf"

// console edits /etc/inittab: prod and dev have no login on any console, debug keeps Tiny
// Core's automatic one. mk-client is respawned by init, which starts it after the sysinit
// script, so after tc-config, its DHCP and /opt/bootsync.sh.
func console(e *edit) error {
	if e.Profile == "debug" {
		if err := e.out.Put(overlay.File(consolesPath, 0o755, []byte(consoles))); err != nil {
			return err
		}
	}
	return e.change("etc/inittab", func(ls []string) ([]string, error) {
		if e.Profile != "debug" {
			ls = slices.DeleteFunc(ls, startsLogin)
		} else {
			ls = append(ls, "::once:/"+consolesPath)
		}
		if e.Client {
			ls = append(ls, clientLine)
		}
		return ls, nil
	})
}

// consolesPath is the path of a debug image's script for serial consoles.
const consolesPath = "usr/local/sbin/mk-consoles"

// consoles starts a shell on each serial console of the kernel's command line, as Tiny Core does on the screen.
// The kernel's default rate is 9600. getty starts the script again, with arguments.
const consoles = `#!/bin/sh
[ $# -eq 0 ] || exec login -f "$(cat /etc/sysconfig/tcuser 2>/dev/null || echo tc)"
for c in $(cat /proc/cmdline); do
  case $c in console=tty[A-Z]*|console=hvc*) c=${c#console=} ;; *) continue ;; esac
  port=${c%%,*} rate=${c#"${c%%,*}"}
  rate=${rate#,} rate=${rate%%[!0-9]*}
  while :; do /sbin/getty -nL -l "$0" "${rate:-9600}" "$port" vt102; sleep 1; done &
done
wait
`

// startsLogin reports whether a line starts a login or a shell. A commented line counts too: the boot
// code "multivt" uncomments it (tc-config).
func startsLogin(line string) bool {
	f := strings.SplitN(strings.TrimLeft(line, "# \t"), ":", 4) // id:runlevels:action:process
	if len(f) != 4 || !slices.Contains([]string{"respawn", "askfirst", "once", "wait"}, f[2]) {
		return false
	}
	programs := []string{"getty", "login", "/bin/sh", "/bin/ash", "/bin/bash", "-sh", "sulogin"}
	return slices.ContainsFunc(programs, func(p string) bool { return strings.Contains(f[3], p) })
}
