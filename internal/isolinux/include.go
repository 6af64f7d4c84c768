package isolinux

import (
	"fmt"
	"strings"
)

// maxIncludes bounds the files of one configuration; more than a dozen are a circle.
const maxIncludes = 64

// Includes lists the files that the INCLUDE and MENU INCLUDE lines of a configuration name, as
// written.
func Includes(cfg []byte) ([]string, error) {
	f, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read isolinux configuration: %w", err)
	}
	var out []string
	for i := range f.lines {
		if name := f.lines[i].include(); name != "" {
			out = append(out, name)
		}
	}
	return out, nil
}

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

// Expand returns a configuration with the files that it includes in the places of the lines that
// name them, as isolinux reads it. open returns a file's text, nil for one that is not there:
// isolinux passes over it.
func Expand(cfg []byte, open func(name string) ([]byte, error)) ([]byte, error) {
	left := maxIncludes
	return expand(cfg, open, &left)
}

func expand(cfg []byte, open func(name string) ([]byte, error), left *int) ([]byte, error) {
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
