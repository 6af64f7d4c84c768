package profile

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/overlay"
)

// startup looks at what runs as root while Tiny Core boots: init, its scripts, the user's, and those of
// extensions. A script is text for a shell, of which only what stands there can be known: a command that is
// a server, a login, or a shell that reads the console.
func (j *judge) startup() {
	for _, name := range []string{"sbin/init", "init"} {
		e, err := j.tree.Lookup(name)
		if err != nil && j.tree.Get(name) != nil {
			j.add(name, "it is a symlink that leads nowhere")
		}
		if err == nil && name == "sbin/init" && !strings.HasPrefix(path.Base(e.Path), "busybox") {
			j.add(name, "it is not Tiny Core's busybox, but /%s", e.Path)
		}
		if err == nil && name == "init" && e.Path != name && !strings.HasPrefix(path.Base(e.Path), "busybox") {
			j.add(name, "it is not Tiny Core's script, but /%s", e.Path)
		}
	}
	for _, e := range j.tree.Entries() {
		if startsAtBoot(e) && !slices.Contains(j.Services, "/"+e.Path) {
			j.lines(e.Path, false, j.script)
		}
	}
}

// startsAtBoot reports whether a file is one that Tiny Core runs while it boots.
func startsAtBoot(e *overlay.Entry) bool {
	switch path.Dir(e.Path) {
	case ".":
		return e.Path == "init" && e.IsRegular()
	case "etc/init.d", "etc/init.d/services", "usr/local/etc/init.d":
		return !e.IsDir()
	case "usr/local/tce.installed":
		return e.IsRegular() && e.Perm()&0o111 != 0
	}
	return slices.Contains([]string{"opt/bootsync.sh", "opt/bootlocal.sh", "opt/shutdown.sh", "tmp/onpre.sh"}, e.Path)
}

// apart is what ends a command in a script; keyword is what stands before one.
var (
	apart    = regexp.MustCompile("[;&|(){}`]+")
	keyword  = regexp.MustCompile(`^(if|then|else|elif|while|until|do|!|[A-Za-z_][A-Za-z0-9_]*=.*)$`)
	redirect = regexp.MustCompile(`[0-9]*(>>|<>|>|<)(&?[0-9-]|\s*[^\s<>]+)`)
)

// script looks at each command of a script.
func (j *judge) script(name string, ls []string) {
	for i, l := range ls {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "#") {
			continue
		}
		l = strings.NewReplacer(`"`, " ", `'`, " ", `\`, " ").Replace(redirect.ReplaceAllString(l, " "))
		for _, command := range apart.Split(l, -1) {
			words := strings.Fields(command)
			for len(words) > 0 && keyword.MatchString(words[0]) {
				words = words[1:]
			}
			if what := j.opens(words); what != "" {
				j.ways = append(j.ways, Way{name, "line " + strconv.Itoa(i+1) + " starts " + what + ": take it out, or name /" + name + " in `services: {allow: [...]}`", true, ""})
				break
			}
		}
	}
}

// opens names what a command lets somebody in by; "" if it does not.
func (j *judge) opens(words []string) string {
	if len(words) == 0 {
		return ""
	}
	program, rest := path.Base(words[0]), words[1:]
	isCommand := slices.Contains(rest, "-c")
	switch program {
	case "getty", "agetty", "mingetty", "login", "sulogin", "autologin", "startserialtty":
		return "the login " + program
	case "su":
		if !isCommand {
			return "a shell by su"
		}
	case "nc", "ncat", "netcat", "socat":
		if slices.ContainsFunc(rest, func(w string) bool { return ncListens.MatchString(w) }) {
			return program + ", which listens"
		}
	case "sh", "ash", "bash", "dash", "hush", "-sh", "-ash", "-bash":
		if !slices.ContainsFunc(rest, func(w string) bool { return !strings.HasPrefix(w, "-") }) {
			return "the shell " + program + " on the console"
		}
	case "busybox", "busybox.suid", "exec", "setsid", "cttyhack", "nohup", "env", "nice", "sudo", "chroot", "start-stop-daemon", "openvt", "timeout", "time", "command", "eval":
		isCommand = true
	}
	if isServerName(program) {
		allowed := func(p string) bool { return path.Base(p) == program }
		if slices.ContainsFunc(j.Services, allowed) {
			return ""
		}
		return "the server " + program
	}
	if isCommand {
		for i := range rest {
			if what := j.opens(rest[i:]); what != "" {
				return what
			}
		}
	}
	return ""
}

var ncListens = regexp.MustCompile(`^-[a-z]*[le]|LISTEN`)
