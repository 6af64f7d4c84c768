package grub

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// maxConfig is the largest configuration that is accepted; grub-mkconfig's have some 10 KiB.
const maxConfig = 1 << 20

// ErrInvalid is returned for input, or options, that cannot be a GRUB configuration.
var ErrInvalid = fail.New(fail.Verification, "invalid GRUB configuration", "")

// word is one word of a command: its text without quotes, and where it stands in the file.
type word struct {
	text       string
	start, end int
	literal    bool // no $ in it that the shell would replace
}

// command is what the shell runs: words up to a line's end, a semicolon or a brace.
type command struct {
	words []word
	entry string // title of the menu entry around it
}

func (c *command) is(names ...string) bool { return slices.Contains(names, c.words[0].text) }

func (c *command) isLinux() bool { return c.is("linux", "linuxefi", "linux16") }

// parse splits a configuration into commands. Words of the shell's own grammar (if, then, else …)
// that stand in front of a command are dropped.
func parse(cfg []byte) ([]command, error) {
	if err := check(cfg); err != nil {
		return nil, err
	}
	l := &lexer{s: string(cfg)}
	for l.next() {
	}
	if l.quote != 0 {
		return nil, fmt.Errorf("%w: a quote %q that nothing closes", ErrInvalid, l.quote)
	}
	return l.commands, nil
}

// check bounds the input.
func check(cfg []byte) error {
	if len(cfg) > maxConfig {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(cfg), maxConfig)
	}
	if bytes.IndexByte(cfg, 0) >= 0 {
		return fmt.Errorf("%w: it has NUL bytes", ErrInvalid)
	}
	return nil
}

// lexer goes through a file.
type lexer struct {
	s        string
	at       int
	words    []word
	commands []command
	titles   []string // of the braces that are open; "" for those of functions
	quote    byte     // one that was left open
}

// next takes one word or separator; it reports false at the end.
func (l *lexer) next() bool {
	if l.at >= len(l.s) {
		l.flush()
		return false
	}
	switch c := l.s[l.at]; {
	case strings.HasPrefix(l.s[l.at:], "\\\n"):
		l.at += 2
	case strings.HasPrefix(l.s[l.at:], "\\\r\n"):
		l.at += 3
	case c == ' ' || c == '\t' || c == '\r':
		l.at++
	case c == '\n' || c == ';':
		l.flush()
		l.at++
	case c == '#':
		if n := strings.IndexByte(l.s[l.at:], '\n'); n >= 0 {
			l.at += n
		} else {
			l.at = len(l.s)
		}
	case c == '{':
		title := l.title()
		l.flush()
		l.titles = append(l.titles, title)
		l.at++
	case c == '}':
		l.flush()
		if n := len(l.titles); n > 0 {
			l.titles = l.titles[:n-1]
		}
		l.at++
	default:
		l.word()
	}
	return true
}

// title is that of the menu entry whose brace opens, or of the one around it.
func (l *lexer) title() string {
	if len(l.words) > 1 && (l.words[0].text == "menuentry" || l.words[0].text == "submenu") {
		return l.words[1].text
	}
	return l.inside()
}

func (l *lexer) inside() string {
	if n := len(l.titles); n > 0 {
		return l.titles[n-1]
	}
	return ""
}

// flush ends a command.
func (l *lexer) flush() {
	for len(l.words) > 0 && slices.Contains([]string{"if", "then", "else", "elif", "do", "while", "until", "fi", "done", "!"}, l.words[0].text) {
		l.words = l.words[1:]
	}
	if len(l.words) > 0 {
		l.commands = append(l.commands, command{l.words, l.inside()})
	}
	l.words = nil
}

// word takes one word. A brace inside of a word, as in ${name}, is part of it.
func (l *lexer) word() {
	w := word{start: l.at, literal: true}
	var text strings.Builder
	for l.at < len(l.s) {
		c := l.s[l.at]
		switch {
		case c == '\'' || c == '"':
			l.quoted(c, &w, &text)
			continue
		case c == '\\' && l.at+1 < len(l.s):
			if l.s[l.at+1] != '\n' {
				text.WriteByte(l.s[l.at+1])
			}
			l.at += 2
			continue
		case c == '$' && strings.HasPrefix(l.s[l.at:], "${"):
			w.literal = false
			n := strings.IndexAny(l.s[l.at:], "}\n")
			if n > 0 && l.s[l.at+n] == '}' {
				text.WriteString(l.s[l.at : l.at+n+1])
				l.at += n + 1
				continue
			}
		case c == '$':
			w.literal = false
		case strings.IndexByte(" \t\r\n;{}", c) >= 0:
			w.text, w.end = text.String(), l.at
			l.words = append(l.words, w)
			return
		}
		text.WriteByte(c)
		l.at++
	}
	w.text, w.end = text.String(), l.at
	l.words = append(l.words, w)
}

// quoted takes the part of a word that stands in quotes.
func (l *lexer) quoted(q byte, w *word, text *strings.Builder) {
	for l.at++; l.at < len(l.s); l.at++ {
		c := l.s[l.at]
		switch {
		case c == q:
			l.at++
			return
		case q == '"' && c == '\\' && l.at+1 < len(l.s) && strings.IndexByte(`$"\`, l.s[l.at+1]) >= 0:
			l.at++
			c = l.s[l.at]
		case q == '"' && c == '$':
			w.literal = false
		}
		text.WriteByte(c)
	}
	l.quote = q
}

// values are the variables that a file sets to plain text, each once or always alike.
type values map[string]string

var assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

func variables(commands []command) values {
	out, unclear := values{}, map[string]bool{}
	for _, c := range commands {
		w := c.words[0]
		if c.is("set") && len(c.words) == 2 {
			w = c.words[1]
		}
		m := assignment.FindStringSubmatch(w.text)
		if m == nil {
			continue
		}
		old, known := out[m[1]]
		out[m[1]] = m[2]
		unclear[m[1]] = unclear[m[1]] || !w.literal || known && old != m[2]
	}
	for name, bad := range unclear {
		if bad {
			delete(out, name)
		}
	}
	return out
}

var (
	variable = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)
	device   = regexp.MustCompile(`^\([^)]*\)`)
)

// path is a word as a path on the boot medium: variables filled in, the device in front dropped.
func (v values) path(w word) string {
	text := w.text
	if !w.literal {
		text = variable.ReplaceAllStringFunc(text, func(s string) string {
			if value, ok := v[strings.Trim(s, "${}")]; ok {
				return value
			}
			return s
		})
	}
	return device.ReplaceAllString(text, "")
}
