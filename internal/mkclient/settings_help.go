package mkclient

import (
	"fmt"
	"io"
	"strings"
)

// WriteHelp prints the table of settings for --help.
func WriteHelp(w io.Writer) {
	fmt.Fprintf(w, "Settings (environment razor.KEY, then the kernel's command line, then %s, then the default):\n", ConfigFile)
	for _, row := range Table() {
		fmt.Fprintf(w, "  %s\n      %s (default: %s)\n", row.Usage(), row.Help, row.DefaultText())
	}
}

// Usage is how the setting is written on the kernel's command line.
func (r Setting) Usage() string {
	if r.Family {
		return "razor." + r.Key + "NAME=" + r.Value
	}
	return "razor." + r.Key + "=" + r.Value
}

// DefaultText says what counts without the setting.
func (r Setting) DefaultText() string {
	switch {
	case r.Default != "":
		return r.Default
	case r.Derived != "":
		return "from " + r.Derived
	}
	return "none"
}

// MarkdownTable renders the table of settings for docs/runtime.md.
func MarkdownTable() string {
	var b strings.Builder
	b.WriteString("| setting | default | meaning |\n|---|---|---|\n")
	for _, row := range Table() {
		cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", cell(row.Usage()), cell(row.DefaultText()), cell(row.Help))
	}
	return b.String()
}
