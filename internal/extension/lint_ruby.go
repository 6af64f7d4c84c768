package extension

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

var (
	rubyAdd     = regexp.MustCompile(`\bFacter\.add\b`)
	rubyAddName = regexp.MustCompile(`\bFacter\.add\s*\(?\s*(?::([A-Za-z_]\w*)|:?["']([^"'#]+)["'])`)
	rubyRequire = regexp.MustCompile(`\b(?:require|require_relative|load)\b[\s(]+[^\n"']*["']([^"'\n]+)["']`)
	rubyExit    = regexp.MustCompile(`(?:^|[^.\w:@$])(?:(?:Kernel|Process)\.)?(exit!?|abort)(?:\s|$|[(;])`)
	rubyPrint   = regexp.MustCompile(`(?:^|[;{|(]|\b(?:do|then|and|or|unless|if|else)\b)\s*(?:(?:\$stdout|STDOUT|Kernel)\s*(?:\.|<<)\s*)?\b(puts|print|printf|putc|pp|system)\b\s*(?:[("'\w@$:\[]|$)|(?:\$stdout|STDOUT)\s*(?:<<|\.write|\.print|\.puts)|^\s*p\s+["'@:\[\w]`)
	rubyFatal   = regexp.MustCompile(`(?:^|[^.\w:@$])(?:Kernel\.)?(raise|fail)(?:\s|$|[(;])`)
	rubyRescue  = regexp.MustCompile(`\brescue\b`)
)

// noteRequires remembers what some Ruby file loads by itself.
func (l *linter) noteRequires(text []byte) {
	for _, m := range rubyRequire.FindAllSubmatch(text, -1) {
		l.ruby[strings.TrimSuffix(path.Base(string(m[1])), ".rb")] = true
	}
}

// rubyFile checks Ruby files by what Facter does with them where they lie.
func (l *linter) rubyFile(it *piece) {
	if it.text == nil || path.Ext(it.Path) != ".rb" || top(it.Path) != "lib" {
		return
	}
	defines := rubyAdd.Match(it.text)
	required := l.ruby[strings.TrimSuffix(path.Base(it.Path), ".rb")]
	const facts = "lib/ruby/facter"
	switch dir := path.Dir(it.Path); {
	case dir == facts:
	case strings.HasPrefix(dir, facts+"/") && defines && !required:
		l.add(Warning, "ruby-subdirectory", it.Path, 0, "Facter 2 and later do not load facts from directories below facter/", "move it to "+facts+"/"+path.Base(it.Path))
	case defines && !required:
		l.add(Error, "ruby-not-loaded", it.Path, 0, "it defines facts, but Facter loads those in lib/ruby/facter/ only", "move it to "+facts+"/"+path.Base(it.Path))
	}
	if defines || path.Dir(it.Path) == facts || required {
		l.rubyCode(it)
	}
}

// rubyCode looks for statements that end Facter or spoil its output.
func (l *linter) rubyCode(it *piece) {
	for _, m := range rubyAddName.FindAllSubmatchIndex(it.text, -1) {
		name := max(m[2], m[4])
		l.fact(it, lineOf(it.text, name), string(it.text[name:max(m[3], m[5])]), false)
	}
	l.volatile(it, rubyVolatile)
	var nest rubyNest
	for i, line := range rubyLines(it.text) {
		safe := nest.inSafe()
		nest.feed(line)
		if rubyExit.MatchString(line) {
			l.add(Error, "ruby-exit", it.Path, i+1, "exit and abort end Facter itself, and with it all facts of the machine", "use `next`, or let the fact be nil")
		}
		if m := rubyFatal.FindStringIndex(line); m != nil && !safe && !nest.wasSafe && !rubyRescue.MatchString(line) {
			l.add(Error, "ruby-raise", it.Path, i+1, "an exception while the file is loaded ends Facter 1.7 and 2, and with it all facts of the machine", "raise inside setcode only, or rescue it")
		}
		if rubyPrint.MatchString(line) {
			l.add(Warning, "ruby-prints", it.Path, i+1, "what a fact prints on stdout lands in the middle of Facter's JSON", "use $stderr.puts or Facter.debug; run commands with Facter::Util::Resolution.exec")
		}
	}
}

// rubyLines returns a Ruby program's lines without comments, contents of strings, here-documents
// and what follows __END__: good enough for looking at the words that are left.
func rubyLines(text []byte) []string {
	var out []string
	var quote byte     // closing quote of a string that goes on
	var heredoc string // word that ends a here-document
	doc := false       // between =begin and =end
	for _, raw := range bytes.Split(text, []byte{'\n'}) {
		line := strings.TrimSuffix(string(raw), "\r")
		code := ""
		switch {
		case doc:
			doc = !strings.HasPrefix(line, "=end")
		case heredoc != "":
			if strings.TrimSpace(line) == heredoc {
				heredoc = ""
			}
		case strings.HasPrefix(line, "=begin") && quote == 0:
			doc = true
		case line == "__END__":
			return out
		default:
			code, quote = stripRuby(line, quote)
			if m := rubyHeredoc.FindStringSubmatch(line); m != nil && quote == 0 {
				heredoc = m[1] + m[2] + m[3]
			}
		}
		out = append(out, code)
	}
	return out
}

var (
	rubyHeredoc = regexp.MustCompile(`<<[-~](?:"(\w+)"|'(\w+)'|([A-Z_]\w*))`)
	closing     = map[byte]byte{'(': ')', '[': ']', '{': '}', '<': '>', '|': '|', '!': '!', '/': '/'}
)

// stripRuby blanks out strings and comments of one line; quote is the closing quote of a string
// that began on an earlier line, and the result that of one that goes on.
func stripRuby(line string, quote byte) (string, byte) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0:
			switch c {
			case '\\':
				i++
			case quote:
				b.WriteByte('"')
				quote = 0
			}
		case c == '#':
			return b.String(), 0
		case c == '"' || c == '\'' || c == '`':
			b.WriteByte('"')
			quote = c
		case c == '/' && regexpStart(b.String()):
			b.WriteByte('"')
			quote = c
		case c == '%' && percentLiteral(line[i:]) > 0:
			n := percentLiteral(line[i:])
			b.WriteByte('"')
			quote = closing[line[i+n-1]]
			i += n - 1
		case c == '?' && i+1 < len(line) && (i == 0 || line[i-1] == ' ' || line[i-1] == '(') && (i+2 >= len(line) || !wordByte(line[i+2])):
			i++ // a character literal
		default:
			b.WriteByte(c)
		}
	}
	if quote == '/' {
		quote = 0 // it was a division
	}
	return b.String(), quote
}

// regexpStart reports whether a slash after this code begins a pattern and is no division.
func regexpStart(before string) bool {
	t := strings.TrimRight(before, " \t")
	if t == "" {
		return true
	}
	if strings.ContainsRune("=(,~!&|{[;?:", rune(t[len(t)-1])) {
		return true
	}
	for _, word := range []string{"if", "unless", "when", "and", "or", "not", "return", "while", "until"} {
		if strings.HasSuffix(t, word) {
			return true
		}
	}
	return false
}

// percentLiteral returns the length of the opening of %w(, %q{, %(, …, or 0.
func percentLiteral(s string) int {
	n := 1
	if len(s) > 1 && strings.IndexByte("wWqQiIxr", s[1]) >= 0 {
		n = 2
	}
	if len(s) <= n || closing[s[n]] == 0 || n == 1 && s[n] != '(' && s[n] != '{' && s[n] != '[' {
		return 0
	}
	return n + 1
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
