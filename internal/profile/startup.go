package profile

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// startup checks what runs as root while Tiny Core boots: init, its scripts, the user's, and those of extensions.
// Only a script's text can be judged: a command that is a server, a login, or a shell that reads the console.
func (j *judge) startup() {
	for _, name := range []string{"sbin/init", "init"} {
		e, err := j.tree.Lookup(name)
		if err != nil && j.tree.Get(name) != nil {
			j.add(name, "it is a symlink that leads nowhere")
		}
		if err == nil && name == "sbin/init" && !j.isBusybox(e) {
			j.add(name, "it is not Tiny Core's busybox, but /%s", e.Path)
		}
		if err == nil && name == "init" && e.Path != name && !j.isBusybox(e) {
			j.add(name, "it is not Tiny Core's script, but /%s", e.Path)
		}
	}
	for _, name := range j.scripts() {
		if !slices.Contains(j.Services, "/"+name) {
			j.lines(name, false, j.script)
		}
	}
	for _, h := range hooks() {
		for _, name := range j.files(h.path) {
			if !slices.Contains(j.Services, "/"+name) {
				j.lines(name, false, func(name string, ls []string) { j.script(name, h.commands(ls)) })
			}
		}
	}
}

// hook is a file, or a folder of files, with commands that a daemon of Tiny Core runs as root.
type hook struct {
	path    string
	command *regexp.Regexp // its last group is a command
}

// hooks are the hooks of udev (udev(7)), busybox's mdev (docs/mdev.txt) and crond, modprobe (modprobe.d(5)), and
// udhcpc.
func hooks() []hook {
	udev := regexp.MustCompile(`(?:RUN|PROGRAM|IMPORT)(?:\{[^}]*\})?\s*[+:=]?=\s*"([^"]*)"`)
	modprobe := regexp.MustCompile(`^\s*(?:install|remove)\s+\S+\s+(.*)`)
	cron := regexp.MustCompile(`^\s*(?:@\S+|\S+(?:\s+\S+){4})\s+(.*)`)
	script := regexp.MustCompile(`(.*)`)
	return []hook{
		{"etc/udev/rules.d", udev}, {"lib/udev/rules.d", udev}, {"usr/local/etc/udev/rules.d", udev}, {"usr/local/lib/udev/rules.d", udev},
		{"etc/mdev.conf", regexp.MustCompile(`[@$*](\S.*)$`)},
		{"etc/modprobe.conf", modprobe}, {"etc/modprobe.d", modprobe}, {"lib/modprobe.d", modprobe},
		{"var/spool/cron/crontabs", cron}, {"usr/share/udhcpc", script},
	}
}

// commands are the commands in a file, each at its own line.
func (h *hook) commands(ls []string) []string {
	var out []string
	for _, l := range ls {
		var found []string
		if !strings.HasPrefix(strings.TrimSpace(l), "#") {
			for _, m := range h.command.FindAllStringSubmatch(l, -1) {
				found = append(found, m[1])
			}
		}
		out = append(out, strings.Join(found, ";"))
	}
	return out
}

func (j *judge) files(name string) []string {
	e, err := j.tree.Lookup(name)
	if err == nil && !e.IsDir() || err != nil && j.tree.Get(name) != nil { // judges dangling links, too
		return []string{name}
	}
	var out []string
	for _, e := range j.children(name) {
		if to, err := j.tree.Lookup(e.Path); err != nil || !to.IsDir() {
			out = append(out, e.Path)
		}
	}
	return out
}

// isBusybox judges a program by its name, or by another name of the same file.
func (j *judge) isBusybox(e *overlay.Entry) bool {
	return strings.HasPrefix(path.Base(e.Path), "busybox") || e.HardLink != "" && slices.ContainsFunc(j.tree.Children("bin"), func(b *overlay.Entry) bool {
		return b.HardLink == e.HardLink && strings.HasPrefix(path.Base(b.Path), "busybox")
	})
}

