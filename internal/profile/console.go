package profile

import (
	"slices"
	"strings"
)

// ClientPath is where the image keeps mk-client.
const ClientPath = "usr/local/sbin/mk-client"

// clientLine starts mk-client.
const clientLine = "::respawn:/" + ClientPath + " run"

// ClientConfig is where mk-client looks for its settings.
const ClientConfig = "etc/razor-mk-client.conf"

// console edits /etc/inittab: prod and dev have no login on any console, debug keeps Tiny
// Core's automatic one. mk-client is respawned by init, which starts it after the sysinit
// script, so after tc-config, its DHCP and /opt/bootsync.sh.
func console(e *edit) error {
	return e.change("etc/inittab", func(ls []string) ([]string, error) {
		if e.Profile != "debug" {
			ls = slices.DeleteFunc(ls, startsLogin)
		}
		if e.Client {
			ls = append(ls, clientLine)
		}
		return ls, nil
	})
}

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
