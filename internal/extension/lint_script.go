package extension

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// script checks whatever is started through its first line.
func (l *linter) script(it *piece) {
	if it.text == nil {
		return
	}
	if !bytes.HasPrefix(it.text, []byte("#!")) {
		dir := path.Dir(it.Path)
		if it.Executable() && (dir == "bin" || dir == "facts.d" && !dataEnding(it.Path)) {
			l.add(Warning, "no-shebang", it.Path, 1, "it is executable text without a #! line: whether it runs depends on who starts it", "begin it with #!/bin/sh")
		}
		return
	}
	first, _, _ := bytes.Cut(it.text, []byte{'\n'})
	if bytes.HasSuffix(first, []byte{'\r'}) {
		l.add(Error, "crlf", it.Path, 1, "it has Windows line ends: the kernel looks for an interpreter whose name ends in \\r, and the script does nothing, silently",
			"dos2unix, or sed -i 's/\\r$//'")
		return
	}
	if it.Executable() {
		l.interpreter(it, string(first[2:]))
	}
	if top(it.Path) == "facts.d" || top(it.Path) == "bin" {
		l.volatile(it, shellVolatile)
		l.background(it)
	}
}

func dataEnding(p string) bool {
	return slices.Contains([]string{".txt", ".yaml", ".json", ".yml"}, path.Ext(p))
}

// interpreter checks that the image has what a #! line names.
func (l *linter) interpreter(it *piece, line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		l.add(Error, "interpreter", it.Path, 1, "its #! line names no interpreter", "write #!/bin/sh")
		return
	}
	name := words[0]
	if !path.IsAbs(name) {
		l.add(Error, "interpreter", it.Path, 1, fmt.Sprintf("its #! line names %q, which is looked for from the caller's directory", name), "name an absolute path such as /bin/sh")
		return
	}
	if path.Base(name) == "env" && len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		if f := l.files["bin/"+words[1]]; f != nil && f.Executable() {
			return
		}
		l.missing(it, name, l.hasFile(name))
		l.missing(it, words[1], l.hasCommand(words[1]))
		return
	}
	l.missing(it, name, l.hasFile(name))
}

func (l *linter) missing(it *piece, name string, has bool) {
	switch {
	case has:
	case l.opt.Image != nil:
		l.add(Error, "interpreter", it.Path, 1, fmt.Sprintf("%s has no %s", l.opt.Image.Name, name), "write it for /bin/sh or Ruby, or add the interpreter's extension to mkbuild.yaml")
	default:
		l.add(Warning, "interpreter", it.Path, 1, fmt.Sprintf("a plain microkernel has no %s", name), "write it for /bin/sh or Ruby, or check your image with --image FILE.iso")
	}
}

// hasFile reports whether the image has a file; without an image, whether mkbuild's default
// image has it: busybox, and the extensions ruby and bash.
func (l *linter) hasFile(name string) bool {
	if l.opt.Image != nil {
		return l.opt.Image.has(name)
	}
	return slices.Contains([]string{"/bin/sh", "/bin/ash", "/usr/bin/env", "/usr/bin/awk", "/bin/sed", "/usr/local/bin/ruby", "/usr/local/bin/bash"}, name)
}

func (l *linter) hasCommand(name string) bool {
	if l.opt.Image != nil {
		return l.opt.Image.hasCommand(name)
	}
	return slices.Contains([]string{"sh", "ash", "awk", "sed", "ruby", "bash"}, name)
}

// guessedPlaces are directories that extensions lie in with one client or another.
var guessedPlaces = regexp.MustCompile(`/tmp/mk-(update|extension)\b|/var/lib/mk-update\b|/opt/extension\b`)

// paths finds places that are different on the next machine or in the next version.
func (l *linter) paths(it *piece) {
	if it.text == nil || !known(top(it.Path)) {
		return
	}
	if at := guessedPlaces.FindIndex(it.text); at != nil {
		l.add(Error, "fixed-path", it.Path, lineOf(it.text, at[0]), fmt.Sprintf("it relies on %s: the extension lies in another directory with each version", it.text[at[0]:at[1]]),
			`rely on PATH, or on "$(dirname "$0")/.." in scripts and File.dirname(__FILE__) in Ruby`)
	}
}

var (
	shellVolatile = regexp.MustCompile(`(?m)(?:^|[\s;|&(` + "`" + `])date\b|\$\{?(?:RANDOM|SECONDS|EPOCHSECONDS|EPOCHREALTIME)\b|\$\$|\buptime\b|/proc/(?:uptime|loadavg|stat|sys/kernel/random/uuid)\b|\bmktemp\b|/dev/u?random\b`)
	rubyVolatile  = regexp.MustCompile(`\bTime\.now\b|\bDate(?:Time)?\.(?:today|now)\b|\bSecureRandom\b|\bKernel\.rand\b|\brand\(|/proc/(?:uptime|loadavg|stat|sys/kernel/random/uuid)\b|/dev/u?random\b|` + "`" + `date\b|['"]date\b`)
	detached      = regexp.MustCompile(`(?m)^[^#\n]*[^&|>\s\\][ \t]*&[ \t]*$`)
)

// volatile finds values that differ in each check-in: the server then stores and announces
// changed facts every 15 seconds.
func (l *linter) volatile(it *piece, what *regexp.Regexp) {
	for i, line := range strings.Split(string(it.text), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		if m := what.FindString(line); m != "" {
			l.add(Warning, "volatile", it.Path, i+1, fmt.Sprintf("%q gives another value each time: a fact made of it changes at every check-in", strings.TrimLeft(m, " \t;|&(`")),
				"report values that stay, or round them to what rules need")
			return
		}
	}
}

// background finds children that keep Facter's pipe open: it waits for them.
func (l *linter) background(it *piece) {
	for _, at := range detached.FindAllIndex(it.text, -1) {
		if line := it.text[at[0]:at[1]]; !bytes.ContainsRune(line, '>') {
			l.add(Warning, "background", it.Path, lineOf(it.text, at[1]-1), "a child in the background keeps the output open, and Facter waits for it", "redirect it: >/dev/null 2>&1 &")
			return
		}
	}
}
