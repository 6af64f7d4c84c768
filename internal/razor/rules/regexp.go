package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
)

const (
	// maxRegexp bounds the source of a regular expression, in bytes.
	maxRegexp = 4096
	// matchTime bounds one search: an expression that backtracks can take exponentially long.
	matchTime = 100 * time.Millisecond
)

// Regexp is a regular expression with Ruby's meaning: a search is not anchored, and ^ and $ are the ends of
// lines.
type Regexp struct{ re *regexp2.Regexp }

// CompileRegexp compiles an expression written for Ruby.
func CompileRegexp(src string, ignoreCase bool) (*Regexp, error) {
	if len(src) > maxRegexp {
		return nil, fmt.Errorf("regular expression of %d bytes, the limit is %d", len(src), maxRegexp)
	}
	t := translator{rest: src}
	for t.rest != "" {
		if err := t.next(); err != nil {
			return nil, err
		}
	}
	flags := regexp2.Multiline
	if ignoreCase {
		flags |= regexp2.IgnoreCase
	}
	re, err := regexp2.Compile(t.out.String(), flags)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	re.MatchTimeout = matchTime
	return &Regexp{re}, nil
}

// Match searches s. It returns an error if the search took too long.
func (r *Regexp) Match(s string) (bool, error) { return r.re.MatchString(s) }

// translator rewrites the syntax of Ruby's expressions (Onigmo) into .NET's, which regexp2 reads, where the two
// differ. It refuses syntax with another meaning in .NET.
type translator struct {
	rest string
	out  strings.Builder
}

// Ruby's other spellings, at the start of the rest.
var (
	openRange   = regexp.MustCompile(`^\{,\d+\}`)              // {,3} is {0,3}
	inlineFlags = regexp.MustCompile(`^\(\?[A-Za-z-]+[:)]`)    // Ruby's m lets the dot match a newline
	unicode     = regexp.MustCompile(`^\\u\{([0-9a-fA-F]+)\}`) // \u{e9} is \x{e9}
	posixClass  = regexp.MustCompile(`^\[:(\^?[a-z]+):\]`)     // .NET has none
	letter      = regexp.MustCompile(`^[A-Za-z]`)
)

// sets are the letters for sets of characters. In Ruby they mean ASCII.
var sets = map[byte]string{
	'd': `0-9`, 'D': `\x00-/:-\x{10ffff}`,
	'h': `0-9a-fA-F`, 'H': `\x00-/:-@G-` + "`" + `g-\x{10ffff}`,
	's': `\t-\r\x20`, 'S': `\x00-\x08\x0e-\x1f!-\x{10ffff}`,
	'w': `0-9A-Za-z_`, 'W': `\x00-/:-@\[-\^` + "`" + `\{-\x{10ffff}`,
}

// posix are the bracket expressions of POSIX. In Ruby they mean Unicode.
var posix = map[string]string{
	"alnum": `\p{L}\p{M}\p{Nd}`, "alpha": `\p{L}\p{M}`, "blank": `\t\p{Zs}`, "cntrl": `\p{Cc}`, "digit": `\p{Nd}`,
	"lower": `\p{Ll}`, "punct": `\p{P}$+<=>\^` + "`" + `|~`, "space": `\s`, "upper": `\p{Lu}`, "word": `\w`, "xdigit": `0-9A-Fa-f`,
}

// Letters with a meaning for .NET after a backslash, outside a class and in one. Other letters mean themselves,
// as in Ruby.
const (
	escapes      = "AzZbBGRXKgCMkpPxcuaefnrtv"
	classEscapes = "bpPxcuaefnrtv"
)

// emit replaces the next n bytes by text.
func (t *translator) emit(n int, text string) {
	t.out.WriteString(text)
	t.rest = t.rest[n:]
}

func (t *translator) next() error {
	switch {
	case t.rest[0] == '\\':
		return t.escape(escapes)
	case t.rest[0] == '[':
		return t.class()
	case openRange.MatchString(t.rest):
		t.emit(2, "{0,")
	case inlineFlags.MatchString(t.rest):
		flags := inlineFlags.FindString(t.rest)
		if strings.Trim(flags, "(?mi-:)") != "" {
			return fmt.Errorf("inline flags %s are not supported here: m and i are", flags)
		}
		t.emit(len(flags), strings.ReplaceAll(flags, "m", "s"))
	default:
		t.emit(1, t.rest[:1])
	}
	return nil
}

// escape rewrites a backslash sequence.
func (t *translator) escape(known string) error {
	if len(t.rest) < 2 {
		return errors.New("too short escape sequence")
	}
	c := t.rest[1]
	switch set, isSet := sets[c]; {
	case isSet && known == classEscapes:
		t.emit(2, set)
	case isSet:
		t.emit(2, "["+set+"]")
	case unicode.MatchString(t.rest):
		m := unicode.FindStringSubmatch(t.rest)
		t.emit(len(m[0]), `\x{`+m[1]+`}`)
	case letter.MatchString(t.rest[1:]) && strings.IndexByte(known, c) < 0:
		t.emit(2, t.rest[1:2])
	default:
		t.emit(2, t.rest[:2])
	}
	return nil
}

// class rewrites a bracket expression.
func (t *translator) class() error {
	t.emit(1, "[")
	if strings.HasPrefix(t.rest, "^") {
		t.emit(1, "^")
	}
	if strings.HasPrefix(t.rest, "]") {
		return errors.New("empty char-class")
	}
	for t.rest != "" {
		switch {
		case t.rest[0] == ']':
			t.emit(1, "]")
			return nil
		case t.rest[0] == '\\':
			if err := t.escape(classEscapes); err != nil {
				return err
			}
		case posixClass.MatchString(t.rest):
			m := posixClass.FindStringSubmatch(t.rest)
			set, ok := posix[m[1]]
			if !ok {
				return fmt.Errorf("%s is not supported here", m[0])
			}
			t.emit(len(m[0]), set)
		case t.rest[0] == '[':
			return errors.New("nested character class is Ruby's and not supported here")
		case strings.HasPrefix(t.rest, "&&"):
			return errors.New("intersection && in a character class is Ruby's and not supported here")
		default:
			t.emit(1, t.rest[:1])
		}
	}
	return errors.New("premature end of char-class")
}
