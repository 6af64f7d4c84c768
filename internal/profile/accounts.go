package profile

import (
	"errors"
	"fmt"
	"strings"

	"mkbuild/internal/overlay"
)

// lockedPassword matches no hash (shadow(5)). Not "!": sshd takes that as a locked account and
// refuses keys too (auth.c, LOCKED_PASSWD_PREFIX).
const lockedPassword = "*"

// accounts locks every password, in every profile: the stock tc account has an empty one, and
// mkbuild sets none.
func accounts(t, out *overlay.Tree, _ Options) error {
	if err := replaceText(t, out, "etc/shadow", lockAll("etc/shadow", false)); err != nil {
		return err
	}
	return replaceText(t, out, "etc/passwd", lockAll("etc/passwd", true))
}

// lockAll locks the second field of passwd(5) and shadow(5) lines. In passwd an "x" stays: it
// only points to shadow.
func lockAll(name string, keepX bool) func(string) (string, error) {
	return func(text string) (string, error) {
		ls := lines(text)
		for i, l := range ls {
			if l == "" {
				continue
			}
			f := strings.Split(l, ":")
			if len(f) < 2 {
				return "", &BaseError{name, fmt.Sprintf("line %d is no account", i+1)}
			}
			if !keepX || f[1] != "x" {
				f[1] = lockedPassword
			}
			ls[i] = strings.Join(f, ":")
		}
		return join(ls), nil
	}
}

// WaysIn lists what a finished image would let somebody in by: accounts that some password, or
// none, opens, and logins or shells on a console. A prod image must have none, whatever the
// user's own files do.
func WaysIn(t *overlay.Tree) ([]string, error) {
	var out []string
	for _, check := range []struct {
		file string
		open func(line string) string
	}{
		{"etc/shadow", func(l string) string { return openAccount(l, false) }},
		{"etc/passwd", func(l string) string { return openAccount(l, true) }},
		{"etc/inittab", openConsole},
	} {
		e, err := t.Lookup(check.file)
		if errors.Is(err, overlay.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b, err := e.Content(maxText)
		if err != nil {
			return nil, err
		}
		for _, l := range lines(string(b)) {
			if what := check.open(l); what != "" {
				out = append(out, what+" in /"+check.file)
			}
		}
	}
	return out, nil
}

// OpenArguments lists the kernel arguments that start another program in the place of init, such as
// rdinit=/bin/sh: that is a way in for whoever is at the console, whatever the files of the image say.
func OpenArguments(args string) []string {
	var out []string
	for _, a := range strings.Fields(args) {
		key, program, _ := strings.Cut(a, "=")
		if (key == "rdinit" || key == "init") && program != "/init" && program != "/sbin/init" {
			out = append(out, "kernel argument "+a)
		}
	}
	return out
}

// openAccount names the account of a passwd(5) or shadow(5) line that is not locked.
func openAccount(line string, isPasswd bool) string {
	f := strings.Split(line, ":")
	if len(f) < 2 || strings.HasPrefix(f[1], "*") || strings.HasPrefix(f[1], "!") || isPasswd && f[1] == "x" {
		return ""
	}
	return "account " + f[0]
}

// openConsole tells of an inittab line in force that starts a login or a shell.
func openConsole(line string) string {
	if strings.HasPrefix(strings.TrimSpace(line), "#") || !startsLogin(line) {
		return ""
	}
	return "console " + strings.SplitN(line, ":", 2)[0]
}
