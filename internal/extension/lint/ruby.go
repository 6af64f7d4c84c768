package lint

import (
	"fmt"
	"regexp"
	"strings"
)

// newRuby is syntax that Ruby 1.8 cannot read, where it is not inside a string or a comment.
var newRuby = []struct {
	match *regexp.Regexp
	what  string
	fix   string
}{
	{regexp.MustCompile(`[{(,|]\s*[a-z_]\w*:([\s,)|]|$)`), "a name with a colon behind it", "write {:name => value}"},
	{regexp.MustCompile(`->\s*(\(|\{|do\b|[a-z_]\w*\s*(\{|do\b))`), "->", "write lambda { |x| … }"},
	{regexp.MustCompile(`[\w)\]]&\.[a-z_]`), "&.", "compare with nil"},
	{regexp.MustCompile(`[\w)\]]\.\(`), ".()", "write .call()"},
	{regexp.MustCompile(`<<~["'A-Z]`), "<<~", "write <<-"},
	{regexp.MustCompile(`(^|[^\w.])require_relative\b`), "require_relative", "write require: lib/ruby is in RUBYLIB"},
}

// quoted matches strings and comments of one line. What is in them is not looked at; a #{…} is lost with its string.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"|'(\\.|[^'\\])*'|(^|\s)#.*`)

// rubyFile looks for syntax that is newer than the image's Ruby, which skips such a file without a word. Of
// an image that is not known Ruby may be 1.8.
func (f *file) rubyFile() {
	sev, whose := Warning, "Ruby 1.8 of Tiny Core 4.x"
	im := f.l.opt.Image
	if !im.oldRuby() || f.marked() {
		return
	}
	if im != nil {
		sev, whose = Error, "Ruby 1.8 of "+im.Name
	}
	hidden, before := false, "" // inside =begin and =end; last character of the line before
	for i, line := range strings.Split(string(f.body), "\n") {
		switch {
		case line == "__END__":
			return
		case strings.HasPrefix(line, "=begin"), strings.HasPrefix(line, "=end"):
			hidden = strings.HasPrefix(line, "=begin")
		}
		code := before + quoted.ReplaceAllString(line, `""`)
		if before = strings.TrimSpace(code); before != "" {
			before = before[len(before)-1:]
		}
		for _, s := range newRuby {
			if !hidden && s.match.MatchString(code) {
				f.report(sev, "ruby-syntax", i+1, fmt.Sprintf("%s cannot read %s, and skips the file", whose, s.what), s.fix)
				return
			}
		}
	}
}
