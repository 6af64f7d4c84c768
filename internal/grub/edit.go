package grub

import (
	"cmp"
	"slices"
	"strings"

	"mkbuild/internal/cmdline"
)

// editor collects replacements in a file and applies them together.
type editor struct {
	cfg   string
	edits []edit
}

type edit struct {
	start, end int
	text       string
}

// arguments changes the arguments after the kernel of a "linux" command.
func (e *editor) arguments(c command, remove, add string) {
	if len(c.words) < 2 {
		return
	}
	from, last := c.words[1].end, c.words[len(c.words)-1].end
	for i, w := range c.words[2:] {
		if w.text == "--" { // the kernel ignores the rest
			last = c.words[i+1].end
			break
		}
	}
	args := e.cfg[from:last]
	had := args
	if remove != "" {
		args = strings.TrimSuffix(args, " "+remove)
	}
	if add != "" && !strings.HasSuffix(args, " "+add) { // do not add them again in a later edit
		args += " " + add
	}
	if args != had {
		e.edits = append(e.edits, edit{from, last, args})
	}
}

// timeout changes every "timeout=", or adds one before the first menu entry.
func (e *editor) timeout(commands []command, seconds string) {
	want, found := "timeout="+seconds, false
	for _, c := range commands {
		w := c.words[0]
		if c.is("set") && len(c.words) > 1 {
			w = c.words[1]
		}
		if !strings.HasPrefix(w.text, "timeout=") {
			continue
		}
		found = true
		if w.text != want {
			e.edits = append(e.edits, edit{w.start, w.end, want})
		}
	}
	if found {
		return
	}
	for _, c := range commands {
		if c.is("menuentry", "submenu") && c.entry == "" {
			at := c.words[0].start
			e.edits = append(e.edits, edit{at, at, "set " + want + "\n"})
			return
		}
	}
}

func (e *editor) bytes() []byte {
	slices.SortFunc(e.edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out strings.Builder
	at := 0
	for _, x := range e.edits {
		out.WriteString(e.cfg[at:x.start] + x.text)
		at = x.end
	}
	out.WriteString(e.cfg[at:])
	return []byte(out.String())
}

// special are the special characters of GRUB's shell.
const special = "\\'\"$;{}#&|<>()*?[]~!` \t"

// quoteArgs writes kernel arguments as words of GRUB's shell. GRUB itself puts double quotes around an argument
// with blanks before it passes the argument to the kernel.
func quoteArgs(args string) string {
	var out []string
	for _, arg := range cmdline.Split(args) {
		a := strings.ReplaceAll(arg.Text, `"`, "")
		if a == "" { // an empty pair of quotes has no meaning for a kernel
			continue
		}
		if strings.ContainsAny(a, special) {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
