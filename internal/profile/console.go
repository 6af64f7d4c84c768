package profile

import (
	"strings"

	"mkbuild/internal/overlay"
)

// console edits /etc/inittab: prod and dev have no login on any console, debug keeps Tiny
// Core's automatic one. mk-client is respawned by init, which starts it after the sysinit
// script, so after tc-config, its DHCP and /opt/bootsync.sh.
func console(t, out *overlay.Tree, o Options) error {
	return replaceText(t, out, "etc/inittab", func(text string) (string, error) {
		ls := lines(text)
		if o.Profile != "debug" {
			ls = withoutLogins(ls)
		}
		if o.Client {
			ls = append(ls, "::respawn:/"+ClientPath+" run")
		}
		return join(ls), nil
	})
}

// withoutLogins drops every line that starts a login or a shell, the commented ones too: the
// boot code "multivt" uncomments them (tc-config).
func withoutLogins(ls []string) []string {
	var out []string
	for _, l := range ls {
		if !startsLogin(l) {
			out = append(out, l)
		}
	}
	return out
}

func startsLogin(line string) bool {
	f := strings.SplitN(strings.TrimLeft(line, "# \t"), ":", 4) // id:runlevels:action:process
	if len(f) != 4 {
		return false
	}
	switch f[2] {
	case "respawn", "askfirst", "once", "wait":
	default:
		return false
	}
	for _, program := range []string{"getty", "login", "/bin/sh", "/bin/ash", "/bin/bash", "-sh", "sulogin"} {
		if strings.Contains(f[3], program) {
			return true
		}
	}
	return false
}
