package grub

import (
	"cmp"
	"slices"
	"strings"

	"mkbuild/internal/cmdline"
)

// editor gathers replacements of parts of a file, to be made at once.
type editor struct {
	cfg   string
	edits []edit
}

type edit struct {
	start, end int
	text       string
}

// arguments changes what stands behind the kernel of a "linux" command.
func (e *editor) arguments(c command, remove, add string) {
	if len(c.words) < 2 {
		return
	}
	from, last := c.words[1].end, c.words[len(c.words)-1].end
	for i, w := range c.words[2:] {
		if w.text == "--" { // the kernel looks for nothing behind it
			last = c.words[i+1].end
			break
		}
	}
	args := e.cfg[from:last]
	had := args
	if remove != "" {
		args = strings.TrimSuffix(args, " "+remove)
	}
	if add != "" && !strings.HasSuffix(args, " "+add) { // not again when it is edited again
		args += " " + add
	}
	if args != had {
		e.edits = append(e.edits, edit{from, last, args})
	}
}

// timeout changes every "timeout=", or adds one in front of the first menu entry.
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

// special are the characters that mean something to GRUB's shell.
const special = "\\'\"$;{}#&|<>()*?[]~!` \t"

// quoteArgs writes kernel arguments as words of GRUB's shell. GRUB itself puts double quotes
// around an argument with blanks when it hands it to the kernel.
func quoteArgs(args string) string {
	var out []string
	for _, arg := range cmdline.Split(args) {
		a := strings.ReplaceAll(arg.Text, `"`, "")
		if a == "" { // a pair of quotes alone says nothing to a kernel
			continue
		}
		if strings.ContainsAny(a, special) {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
