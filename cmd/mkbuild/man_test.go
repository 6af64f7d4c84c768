package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// mandoc and man find no fault in the manual pages and show their content.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	pages := strings.Fields(output(t, "man", dir, "--source-date-epoch", "1700000000"))
	if len(pages) < 10 {
		t.Fatalf("only %q", pages)
	}
	t.Run("mandoc", func(t *testing.T) {
		testkit.Run(t, "mandoc", append([]string{"-Tlint", "-Wwarning"}, pages...)...)
	})
	t.Run("man", func(t *testing.T) {
		t.Setenv("MANROFFOPT", "-ww")
		for _, p := range pages {
			if got := testkit.Run(t, "man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", p); strings.Contains(got, "troff:") {
				t.Errorf("%s: %s", p, got)
			}
		}
	})
	t.Run("text", func(t *testing.T) {
		text := testkit.Run(t, "mandoc", "-Tascii", filepath.Join(dir, "mkbuild-iso.1"))
		text = regexp.MustCompile(".\b").ReplaceAllString(text, "")
		for _, want := range []string{"-o, --output file", "rz_mk_{prod,dev,debug}-image.<version>.iso", "EXIT STATUS\n       0      done", "--append 'console=ttyS0'", "--log-format format"} {
			if !strings.Contains(text, want) {
				t.Errorf("the page of iso does not say %q:\n%s", want, text)
			}
		}
	})
}
