package main

import (
	"bytes"
	"strings"
	"testing"

	"mkbuild/internal/inputs"
	"mkbuild/internal/tcz"
)

// The widest possible table stays within 100 columns.
func TestReleasesFitTheScreen(t *testing.T) {
	var all []inputs.Listed
	for _, s := range tcz.AllSeries() {
		editions := []string{"Core", "CorePlus", "TinyCore"}
		if s.Arch == "x86_64" {
			editions = []string{"CorePure64", "TinyCorePure64"}
		}
		versions := strings.Split("10.0alpha1"+strings.Repeat(" 10.1", 99), " ")
		all = append(all, inputs.Listed{Series: s, Releases: append(versions, "10.101beta10"), Editions: editions})
	}
	var out bytes.Buffer
	if err := printReleases(&world{stdout: &out}, all); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 101 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 29 {
		t.Errorf("%d lines", n)
	}
}
