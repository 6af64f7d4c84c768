package tcz

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"unicode"

	"mkbuild/internal/fail"
)

// ErrMD5File is returned for a .md5.txt without a checksum.
var ErrMD5File = fail.New(fail.Verification, "not an md5 checksum file", "")

// ParseDep returns the names in a .dep file, in the file's order. Real files have blank lines,
// trailing blanks, no final newline and repeated names; "#" begins a comment. Names are not
// checked, and "-KERNEL" is left to [FileName].
func ParseDep(b []byte) []string {
	var names []string
	for line := range bytes.Lines(b) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		for _, field := range bytes.Fields(line) {
			names = append(names, string(field))
		}
	}
	return names
}

// ParseMD5 returns the checksum of file, 32 lower-case hex digits, from the output of md5sum, "<hex> <name>", or of
// the BSDs' md5, "MD5 (<name>) = <hex>". The name selects among several lines; a single line counts with any name.
// It fails with [ErrMD5File] on other input, such as a mirror's web page in place of "not found".
func ParseMD5(b []byte, file string) (string, error) {
	var sums []string
	for line := range strings.Lines(string(bytes.TrimPrefix(b, []byte("\ufeff")))) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		sum, name, err := parseMD5Line(line)
		if err != nil {
			return "", fmt.Errorf("read md5 of %s: %w", file, err)
		}
		if name == file {
			return sum, nil
		}
		sums = append(sums, sum)
	}
	switch len(sums) {
	case 0:
		return "", fmt.Errorf("read md5 of %s: %w: it is empty", file, ErrMD5File)
	case 1:
		return sums[0], nil
	}
	return "", fmt.Errorf("read md5 of %s: %w: none of its %d lines names the file", file, ErrMD5File, len(sums))
}

// parseMD5Line splits "<hex>", "<hex>  <name>", "<hex> *<name>", a tab in place of the blanks, and
// "MD5 (<name>) = <hex>". The name loses its directory.
func parseMD5Line(line string) (sum, name string, err error) {
	if rest, ok := strings.CutPrefix(line, "MD5 ("); ok {
		if at := strings.LastIndex(rest, ") = "); at >= 0 {
			name, sum = rest[:at], rest[at+len(") = "):]
		}
	} else if at := strings.IndexAny(line, " \t"); at >= 0 {
		sum, name = line[:at], strings.TrimPrefix(strings.TrimSpace(line[at:]), "*")
	} else {
		sum = line
	}
	sum = strings.ToLower(sum)
	if !isMD5(sum) {
		return "", "", fmt.Errorf("%w: line %.60q", ErrMD5File, line)
	}
	if name != "" {
		name = path.Base(name)
	}
	return sum, name, nil
}

func isMD5(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// maxLicence bounds a licence, in bytes; real ones are a few words.
const maxLicence = 200

// CopyingPolicy returns the licence in a .info file as one line, or "". The file has lines "Key:<blanks>value"; a
// line with a leading blank continues the value.
func CopyingPolicy(b []byte) string {
	var value []string
	in := false
	for line := range strings.Lines(string(b)) {
		key, rest, found := strings.Cut(line, ":")
		switch {
		case strings.TrimLeft(line, " \t") != line:
			rest = line
		case found:
			in = strings.EqualFold(strings.TrimSpace(key), "Copying-policy")
		default:
			in = false
		}
		if in {
			value = append(value, rest)
		}
	}
	return OneLine(strings.Join(value, " "))
}

// OneLine turns an upstream text into one line of valid UTF-8 without control characters, no longer than
// [maxLicence].
func OneLine(s string) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(s[:min(len(s), 8*maxLicence)], ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	})
	s = strings.Join(words, " ")
	return strings.TrimSpace(strings.ToValidUTF8(s[:min(len(s), maxLicence)], ""))
}
