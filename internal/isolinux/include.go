package isolinux

import (
	"fmt"
	"strings"

	"mkbuild/internal/bootmenu"
)

// maxIncludes bounds the files of one configuration; more than a dozen are a circle.
const maxIncludes = 64

// include is the file that an INCLUDE or MENU INCLUDE line names, or "".
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

// expand returns a configuration with the files that it includes. left is how many more these may be.
func expand(cfg []byte, open bootmenu.Open, left *int) ([]byte, error) {
	f, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read isolinux configuration: %w", err)
	}
	var out []byte
	for i := range f.lines {
		l := &f.lines[i]
		name := l.include()
		if name == "" {
			out = append(out, l.String()...)
			continue
		}
		if *left--; *left < 0 {
			return nil, fmt.Errorf("read isolinux configuration: %w: more than %d files are included", ErrInvalid, maxIncludes)
		}
		text, err := open(name)
		if err != nil {
			return nil, err
		}
		if text, err = expand(text, open, left); err != nil {
			return nil, err
		}
		out = append(append(out, text...), '\n')
	}
	return out, nil
}
