package tcz

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
)

// ErrMD5File says that the bytes of a .md5.txt name no checksum.
var ErrMD5File = errors.New("not an md5 checksum file")

// ParseDep returns the names in a .dep file, or in an onboot.lst, in the file's order. Real
// files have blank lines, trailing blanks, no final newline and repeated names; lists may have
// comments from "#" on. Names are not checked and "-KERNEL" is left to [FileName].
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

// ParseMD5 returns the checksum of file, 32 lower-case hex digits, out of what md5sum wrote,
// "<hex>  <name>", or the md5 of the BSDs, "MD5 (<name>) = <hex>". A file with one line is taken at its word whatever name it gives; among
// several lines the name decides. It fails with [ErrMD5File] on anything else, such as the web
// page that a mirror answers instead of "not found".
func ParseMD5(b []byte, file string) (string, error) {
	if looksLikeHTML(b) {
		return "", fmt.Errorf("read md5 of %s: %w: it is an HTML page", file, ErrMD5File)
	}
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

func looksLikeHTML(b []byte) bool {
	b = bytes.ToLower(b[:min(len(b), 512)])
	return bytes.Contains(b, []byte("<!doctype")) || bytes.Contains(b, []byte("<html"))
}

// maxLicence bounds a licence, in bytes; real ones are a few words.
const maxLicence = 200

// CopyingPolicy returns the licence in a .info file on one line, or nothing. The file has lines
// "Key:<blanks>value", and a value may go on in lines that begin with a blank.
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

// OneLine makes a text from upstream one line of valid UTF-8 without control characters, cut where
// it is longer than any licence's name.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), 8*maxLicence)], ""))
	s = strings.Join(strings.Fields(s), " ")
	return strings.TrimSpace(strings.ToValidUTF8(s[:min(len(s), maxLicence)], ""))
}
