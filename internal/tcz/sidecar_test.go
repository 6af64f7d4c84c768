package tcz

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseDep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data string
		want       []string
	}{
		{"empty", "", nil},
		{"one", "ncurses.tcz\n", []string{"ncurses.tcz"}},
		{"no final newline", "a.tcz\nb.tcz", []string{"a.tcz", "b.tcz"}},
		{"blank lines first, middle, last", "\n\na.tcz\n\nb.tcz\n\n", []string{"a.tcz", "b.tcz"}},
		{"a line of one space", " \na.tcz\n \n", []string{"a.tcz"}},
		{"trailing and leading blanks", "a.tcz \n\tb.tcz\t\n", []string{"a.tcz", "b.tcz"}},
		{"repeats stay", "a.tcz\nb.tcz\na.tcz\n", []string{"a.tcz", "b.tcz", "a.tcz"}},
		{"carriage returns", "a.tcz\r\n\r\nb.tcz\r\n", []string{"a.tcz", "b.tcz"}},
		{"comments", "# list\na.tcz # why\n#b.tcz\n", []string{"a.tcz"}},
		{"several on a line", "a.tcz b.tcz\n", []string{"a.tcz", "b.tcz"}},
		{"odd letters", "gtk+-2.0.tcz\nX_y-KERNEL.tcz\nbinutils\n", []string{"gtk+-2.0.tcz", "X_y-KERNEL.tcz", "binutils"}},
	}
	for _, tt := range tests {
		if got := ParseDep([]byte(tt.data)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

const sum = "f610b20a97801c937ffb791443a32640"

func TestParseMD5(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("0", 32)
	tests := []struct{ name, data string }{
		{"as mirrors have it", sum + "  bash.tcz\n"},
		{"hex alone", sum},
		{"no newline", sum + "  bash.tcz"},
		{"carriage return", sum + "  bash.tcz\r\n"},
		{"binary mark", sum + " *bash.tcz\n"},
		{"upper case", strings.ToUpper(sum) + "  bash.tcz\n"},
		{"with a directory", sum + "  ./tcz/bash.tcz\n"},
		{"blank lines", "\n\n" + sum + "  bash.tcz\n\n"},
		{"another name", sum + "  bash-4.2.tcz\n"},
		{"second of two lines", other + "  ash.tcz\n" + sum + "  bash.tcz\n"},
		{"a tab", sum + "\tbash.tcz\n"},
		{"BSD", "MD5 (bash.tcz) = " + sum + "\n"},
		{"BSD, with a directory", "MD5 (./a) = b/bash.tcz) = " + sum + "\n"},
		{"BSD, second of two lines", "MD5 (ash.tcz) = " + other + "\nMD5 (bash.tcz) = " + sum + "\n"},
		{"byte order mark", "\ufeff" + sum + "  bash.tcz\n"},
	}
	for _, tt := range tests {
		if got, err := ParseMD5([]byte(tt.data), "bash.tcz"); got != sum || err != nil {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
}

func TestParseMD5Refuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, text string }{
		{"empty", "", "empty"},
		{"blank", "\n \n", "empty"},
		{"web page", "<!DOCTYPE HTML PUBLIC>\n<html>", "line"},
		{"text", "404 not found\n", "404 not found"},
		{"too short", sum[1:] + "  bash.tcz", "line"},
		{"too long", sum + "0  bash.tcz", "line"},
		{"not hex", "g" + sum[1:] + "  bash.tcz", "line"},
		{"two lines, neither ours", sum + "  a.tcz\n" + sum + "  b.tcz\n", "none of its 2 lines"},
		{"binary", "\x00\x01\x02", "line"},
		{"BSD without a sum", "MD5 (bash.tcz) = \n", "line"},
		{"BSD without an end", "MD5 (bash.tcz", "line"},
		{"another BSD sum", "SHA1 (bash.tcz) = " + sum + "\n", "line"},
		{"BSD, two lines, neither ours", "MD5 (a.tcz) = " + sum + "\nMD5 (b.tcz) = " + sum + "\n", "none of its 2 lines"},
	}
	for _, tt := range tests {
		_, err := ParseMD5([]byte(tt.data), "bash.tcz")
		if !errors.Is(err, ErrMD5File) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "bash.tcz") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func FuzzParseMD5(f *testing.F) {
	f.Add([]byte(sum+"  bash.tcz\n"), "bash.tcz")
	f.Add([]byte("<html>"), "x")
	f.Add([]byte("MD5 (x) = "+sum), "x")
	f.Fuzz(func(t *testing.T, b []byte, file string) {
		if got, err := ParseMD5(b, file); err == nil && !isMD5(got) {
			t.Errorf("got %q", got)
		}
	})
}

func FuzzParseDep(f *testing.F) {
	f.Add([]byte("a.tcz \n\n#x\r\nb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range ParseDep(b) {
			if name == "" || strings.ContainsAny(name, "# \t\r\n") {
				t.Errorf("name %q", name)
			}
		}
	})
}

func TestCopyingPolicy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Title:\t\tbash.tcz\nCopying-policy:\tGPL\nSize:\t1K\n":     "GPL",
		"Copying-Policy : GPL v2\r\n\t\tor later\r\nSize: x: y\r\n": "GPL v2 or later",
		"Comments: a\n  Copying-policy: no\nTags: b\n":              "",
		"":                                      "",
		"Copying-policy:\n":                     "",
		"Copying-policy: \x1b[31mMIT\xff\x00\n": "[31mMIT",
		"Copying-policy: " + strings.Repeat("ä", 5000) + "\n":               strings.Repeat("ä", 100),
		"<html>Copying-policy: x</html>":                                    "",
		"Copying-policy: BSD\nnonsense\n  of nobody\nCopying-policy: MIT\n": "BSD MIT",
	} {
		if got := CopyingPolicy([]byte(text)); got != want {
			t.Errorf("%.60q: got %q, want %q", text, got, want)
		}
	}
}
