package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"mkbuild/internal/ui"
)

// printPath prints the name of what a command has made, with slashes.
func printPath(w *world, name string) error {
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

// oneLine keeps hostile or long-winded messages to one printable line.
func oneLine(s string) string {
	return ui.Clean(strings.Join(strings.Fields(s), " "))
}
