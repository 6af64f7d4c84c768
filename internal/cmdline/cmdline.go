// Package cmdline splits kernel command lines like the kernel (lib/cmdline.c, next_arg), and decides which
// arguments a prod image may have. It is independent of boot loaders.
package cmdline

import (
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// Arg is one argument of a command line.
type Arg struct {
	// Text is the argument as written. Name and Value are the kernel's reading: without quotes around the argument
	// or its value.
	Text, Name, Value string
	// Valued is true if it has a "=".
	Valued bool
	start  int
}

// isSpace is the kernel's isspace: its table is Latin-1, in which 0xA0 is a blank.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0xa0 }

// Split returns the arguments of a line, including those after a "--": kernels before 3.15 read them, later kernels
// pass them to init.
func Split(line string) []Arg {
	var out []Arg
	for at := 0; at < len(line); {
		if isSpace(line[at]) {
			at++
			continue
		}
		a, end := next(line, at)
		out = append(out, a)
		at = end
	}
	return out
}

// next reads the argument at an offset.
func next(line string, at int) (Arg, int) {
	end, equals, quoted := at, -1, false
	for ; end < len(line) && (quoted || !isSpace(line[end])); end++ {
		switch c := line[end]; {
		case c == '"':
			quoted = !quoted
		case c == '=' && equals < 0 && end > at:
			equals = end
		}
	}
	a := Arg{Text: line[at:end], start: at}
	body := a.Text
	if strings.HasPrefix(body, `"`) {
		body = strings.TrimSuffix(body[1:], `"`)
	}
	a.Name, a.Value, a.Valued = strings.Cut(body, "=")
	if strings.HasPrefix(a.Value, `"`) {
		a.Value = strings.TrimSuffix(a.Value[1:], `"`)
	}
	return a, end
}

// kernelPart splits a line before its "--", after which a kernel reads no arguments of its own.
func kernelPart(line string) (args, rest string) {
	for _, a := range Split(line) {
		if a.Text == "--" {
			return strings.TrimRight(line[:a.start], " \t"), " " + line[a.start:]
		}
	}
	return line, ""
}

// Add adds arguments at the end of the kernel's part: before a "--". It does not add them twice.
func Add(line, args string) string {
	head, rest := kernelPart(line)
	if args == "" || strings.HasSuffix(" "+head, " "+args) {
		return line
	}
	if head != "" {
		head += " "
	}
	return head + args + rest
}

// Remove undoes [Add].
func Remove(line, args string) string {
	head, rest := kernelPart(line)
	switch {
	case args == "":
		return line
	case head == args:
		return strings.TrimPrefix(rest, " ")
	case strings.HasSuffix(head, " "+args):
		return strings.TrimSuffix(head, " "+args) + rest
	}
	return line
}

// Without returns a line without the arguments of that name.
func Without(line, name string) string {
	var out []string
	for _, a := range Split(line) {
		if !strings.EqualFold(a.Name, name) || !a.Valued {
			out = append(out, a.Text)
		}
	}
	return strings.Join(out, " ")
}

// Has reports whether a line has an argument without a value.
func Has(line, name string) bool {
	return slices.ContainsFunc(Split(line), func(a Arg) bool { return a.Name == name && !a.Valued })
}

// Check refuses arguments that cannot be added. key names them in errors.
func Check(key, args string) error {
	for _, wrong := range []struct {
		bad  bool
		what string
	}{
		{strings.ContainsAny(args, "\r\n\x00"), "has a line break or a NUL"},
		{strings.Count(args, `"`)%2 != 0, "has a quote that nothing closes: what follows would be part of it"},
		{slices.ContainsFunc(Split(args), func(a Arg) bool { return a.Text == "--" }), "has a --, behind which the kernel looks for nothing"},
	} {
		if wrong.bad {
			return fail.New(fail.Usage, fmt.Sprintf("%s: %.200q %s", key, args, wrong.what), "write the kernel arguments as one line, with quotes in pairs")
		}
	}
	return nil
}
