package profile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/overlay"
)

// Allow lists the exceptions for prod images in mkbuild.yaml.
type Allow struct {
	Inittab  []string // lines of /etc/inittab: boot.allow_inittab
	Services []string // files: services.allow
}

// Way is one way into an image, or a file that may be one and cannot be judged.
type Way struct {
	Path   string // in the booted system
	What   string // a way to log in
	Server bool   // it is a server, or may bring one
	Origin string // origin, if known
}

// String is the way in one line.
func (w Way) String() string {
	if w.Origin != "" {
		return "/" + w.Path + " (" + w.Origin + "): " + w.What
	}
	return "/" + w.Path + ": " + w.What
}

// judge collects the ways into one tree.
type judge struct {
	Allow
	tree *overlay.Tree
	left *int64 // bytes of archives that may be opened yet
	ways []Way
}

func (j *judge) add(name, format string, args ...any) {
	j.ways = append(j.ways, Way{Path: name, What: fmt.Sprintf(format, args...)})
}

// lines passes the lines of a file to a judge. Anything else than a text file counts as a way in, since its
// effect is unknown; so does a required file that is missing.
func (j *judge) lines(name string, must bool, do func(name string, ls []string)) {
	_, err := j.tree.Lookup(name)
	if err != nil && j.tree.Get(name) == nil {
		if must {
			j.add(name, "it is missing, and without it Tiny Core's defaults decide who may log in")
		}
		return
	}
	e, ls, err := readLines(j.tree, name)
	switch {
	case e == nil:
		j.add(name, "it is a symlink that leads nowhere")
	case !e.IsRegular():
		j.add(name, "it is not a regular file")
	case err != nil:
		j.add(name, "it cannot be read: %v", err)
	case slices.ContainsFunc(ls, func(l string) bool { return strings.ContainsAny(l, "\x00\r") }):
		j.add(name, "it is not a text file with Unix line ends")
	default:
		do(name, ls)
	}
}

// inittabLines are the harmless lines of /etc/inittab in all releases of Tiny Core, and mkbuild's own. busybox
// init takes these actions and respawn, askfirst, wait, once (init.c).
func inittabLines() []string {
	return []string{
		"::sysinit:/etc/init.d/rcS", "::restart:/etc/init.d/rc.shutdown", "::restart:/sbin/init",
		"::ctrlaltdel:/sbin/reboot", "::shutdown:/etc/init.d/rc.shutdown",
		"::shutdown:/sbin/swapoff -a", "::shutdown:/bin/umount -a -r", clientLine,
	}
}

// initActions are the actions of busybox's init (init.c), the third field of a line.
func initActions() []string {
	return []string{"sysinit", "wait", "once", "respawn", "askfirst", "ctrlaltdel", "shutdown", "restart"}
}

// inittab accepts known lines and those that the user allows. A commented line with an action counts: the boot
// code multivt uncomments it (Tiny Core's /init).
func (j *judge) inittab(name string, ls []string) {
	known := append(inittabLines(), j.Inittab...)
	sysinit := false
	for i, l := range ls {
		bare := strings.TrimLeft(l, "# \t")
		f := strings.SplitN(bare, ":", 4)
		comment := strings.HasPrefix(l, "#") && (len(f) < 4 || !slices.Contains(initActions(), f[2]))
		sysinit = sysinit || strings.HasPrefix(l, "::sysinit:")
		if strings.TrimSpace(l) == "" || comment || slices.Contains(known, strings.TrimRight(l, " \t")) || slices.Contains(j.Inittab, bare) {
			continue
		}
		j.add(name, "line %d, %q, is neither Tiny Core's nor mkbuild's, and may start a login: take it out, or name it in `boot: {allow_inittab: [...]}`", i+1, l)
	}
	if !sysinit {
		j.add(name, "it has no line ::sysinit:/etc/init.d/rcS, and without one busybox opens consoles of its own")
	}
}

// isNumber accepts a uid or gid that all C libraries read alike.
func isNumber(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// passwd accepts passwd(5) lines with one account of uid 0, and no password.
func (j *judge) passwd(name string, ls []string) {
	for i, l := range ls {
		f := strings.Split(l, ":")
		switch {
		case l == "":
		case len(f) != 7 || !accountName.MatchString(f[0]) || !isNumber(f[2]) || !isNumber(f[3]):
			j.add(name, "line %d is not an account that can be judged", i+1)
		case f[2] == "0" && f[0] != "root":
			j.add(name, "account %s has the uid 0, which is root's", f[0])
		case f[1] != "x":
			j.password(name, f)
		}
	}
}

var accountName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`)

func (j *judge) shadow(name string, ls []string) {
	for i, l := range ls {
		f := strings.Split(l, ":")
		switch {
		case l == "":
		case len(f) < 2 || !accountName.MatchString(f[0]):
			j.add(name, "line %d is not an account that can be judged", i+1)
		default:
			j.password(name, f)
		}
	}
}

// password accepts a field that matches no hash (shadow(5)).
func (j *judge) password(name string, f []string) {
	switch {
	case f[1] == "":
		j.add(name, "account %s needs no password", f[0])
	case !strings.HasPrefix(f[1], "*") && !strings.HasPrefix(f[1], "!"):
		j.add(name, "account %s has a password", f[0])
	}
}

func (j *judge) group(name string, ls []string) {
	for i, l := range ls {
		if f := strings.Split(l, ":"); l != "" && (len(f) < 3 || !isNumber(f[2])) {
			j.add(name, "line %d is not a group that can be judged", i+1)
		}
	}
}

// sudoers accepts only Tiny Core's rules without a password: for root, for tc, whose account is locked, and for
// all accounts for a few commands that write logs.
func (j *judge) sudoers(name string, ls []string) {
	for i := 0; i < len(ls); i++ {
		at, l := i+1, ls[i]
		for strings.HasSuffix(l, `\`) && i+1 < len(ls) {
			i++
			l = strings.TrimSuffix(l, `\`) + ls[i]
		}
		if what := opensSudo(strings.TrimSpace(l)); what != "" {
			j.add(name, "line %d %s", at, what)
		}
	}
}

var sudoStock = regexp.MustCompile(`^((root|tc)\s+[^,\s]|ALL\s+ALL\s*=\s*\(ALL\)\s*NOPASSWD:\s*WRITE_CMDS$)`)

// opensSudo says how a line of sudoers(5) exceeds Tiny Core's rules.
func opensSudo(l string) string {
	include := strings.HasPrefix(l, "#include") || strings.HasPrefix(l, "@include")
	fields := strings.FieldsFunc(l, func(r rune) bool { return strings.ContainsRune(" \t,=:", r) })
	switch {
	case include && !slices.Contains([]string{"/etc/sudoers.d", "/usr/local/etc/sudoers.d"}, fields[len(fields)-1]):
		return "includes other rules, which are not judged"
	case include || l == "" || strings.HasPrefix(l, "#") && !isNumber(strings.Fields(l[1:] + " x")[0]):
		return ""
	case strings.Contains(l, "!authenticate"), strings.Contains(l, "NOPASSWD") && !sudoStock.MatchString(l):
		return "allows root without a password, beyond Tiny Core's own rules"
	case strings.HasPrefix(l, "Cmnd_Alias") && slices.Contains(fields, "ALL"):
		return "is an alias of all commands"
	case !strings.HasPrefix(l, "Defaults") && !strings.Contains(l, "="):
		return "is not a rule that can be judged: " + strconv.Quote(l)
	}
	return ""
}
