package grub

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/fail"
)

// maxConfig is the size limit of a configuration; grub-mkconfig's have some 10 KiB.
const maxConfig = 1 << 20

// ErrInvalid is returned for input or options that are not valid in a GRUB configuration.
var ErrInvalid = fail.New(fail.Verification, "invalid GRUB configuration", "")

// word is one word of a command: its text without quotes, and its place in the file.
type word struct {
	text       string
	start, end int
	literal    bool // it has no $ that the shell would replace
}

// command is a command of the shell: words up to a line's end, a semicolon or a brace.
type command struct {
	words  []word
	entry  string // title of the menu entry around it
	inMenu bool   // there is a menu entry around it
	fn     string // name of the function around it
	place  bootmenu.Place
}

func (c *command) is(names ...string) bool { return slices.Contains(names, c.words[0].text) }

func (c *command) isLinux() bool { return c.is("linux", "linuxefi", "linux16") }

// parse splits a configuration into commands. It drops words of the shell's own grammar (if, then, else …) before a
// command.
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

// check limits the size of the input.
func check(cfg []byte) error {
	if len(cfg) > maxConfig {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(cfg), maxConfig)
	}
	if slices.Contains(cfg, 0) {
		return fmt.Errorf("%w: it has NUL bytes", ErrInvalid)
	}
	return nil
}

// lexer splits a file into words.
type lexer struct {
	s        string
	at       int
	words    []word
	commands []command
	braces   []brace // that are open
	line     int     // of the place counted, from 0
	counted  int
	quote    byte // an unclosed quote
}

// brace is the owner of an open brace: a menu entry with its title, a function with its name, or neither.
type brace struct {
	title, fn string
	menu      bool
}

// next reads one word or separator; it reports false at the end.
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
		comment, _, _ := strings.Cut(l.s[l.at:], "\n")
		l.at += len(comment)
	case c == '\\' && l.at+1 == len(l.s): // a line continuation at the end of the file
		l.at++
	case c == '{':
		b := l.opened()
		l.flush()
		l.braces = append(l.braces, b)
		l.at++
	case c == '}':
		l.flush()
		if n := len(l.braces); n > 0 {
			l.braces = l.braces[:n-1]
		}
		l.at++
	default:
		l.word()
	}
	return true
}

// opened returns the owner of an opening brace: the menu entry or function before it, or the enclosing owner.
func (l *lexer) opened() brace {
	b := l.inside()
	if len(l.words) > 1 {
		switch l.words[0].text {
		case "menuentry", "submenu":
			b.title, b.menu = l.words[1].text, true
		case "function":
			b.fn = l.words[1].text
		}
	}
	return b
}

func (l *lexer) inside() brace {
	if n := len(l.braces); n > 0 {
		return l.braces[n-1]
	}
	return brace{}
}

// flush ends a command.
func (l *lexer) flush() {
	for len(l.words) > 0 && slices.Contains([]string{"if", "then", "else", "elif", "do", "while", "until", "fi", "done", "!"}, l.words[0].text) {
		l.words = l.words[1:]
	}
	if len(l.words) > 0 {
		b := l.inside()
		l.line += strings.Count(l.s[l.counted:l.words[0].start], "\n")
		l.counted = l.words[0].start
		l.commands = append(l.commands, command{l.words, b.title, b.menu, b.fn, bootmenu.Place{Line: l.line + 1}})
	}
	l.words = nil
}

// inBraces matches a variable in the form ${name}.
var inBraces = regexp.MustCompile(`^\$\{[^}\n]*\}`)

// word reads one word. A brace inside a word, as in ${name}, is part of it.
func (l *lexer) word() {
	w := word{start: l.at, literal: true}
	var text strings.Builder
	for l.at < len(l.s) {
		c := l.s[l.at]
		switch {
		case c == '\\' && l.at+1 == len(l.s):
			w.text, w.end = text.String(), l.at
			l.words = append(l.words, w)
			return
		case c == '\'' || c == '"':
			l.quoted(c, &w, &text)
			continue
		case c == '\\':
			if l.s[l.at+1] != '\n' {
				text.WriteByte(l.s[l.at+1])
			}
			l.at += 2
			continue
		case c == '$':
			w.literal = false
			if v := inBraces.FindString(l.s[l.at:]); v != "" {
				text.WriteString(v)
				l.at += len(v)
				continue
			}
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

// quoted reads the quoted part of a word.
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
