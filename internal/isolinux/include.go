package isolinux

import (
	"fmt"
	"strings"

	"mkbuild/internal/bootmenu"
)

// maxIncludes bounds the files of one configuration; more than a dozen are a cycle.
const maxIncludes = 64

// include returns the file of an INCLUDE or MENU INCLUDE line, or "".
func (l *line) include() string {
	words := strings.Fields(l.value)
	if l.is("menu") && len(words) > 1 && strings.EqualFold(words[0], "include") {
		return words[1]
	}
	if l.is("include") && len(words) > 0 {
		return words[0]
	}
	return ""
}

// expand returns a configuration with the lines of its included files. name is the including file. left is the
// number of files that may still be included.
func expand(cfg []byte, name string, open bootmenu.Open, left *int) (*file, error) {
	f, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read isolinux configuration: %w", err)
	}
	out := &file{}
	for i := range f.lines {
		l := &f.lines[i]
		l.at = bootmenu.Place{File: name, Line: i + 1}
		part := l.include()
		if part == "" {
			out.lines = append(out.lines, *l)
			continue
		}
		if *left--; *left < 0 {
			return nil, fmt.Errorf("read isolinux configuration: %w: more than %d files are included", ErrInvalid, maxIncludes)
		}
		text, err := open(part)
		if err != nil {
			return nil, err
		}
		more, err := expand(text, part, open, left)
		if err != nil {
			return nil, err
		}
		out.lines = append(out.lines, more.lines...)
	}
	return out, nil
}
