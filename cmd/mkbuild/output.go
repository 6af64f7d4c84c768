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

// oneLine keeps hostile or long-winded messages to one printable line.
func oneLine(s string) string {
	return ui.Clean(strings.Join(strings.Fields(s), " "))
}
