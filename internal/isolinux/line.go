package isolinux

import (
	"slices"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
)

// file is a configuration, line by line; the joined lines are the file's bytes.
type file struct {
	lines []line
}

// line is one line, split into parts without loss.
type line struct {
	indent, keyword, space, value, end string
	at                                 bootmenu.Place
}

// parseLine splits a line; end holds trailing blanks and the line end.
func parseLine(s string) line {
	var l line
	body := strings.TrimRight(s, " \t\r\n")
	l.end = s[len(body):]
	rest := strings.TrimLeft(body, " \t")
	l.indent = body[:len(body)-len(rest)]
	n := strings.IndexAny(rest, " \t")
	if n < 0 {
		n = len(rest)
	}
	l.keyword, rest = rest[:n], rest[n:]
	l.value = strings.TrimLeft(rest, " \t")
	l.space = rest[:len(rest)-len(l.value)]
	return l
}

func (l *line) String() string { return l.indent + l.keyword + l.space + l.value + l.end }

// is reports whether the line has a keyword. Like isolinux, it ignores case.
func (l *line) is(keyword string) bool { return strings.EqualFold(l.keyword, keyword) }

// lineBreak returns only the line end: "\r\n", "\n" or, on a last line, "".
func (l *line) lineBreak() string {
	for _, end := range []string{"\r\n", "\n"} {
		if strings.HasSuffix(l.end, end) {
			return end
		}
	}
	return ""
}

// noArgs reports whether an APPEND line means no arguments (syslinux.txt).
func (l *line) noArgs() bool { return l.value == "" || l.value == "-" }

// addValue appends text to the value.
func (l *line) addValue(text string) { l.value = cmdline.Add(l.value, text) }

// dropValue removes text from the end of the value.
func (l *line) dropValue(text string) { l.value = cmdline.Remove(l.value, text) }

// setValue replaces the value.
func (l *line) setValue(text string) {
	if l.space == "" {
		l.space, l.end = " ", l.lineBreak()
	}
	l.value = text
}

// like returns a new line in the style of l: its indent, blanks, line end and case.
func (l *line) like(keyword, value string) line {
	if l.keyword != "" && l.keyword == strings.ToUpper(l.keyword) {
		keyword = strings.ToUpper(keyword)
	}
	space := l.space
	if space == "" {
		space = " "
	}
	return line{indent: l.indent, keyword: keyword, space: space, value: value, end: l.lineBreak()}
}

// lineEnd returns the file's line end.
func (f *file) lineEnd() string {
	if len(f.lines) > 0 && f.lines[0].lineBreak() != "" {
		return f.lines[0].lineBreak()
	}
	return "\n"
}

// insert inserts a line before line i. If the last line lacks a line end, the new last line lacks it instead.
func (f *file) insert(i int, l line) {
	if i == len(f.lines) && i > 0 && f.lines[i-1].lineBreak() == "" {
		f.lines[i-1].end += f.lineEnd()
		l.end = ""
	} else if i < len(f.lines) && l.lineBreak() == "" {
		l.end = f.lineEnd()
	}
	f.lines = slices.Insert(f.lines, i, l)
}

// remove removes line i. If the last line lacks a line end, the new last line lacks it instead.
func (f *file) remove(i int) {
	if i > 0 && i == len(f.lines)-1 && f.lines[i].lineBreak() == "" {
		before := &f.lines[i-1]
		before.end = strings.TrimSuffix(before.end, before.lineBreak())
	}
	f.lines = slices.Delete(f.lines, i, i+1)
}

func (f *file) bytes() []byte {
	var b strings.Builder
	for i := range f.lines {
		b.WriteString(f.lines[i].String())
	}
	return []byte(b.String())
}
