package profile

import (
	"errors"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// ErrOpen is returned if a prod image would have a way in.
var ErrOpen = fail.New(fail.Usage, "check the prod image", "leave it out, or build with --profile dev")

// WaysIn lists how somebody could log in to a finished image: accounts that some password, or none,
// opens, and logins or shells on a console. A prod image must have none, whatever the user's own
// files do.
func WaysIn(t *overlay.Tree) ([]string, error) {
	var out []string
	for _, name := range []string{"etc/shadow", "etc/passwd", "etc/inittab"} {
		_, ls, err := readLines(t, name)
		if errors.Is(err, overlay.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, l := range ls {
			if what := opens(name, l); what != "" {
				out = append(out, what+" in /"+name)
			}
		}
	}
	return out, nil
}

// OpenArguments lists the kernel arguments that start another program in the place of init, such as
// rdinit=/bin/sh: a way in for anyone at the console, whatever the files of the image say.
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

// opens names what a line of a file lets somebody in by: an account of passwd(5) or shadow(5) that is
// not locked, or a console of an inittab line in force that starts a login or a shell.
func opens(file, line string) string {
	f := strings.Split(line, ":")
	if file == "etc/inittab" {
		if strings.HasPrefix(strings.TrimSpace(line), "#") || !startsLogin(line) {
			return ""
		}
		return "console " + f[0]
	}
	if len(f) < 2 || strings.HasPrefix(f[1], "*") || strings.HasPrefix(f[1], "!") || file == "etc/passwd" && f[1] == "x" {
		return ""
	}
	return "account " + f[0]
}

// ServerPaths returns every file that looks like an ssh server, for the promise that prod has none.
func ServerPaths(t *overlay.Tree) []string {
	servers := []string{"sshd", "dropbear", "dropbearmulti", "telnetd", "in.telnetd"}
	var out []string
	for _, e := range t.Entries() {
		named := slices.Contains(servers, path.Base(e.Path)) && strings.Contains(path.Dir(e.Path), "bin")
		applet := strings.HasPrefix(e.Link, "busybox") || strings.HasSuffix(e.Link, "/busybox")
		if named && !e.IsDir() && !applet {
			out = append(out, "/"+e.Path+" ("+e.Origin+")")
		}
	}
	return out
}
