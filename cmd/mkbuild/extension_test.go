package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestRulesAreInTheHelp: the help text comes from the code.
func TestRulesAreInTheHelp(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), &world{stdout: &out, stderr: &out, getenv: os.Getenv}, []string{"extension", "lint", "--help"}); code != 0 {
		t.Fatal(out.String())
	}
	for _, id := range []string{"refused", "fact-yml", "elf-version"} {
		if !slices.ContainsFunc(strings.Split(out.String(), "\n"), func(l string) bool { return strings.HasPrefix(l, "  "+id+" ") }) {
			t.Errorf("%s is not in the help", id)
		}
	}
}
