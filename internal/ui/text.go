package ui

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// amount formats a count: bytes in decimal units as on a data sheet, other counts with their unit.
func amount(n int64, unit string) string {
	if unit != "" {
		return strconv.FormatInt(n, 10) + " " + Clean(unit)
	}
	switch {
	case n < 1e3:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// Bytes formats a size.
func Bytes(n int64) string { return amount(n, "") }

// share formats a progress event: "3.2 MB of 8.1 MB (39 %)".
func share(e Event) string {
	if e.Total <= 0 {
		return amount(e.Done, e.Unit)
	}
	percent := int64(float64(e.Done) / float64(e.Total) * 100)
	return fmt.Sprintf("%s of %s (%d %%)", amount(e.Done, e.Unit), amount(e.Total, e.Unit), percent)
}

// subject returns the action and object of e, like the first words of an error: "fetch ruby.tcz".
func (e Event) subject() string {
	return strings.TrimSpace(Clean(e.Step) + " " + Clean(e.Item))
}

// note prints an Info or Warning event without its line end.
func note(e Event) string {
	prefix := ""
	if e.Level == Warning {
		prefix = "mkbuild: warning: "
	}
	subject := e.subject()
	if subject == "" {
		return prefix + Clean(e.Text)
	}
	return prefix + subject + ": " + Clean(e.Text)
}

// cleanLimit bounds the bytes of one text on a terminal.
const cleanLimit = 4 << 10

// Clean makes upstream text safe to print on one line. It shows control characters (including escape sequences and
// line breaks), marks that reorder or hide text, and invalid UTF-8 as Go escapes such as \x1b, and cuts an overlong
// text.
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

// FactName returns the name of a fact for display; quotes show blanks at its ends.
func FactName(name string) string {
	if name == "" || strings.ContainsAny(name, " \t=\"") {
		return strconv.Quote(name)
	}
	return Clean(name)
}

// FactValue returns the value of a fact for display: JSON in one line.
func FactValue(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return Clean(fmt.Sprint(v))
	}
	return Clean(strings.TrimSuffix(b.String(), "\n"))
}

// Plural formats a count of things: "1 file", "2 files".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
