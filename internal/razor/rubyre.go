package razor

import (
	"fmt"
	"regexp"
	"strings"
)

// maxRegexp bounds the source of a regular expression, in bytes.
const maxRegexp = 4096

// compileRegexp compiles a regular expression written for Ruby. Search is unanchored and ^ and
// $ are anchors of lines, as in Ruby.
func compileRegexp(src string, ignoreCase bool) (*regexp.Regexp, error) {
	t, err := translateRegexp(src)
	if err != nil {
		return nil, err
	}
	flags := "(?m)"
	if ignoreCase {
		flags = "(?mi)"
	}
	re, err := regexp.Compile(flags + t)
	if err != nil {
		return nil, fmt.Errorf("%s (this server uses RE2: no look-around, back-references or possessive quantifiers)",
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

// translateRegexp rewrites Ruby's syntax (Onigmo) into Go's (RE2) where both mean the same:
// \Z, \h, \H, \R, \e, \s with vertical tab, \uXXXX, {,n}, (?m) for dot-all, and escapes of
// plain letters. What RE2 cannot do is refused by name, never approximated.
func translateRegexp(src string) (string, error) {
	if len(src) > maxRegexp {
		return "", fmt.Errorf("regular expression of %d bytes, the limit is %d", len(src), maxRegexp)
	}
	t := reTranslator{src: src}
	for t.pos < len(t.src) {
		if err := t.step(); err != nil {
			return "", err
		}
	}
	return t.out.String(), nil
}

type reTranslator struct {
	src string
	pos int
	out strings.Builder
}

// take copies n bytes unchanged.
func (t *reTranslator) take(n int) {
	t.out.WriteString(t.src[t.pos : t.pos+n])
	t.pos += n
}

func (t *reTranslator) rest() string { return t.src[t.pos:] }

func (t *reTranslator) step() error {
	switch c := t.src[t.pos]; {
	case c == '\\':
		return t.escape(false)
	case c == '[':
		return t.class()
	case strings.HasPrefix(t.rest(), "(?"):
		return t.group()
	case strings.HasPrefix(t.rest(), "{,"):
		t.openRange()
	default:
		t.take(1)
	}
	return nil
}

// openRange turns Ruby's {,n} into {0,n}; RE2 would take it literally.
func (t *reTranslator) openRange() {
	end := strings.IndexByte(t.rest(), '}')
	if end > 2 && strings.Trim(t.rest()[2:end], "0123456789") == "" {
		t.out.WriteString("{0,")
		t.pos += 2
		return
	}
	t.take(2)
}

// groups that RE2 does not have, by prefix, longest first.
var refusedGroups = []struct{ prefix, name string }{
	{"(?<=", "look-behind"}, {"(?<!", "look-behind"}, {"(?=", "look-ahead"}, {"(?!", "look-ahead"},
	{"(?>", "atomic group"}, {"(?~", "absence operator"}, {"(?(", "conditional"},
}

// group handles what follows "(?": inline flags change their letters, named groups pass.
func (t *reTranslator) group() error {
	for _, g := range refusedGroups {
		if strings.HasPrefix(t.rest(), g.prefix) {
			return fmt.Errorf("%s %s…) is Ruby's and not supported here (RE2)", g.name, g.prefix)
		}
	}
	if strings.HasPrefix(t.rest(), "(?#") {
		end := strings.IndexByte(t.rest(), ')')
		if end < 0 {
			return fmt.Errorf("end pattern in comment")
		}
		t.pos += end + 1
		return nil
	}
	if strings.HasPrefix(t.rest(), "(?<") || strings.HasPrefix(t.rest(), "(?:") {
		t.take(3)
		return nil
	}
	t.take(2)
	for t.pos < len(t.src) && strings.IndexByte("mix-", t.src[t.pos]) >= 0 {
		switch t.src[t.pos] {
		case 'm': // Ruby's m lets the dot match a newline
			t.out.WriteByte('s')
			t.pos++
		case 'x':
			return fmt.Errorf("inline flag x (extended syntax) is not supported here (RE2)")
		default:
			t.take(1)
		}
	}
	return nil
}

// class copies a bracket expression and refuses Ruby's nested classes and intersections.
func (t *reTranslator) class() error {
	t.take(1)
	if strings.HasPrefix(t.rest(), "^") {
		t.take(1)
	}
	if strings.HasPrefix(t.rest(), "]") {
		return fmt.Errorf("empty char-class")
	}
	for t.pos < len(t.src) {
		rest := t.rest()
		switch {
		case rest[0] == ']':
			t.take(1)
			return nil
		case strings.HasPrefix(rest, "[:"):
			end := strings.Index(rest, ":]")
			if end < 0 {
				return fmt.Errorf("premature end of char-class")
			}
			t.take(end + 2)
		case rest[0] == '[':
			return fmt.Errorf("nested character class is Ruby's and not supported here (RE2)")
		case strings.HasPrefix(rest, "&&"):
			return fmt.Errorf("intersection && in a character class is Ruby's and not supported here (RE2)")
		case rest[0] == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		default:
			t.take(1)
		}
	}
	return fmt.Errorf("premature end of char-class")
}

// escapes with another spelling in RE2: outside and inside of a class ("" is refused).
var reEscapes = map[byte]struct{ plain, inClass string }{
	'Z': {`\n?\z`, "Z"},
	'h': {`[0-9a-fA-F]`, `0-9a-fA-F`},
	'H': {`[^0-9a-fA-F]`, ""},
	'R': {`(?:\r\n|[\n-\r\x{85}\x{2028}\x{2029}])`, "R"},
	's': {`[\t-\r ]`, `\t-\r `},
	'S': {`[^\t-\r ]`, ""},
	'e': {`\x1b`, `\x1b`},
	'A': {`\A`, "A"},
	'z': {`\z`, "z"},
	'b': {`\b`, `\x08`},
	'B': {`\B`, "B"},
}

// escape handles a backslash and what it belongs to.
func (t *reTranslator) escape(inClass bool) error {
	if t.pos+1 >= len(t.src) {
		return fmt.Errorf("too short escape sequence")
	}
	c := t.src[t.pos+1]
	if e, ok := reEscapes[c]; ok {
		s := e.plain
		if inClass {
			s = e.inClass
		}
		if s == "" {
			return fmt.Errorf(`\%c in a character class is not supported here (RE2)`, c)
		}
		t.out.WriteString(s)
		t.pos += 2
		return nil
	}
	switch {
	case c == 'u':
		return t.unicode()
	case c >= '1' && c <= '9' && !inClass:
		return fmt.Errorf(`back-reference \%c is not supported here (RE2)`, c)
	case strings.IndexByte("kgGKXcCM", c) >= 0 && !inClass:
		return fmt.Errorf(`\%c is Ruby's and not supported here (RE2)`, c)
	case strings.IndexByte("dDwWaftnrvxpP0", c) >= 0 || !isLetter(c):
		t.take(2)
	default: // a letter without a meaning stands for itself
		t.out.WriteByte(c)
		t.pos += 2
	}
	return nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 }

// unicode turns \uXXXX and \u{X…} into \x{…}.
func (t *reTranslator) unicode() error {
	rest := t.rest()[2:]
	digits, used := "", 0
	if strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return fmt.Errorf("invalid Unicode escape")
		}
		digits, used = rest[1:end], end+1
	} else if len(rest) >= 4 {
		digits, used = rest[:4], 4
	}
	if digits == "" || len(digits) > 6 || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return fmt.Errorf("invalid Unicode escape")
	}
	t.out.WriteString(`\x{` + digits + `}`)
	t.pos += 2 + used
	return nil
}
