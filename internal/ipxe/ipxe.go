// Package ipxe makes, reads and edits iPXE scripts. It understands the commands "kernel", "initrd" and "boot", and
// leaves the rest of a script unchanged. It runs no script: variables and jumps are not evaluated.
//
// The format is that of https://ipxe.org/scripting. Start reading at [Read].
package ipxe

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
	"mkbuild/internal/fail"
)

// Script returns a script that boots a kernel with initrds and retries after a failure. The kernel's UEFI stub
// finds its initrds through initrd=; a BIOS boot ignores it. Initrds in folders are named by numbers: the digests
// of all segments would fill the kernel's command line.
func Script(kernel string, initrds []string, args string) ([]byte, error) {
	if err := check(args); err != nil {
		return nil, err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "#!ipxe\nkernel %s", kernel)
	for i, path := range initrds {
		fmt.Fprintf(&out, " initrd=%s", cmp.Or(number(i, path), path))
	}
	if args != "" {
		out.WriteString(" " + args)
	}
	out.WriteString(" || goto error\n")
	for i, path := range initrds {
		if n := number(i, path); n != "" {
			path = "--name " + n + " " + path
		}
		fmt.Fprintf(&out, "initrd %s || goto error\n", path)
	}
	out.WriteString("boot || goto error\n\n:error\necho The microkernel did not boot: trying again in 30 seconds\nsleep 30\nreboot\n")
	return []byte(out.String()), nil
}

// number returns the name of an initrd in a folder, or "" for others.
func number(i int, path string) string {
	if !strings.Contains(path, "/") {
		return ""
	}
	return strconv.Itoa(i + 1)
}

// check refuses arguments that iPXE would change or treat as the end of a command.
func check(args string) error {
	if strings.Contains(args, "${") || slices.ContainsFunc(strings.Fields(args), func(a string) bool { return a == "||" || a == "&&" }) {
		return fail.New(fail.Usage, fmt.Sprintf("config boot.append: iPXE interprets %q itself, so the kernel cannot get it", args),
			"leave ${, || and && out of the kernel arguments, or build without the form pxe")
	}
	return nil
}

// Read returns the boot entries of a script. The name of an entry is the label before it; paths are relative to the
// script's own URL.
func Read(script []byte, _ bootmenu.Open) (*bootmenu.Menu, error) {
	out := &bootmenu.Menu{}
	var e bootmenu.Entry
	done := func(next string) {
		if e.Kernel != "" {
			out.Entries = append(out.Entries, e)
		}
		e = bootmenu.Entry{Name: next}
	}
	for line := range strings.Lines(string(script)) {
		command, _ := cut(line)
		words := operands(strings.Fields(command))
		switch {
		case len(words) == 0:
		case strings.HasPrefix(words[0], ":"):
			done(words[0][1:])
		case words[0] == "boot":
			done(e.Name)
		case words[0] == "kernel" && len(words) > 1:
			e.Kernel, e.Append = words[1], strings.Join(words[2:], " ")
		case words[0] == "initrd" && len(words) > 1:
			e.Initrds = append(e.Initrds, words[1])
		}
	}
	done("")
	return out, nil
}

// operands returns a command without the options before its first operand: --name NAME, --timeout N.
func operands(words []string) []string {
	at := 1
	for at < len(words) && strings.HasPrefix(words[at], "-") {
		if at++; !slices.Contains([]string{"-a", "--autofree"}, words[at-1]) && !strings.Contains(words[at-1], "=") {
			at++
		}
	}
	if at == 1 || len(words) == 0 {
		return words
	}
	return slices.Concat(words[:1], words[min(at, len(words)):])
}

// cut splits a line before iPXE's next command, "|| goto failed", or at its end.
func cut(line string) (command, rest string) {
	end := len(strings.TrimRight(line, "\r\n"))
	for _, sep := range []string{" ||", " &&"} {
		if i := strings.Index(line, sep); i >= 0 {
			end = min(end, i)
		}
	}
	return line[:end], line[end:]
}

// Edit returns the script with other kernel arguments. iPXE scripts have no timeout.
func Edit(script []byte, o bootmenu.Edit) ([]byte, error) {
	if err := check(o.Append); err != nil {
		return nil, err
	}
	var out strings.Builder
	for line := range strings.Lines(string(script)) {
		command, rest := cut(line)
		if words := strings.Fields(command); len(words) > 1 && words[0] == "kernel" {
			command = edited(command, o.Remove, o.Append)
		}
		out.WriteString(command + rest)
	}
	return []byte(out.String()), nil
}

func edited(command, remove, add string) string {
	return cmdline.Add(cmdline.Remove(command, remove), add)
}
