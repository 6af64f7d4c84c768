package mkclient

import "strings"

// parseCommandLine finds razor.KEY=VALUE on the kernel's command line. It splits as the kernel
// does: at blanks outside double quotes, which may stand around a value or a whole parameter
// (next_arg in the kernel's lib/cmdline.c). Keys are in any case, the last of several wins, an
// empty value counts as absent. Unlike the reference client, which looks for "razor." anywhere
// after a punctuation mark, a parameter must begin with it.
func parseCommandLine(line string) map[string]string {
	values := map[string]string{}
	for _, word := range splitCommandLine(line) {
		name, v, ok := strings.Cut(unquote(word), "=")
		key, is := cutPrefixFold(name, "razor.")
		if v = unquote(v); ok && is && key != "" && v != "" {
			values[key] = v
		}
	}
	return values
}

// splitCommandLine cuts at blanks outside double quotes; the quotes stay in the words.
func splitCommandLine(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == 0)
	})
}

// unquote drops one leading and one trailing double quote, each if it is there, as the kernel.
func unquote(s string) string {
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		return strings.TrimSuffix(rest, `"`)
	}
	return s
}
