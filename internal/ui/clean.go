package ui

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanLimit is the most bytes of one text that reach a terminal.
const cleanLimit = 4 << 10

// Clean makes text from upstream safe to print on one line: control characters (escape
// sequences and line breaks among them), marks that reorder or hide text, and bytes that are
// not UTF-8 are shown as Go escapes such as \x1b, and an overlong text is cut.
func Clean(s string) string {
	cut := ""
	if len(s) > cleanLimit {
		s, cut = s[:cleanLimit], "…"
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])|0x100, 16)[1:])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String() + cut
}
