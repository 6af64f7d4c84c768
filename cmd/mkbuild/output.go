package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"mkbuild/internal/remaster"
	"mkbuild/internal/ui"
)

// toStdout is the output name that means stdout.
const toStdout = "-"

// stream returns stdout for [toStdout], else nil. A terminal is refused.
func (w *world) stream(name string) (io.Writer, error) {
	if name == toStdout && w.onScreen {
		return nil, usage("write to stdout: it is a terminal", "redirect it with > FILE, or name a file with -o FILE")
	}
	if name == toStdout {
		return w.stdout, nil
	}
	return nil, nil
}

// printOutputs prints the path of each form.
func printOutputs(w *world, outputs []remaster.Output) error {
	for _, out := range outputs {
		if err := printPath(w, out.Path); err != nil {
			return err
		}
	}
	return nil
}

// printPath prints the path of a result, with slashes, unless it went to stdout.
func printPath(w *world, name string) error {
	if name == toStdout {
		return nil
	}
	_, err := fmt.Fprintln(w.stdout, filepath.ToSlash(name))
	return err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printed is a result that people can read.
type printed interface{ Print(io.Writer) error }

// printReport prints a result as JSON or for people.
func printReport(w *world, r printed, asJSON bool) error {
	if asJSON {
		return printJSON(w.stdout, r)
	}
	return r.Print(w.stdout)
}

// oneLine turns hostile or long messages into one printable line.
func oneLine(s string) string {
	return ui.Clean(strings.Join(strings.Fields(s), " "))
}