// scripts names the scripts that Tiny Core runs while it boots. A folder may be a link to another one.
func (j *judge) scripts() []string {
	out := []string{"opt/bootsync.sh", "opt/bootlocal.sh", "opt/shutdown.sh", "tmp/onpre.sh"}
	if e := j.tree.Get("init"); e != nil && e.IsRegular() {
		out = append(out, "init")
	}
	for _, dir := range []string{"etc/init.d", "etc/init.d/services", "usr/local/etc/init.d", tcz.InstalledDir} {
		for _, e := range j.children(dir) {
			if end, err := j.tree.Lookup(e.Path); dir == tcz.InstalledDir && (err != nil || end.Perm()&0o111 == 0) {
				continue // a marker
			}
			if !e.IsDir() {
				out = append(out, e.Path)
			}
		}
	}
	j.lines("tmp/setup.lst", false, func(_ string, ls []string) {
		for _, l := range ls {
			if name, err := overlay.CleanPath(strings.TrimSpace(l)); err == nil && name != "." {
				out = append(out, name)
			}
		}
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// children are the entries of a folder, which may be a link.
func (j *judge) children(dir string) []*overlay.Entry {
	at, err := j.tree.Resolve(dir)
	if err != nil {
		return nil
	}
	return j.tree.Children(at)
}

// apart matches the end of a command in a script; keyword, the words before one.
var (
	apart    = regexp.MustCompile("[;&|(){}`]+")
	keyword  = regexp.MustCompile(`^(if|then|else|elif|while|until|do|!|[A-Za-z_][A-Za-z0-9_]*=.*)$`)
	redirect = regexp.MustCompile(`[0-9]*(>>|<>|>|<)(&?[0-9-]|\s*[^\s<>]+)`)
	// printed matches quoted text of echo or printf; substitution, the commands that the shell runs inside it.
	printed      = regexp.MustCompile("\\b(echo|printf)(\\s+-[a-zA-Z]+)*(\\s+(\"[^\"]*\"|'[^']*'))+")
	substitution = regexp.MustCompile("\\$\\([^()]*\\)|`[^`]*`")
)

// withoutPrinted removes printed text from a line, and keeps the commands in it. Text with nested substitutions
// stays.
func withoutPrinted(line string) string {
	return printed.ReplaceAllStringFunc(line, func(text string) string {
		commands := strings.Join(substitution.FindAllString(text, -1), ";")
		if strings.Count(text, "$(") != strings.Count(commands, "$(") || strings.Count(text, "`") != strings.Count(commands, "`") {
			return text
		}
		return "echo;" + commands
	})
}

// countsBy are programs whose -c counts or selects, and takes no command.
var countsBy = []string{"grep", "egrep", "fgrep", "zgrep", "wc", "stat", "sort", "uniq", "head", "tail", "cut", "tr", "gzip", "ping"}

// wrapper matches a shell function that runs busybox's program of the same name, as in Tiny Core's
// /etc/init.d/busybox-aliases (5.3 to 13.x). Its callers are judged by the name.
var wrapper = regexp.MustCompile(`(?m)^([a-z0-9_.-]+)\(\) \{\n[ \t]*(?:sudo )?busybox(?:\.suid)? ([a-z0-9_.-]+) "\$@"\n\}$`)

func withoutWrappers(text string) string {
	return wrapper.ReplaceAllStringFunc(text, func(f string) string {
		if m := wrapper.FindStringSubmatch(f); m[1] == m[2] {
			return "\n\n"
		}
		return f
	})
}

func (j *judge) script(name string, ls []string) {
	for i, l := range strings.Split(withoutWrappers(strings.Join(ls, "\n")), "\n") {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "#") {
			continue
		}
		l = strings.NewReplacer(`"`, " ", `'`, " ", `\`, " ").Replace(redirect.ReplaceAllString(withoutPrinted(l), " "))
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

// opens says how a command lets somebody in; "" if it does not.
func (j *judge) opens(words []string) string {
	if len(words) == 0 {
		return ""
	}
	program, rest := path.Base(words[0]), words[1:]
	isCommand := slices.Contains(rest, "-c") && !slices.Contains(countsBy, program)
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
	case "udpsvd":
		if stockTFTP.MatchString(strings.Join(words, " ")) {
			return ""
		}
	case ".", "source":
		if len(rest) > 0 && strings.HasPrefix(rest[0], "/dev/") {
			return "what is typed at " + rest[0]
		}
	case "sh", "ash", "bash", "dash", "hush", "ksh", "mksh", "zsh", "csh", "tcsh", "rbash", "-sh", "-ash", "-bash":
		script := func(w string) bool {
			return !strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "+") && !strings.HasPrefix(w, "/dev/")
		}
		if slices.Contains(rest, "-i") || !slices.ContainsFunc(rest, script) {
			return "the shell " + program + " on the console"
		}
	case "busybox", "busybox.suid", "exec", "setsid", "cttyhack", "nohup", "env", "nice", "sudo", "chroot", "start-stop-daemon", "openvt", "timeout", "time", "eval":
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

// stockTFTP is the command of /etc/init.d/services/tftpd, which every Tiny Core has and nothing calls at boot. It
// only serves files.
var stockTFTP = regexp.MustCompile(`^(/usr/bin/|/sbin/)?udpsvd -E 0 69 tftpd \$HOME$`)

var ncListens = regexp.MustCompile(`^-[a-z]*[le]|LISTEN`)
