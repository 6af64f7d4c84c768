package lock

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Names become parts of paths and addresses, hashes the names of files in the cache.
var (
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9_+][A-Za-z0-9+_.@,-]{0,254}$`)
	sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)
	md5Form    = regexp.MustCompile(`^([0-9a-f]{32})?$`)
)

// maxInputs is more than any closure has: see package tcz.
const maxInputs = 20000

// maxTime is the last second that cpio's and ISO 9660's times can hold alike.
const maxTime = 1<<32 - 1

func (l *Lock) validate() error {
	switch {
	case l.Schema != Schema:
		return fmt.Errorf("its schema is %.40q, and this mkbuild reads %s", l.Schema, Schema)
	case !sha256Form.MatchString(l.Config):
		return fmt.Errorf("config %.80q is no digest", l.Config)
	case l.SourceDate < 0 || l.SourceDate > maxTime:
		return fmt.Errorf("source_date %d is no time that an image can hold", l.SourceDate)
	case !isName(l.Release) || !isName(l.Arch) || !isName(l.Kernel):
		return fmt.Errorf("release %.80q, arch %.80q, kernel %.80q: all are needed, as plain names", l.Release, l.Arch, l.Kernel)
	case len(l.Inputs) > maxInputs:
		return fmt.Errorf("it has %d inputs, the limit is %d", len(l.Inputs), maxInputs)
	}
	for _, in := range l.Inputs {
		if err := in.validate(); err != nil {
			return fmt.Errorf("input %.80q: %w", in.Name, err)
		}
	}
	return nil
}

func (in *Input) validate() error {
	switch {
	case !slices.Contains([]string{ISO, TCZ, RubyGems, MCollective, Gem}, in.Kind):
		return fmt.Errorf("kind %.40q is not known", in.Kind)
	case !isName(in.Name):
		return errors.New("that is not a file's name")
	case !sha256Form.MatchString(in.SHA256):
		return fmt.Errorf("sha256 %.80q is not 64 digits of lower-case hex", in.SHA256)
	case !md5Form.MatchString(in.MD5):
		return fmt.Errorf("md5 %.80q is not 32 digits of lower-case hex", in.MD5)
	case in.Size < 0:
		return fmt.Errorf("size %d", in.Size)
	case strings.ContainsFunc(in.URL, isControl):
		return errors.New("its url has control characters")
	}
	for _, n := range in.Needs {
		if !isName(n) {
			return fmt.Errorf("it needs %.80q, which is not a file's name", n)
		}
	}
	return nil
}

func isName(s string) bool { return nameForm.MatchString(s) && !strings.Contains(s, "..") }

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
