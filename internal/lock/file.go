package lock

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/wholefile"
)

// FileName is the name of a lock, next to its configuration. command is the default command to write it.
const (
	FileName = "mkbuild.lock"
	command  = "mkbuild lock"
)

// ErrMissing is returned when there is no lock.
var ErrMissing = fail.New(fail.Drift, "no such file", "write it with `"+command+"`")

// maxFile is more, in bytes, than any closure has: see package tcz. maxTime is the last second that
// the times of cpio and ISO 9660 can both hold.
const (
	maxFile = 16 << 20
	maxTime = 1<<32 - 1
)

// Load reads a lock; command writes it, by default `mkbuild lock`. For a missing file it returns [ErrMissing].
// It refuses unknown members, which could be important.
func Load(name, writes string) (*Lock, error) {
	l, err := load(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &fail.Error{Class: fail.Drift, What: "read lock " + name, Hint: "write it with `" + cmp.Or(writes, command) + "`", Err: ErrMissing}
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("read lock: %w", err)
	case err != nil:
		return nil, &fail.Error{Class: fail.Usage, What: "read lock " + name, Hint: "restore it from version control, or delete it and run `" + command + "`", Err: err}
	}
	l.File, l.Command = name, writes
	return l, nil
}

// load makes the paths among the URLs absolute: in the file they are relative to its folder.
func load(name string) (*Lock, error) {
	text, err := hostfile.Read(name, maxFile)
	if err != nil {
		return nil, err
	}
	l, err := Parse(text)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	for i := range l.Inputs {
		if u := &l.Inputs[i].URL; isPath(*u) && !filepath.IsAbs(*u) {
			*u = filepath.Join(dir, filepath.FromSlash(*u))
		}
	}
	return l, err
}

func isPath(url string) bool { return url != "" && !strings.Contains(url, "://") }

// Parse reads the text of a lock. Paths among the URLs stay as they are.
func Parse(text []byte) (*Lock, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is over %d bytes", maxFile)
	}
	var l Lock
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after its end")
	}
	if err := l.validate(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(l.Inputs, compareInputs)
	for i := range l.Inputs[:max(len(l.Inputs)-1, 0)] {
		if compareInputs(l.Inputs[i], l.Inputs[i+1]) == 0 {
			return nil, fmt.Errorf("%s is listed twice", l.Inputs[i].Name)
		}
	}
	return &l, nil
}

// Text returns a lock as indented JSON with a final newline, the same for the same lock.
func (l *Lock) Text() ([]byte, error) {
	out := *l
	out.Schema, out.Inputs = Schema, slices.Clone(l.Inputs)
	slices.SortFunc(out.Inputs, compareInputs)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(&out)
	return b.Bytes(), err
}

// Save writes a lock whole or not at all, with the paths among its URLs relative to its folder. It does not
// rewrite the same text, and reports whether it wrote.
func (l *Lock) Save(name string) (changed bool, err error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return false, fmt.Errorf("write lock: %w", err)
	}
	out := *l
	out.Inputs = slices.Clone(l.Inputs)
	for i := range out.Inputs {
		out.Inputs[i].URL = relative(dir, out.Inputs[i].URL)
	}
	text, err := out.Text()
	if err != nil {
		return false, fmt.Errorf("write lock: %w", err)
	}
	return wholefile.Update(name, text)
}

// relative makes the path of an input relative, so that lock and mirror can move together. A path on another
// drive stays.
func relative(dir, url string) string {
	if isPath(url) && filepath.IsAbs(url) {
		if rel, err := filepath.Rel(dir, url); err == nil {
			return filepath.ToSlash(rel)
		}
	}
	return url
}

// nameForm is a name that may become a part of paths and addresses. Lengths are checked apart from expressions: a
// bounded repetition costs every start of the program as much as its bound.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9_+][A-Za-z0-9+_.@,-]*$`)

// maxName is the longest name of a file.
const maxName = 255

func isName(s string) bool {
	return len(s) <= maxName && nameForm.MatchString(s) && !strings.Contains(s, "..")
}

// isHex reports whether s is a digest of some digits, which may name a file of the cache.
func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}

// The lengths of digests.
const (
	sha256Digits = 64
	md5Digits    = 32
)

func (l *Lock) validate() error {
	switch {
	case l.Schema != Schema:
		return fmt.Errorf("its schema is %.40q, and this mkbuild reads %s", l.Schema, Schema)
	case !isHex(l.Config, sha256Digits):
		return fmt.Errorf("config %.80q is not a digest", l.Config)
	case l.SourceDate < 0 || l.SourceDate > maxTime:
		return fmt.Errorf("source_date %d is not a time that an image can hold", l.SourceDate)
	case !isName(l.Release) || !isName(l.Arch) || !isName(l.Kernel):
		return fmt.Errorf("release %.80q, arch %.80q, kernel %.80q: all are needed, as plain names", l.Release, l.Arch, l.Kernel)
	}
	for _, in := range l.Inputs {
		if err := in.validate(); err != nil {
			return fmt.Errorf("input %.80q: %w", in.Name, err)
		}
	}
	for _, d := range l.Derived {
		if !isName(d.Kind) || d.Key == "" || !isHex(d.SHA256, sha256Digits) {
			return fmt.Errorf("derived %.40q: key %.80q, sha256 %.80q", d.Kind, d.Key, d.SHA256)
		}
	}
	return nil
}

func (in *Input) validate() error {
	switch {
	case !slices.Contains([]string{ISO, TCZ, RubyGems, MCollective, Gem}, in.Kind):
		return fmt.Errorf("unknown kind %.40q", in.Kind)
	case !isName(in.Name):
		return errors.New("that is not a file's name")
	case !isHex(in.SHA256, sha256Digits):
		return fmt.Errorf("sha256 %.80q is not 64 digits of lower-case hex", in.SHA256)
	case in.MD5 != "" && !isHex(in.MD5, md5Digits):
		return fmt.Errorf("md5 %.80q is not 32 digits of lower-case hex", in.MD5)
	case in.Size < 0:
		return fmt.Errorf("size %d", in.Size)
	case strings.ContainsFunc(in.URL, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("its url has control characters")
	}
	for _, n := range in.Needs {
		if !isName(n) {
			return fmt.Errorf("it needs %.80q, which is not a file's name", n)
		}
	}
	return nil
}
