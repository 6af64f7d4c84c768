package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mkbuild/e2e/testkit"
)

// output runs a command line and returns its stdout.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	w := &world{stdout: &stdout, stderr: &stderr, getenv: os.Getenv, client: testClient}
	if code := run(t.Context(), w, args); code != 0 {
		t.Fatalf("%q: exit status %d\n%s", args, code, stderr.String())
	}
	return stdout.String()
}

// The shells accept the scripts.
func TestCompletionScripts(t *testing.T) {
	for shell, check := range map[string][]string{"bash": {"bash", "-n"}, "zsh": {"zsh", "-n"}, "fish": {"fish", "--no-execute"}} {
		t.Run(shell, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "mkbuild")
			testkit.Must(t, os.WriteFile(name, []byte(output(t, "completion", shell)), 0o644))
			testkit.Run(t, check[0], append(check[1:], name)...)
		})
	}
	if !strings.Contains(output(t, "completion", "powershell"), "Register-ArgumentCompleter") {
		t.Error("powershell: not a completer")
	}
}

// A real bash completes through the script and the program.
func TestBashCompletes(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "completion"), []byte(output(t, "completion", "bash", "--no-descriptions")), 0o644))
	// testscript.Main makes the test program act as the command of its name.
	testkit.Must(t, os.Symlink(self, filepath.Join(dir, "mkbuild")))
	const ask = `cd "$1" && PATH=$1:$PATH && . ./completion
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
compopt() { :; }
COMP_WORDS=(mkbuild iso --profile d) COMP_CWORD=3 COMP_LINE='mkbuild iso --profile d' COMP_POINT=23 COMP_TYPE=9
__start_mkbuild && echo "${COMPREPLY[@]}"`
	if got := testkit.Run(t, "bash", "-c", ask, "bash", dir); strings.Join(strings.Fields(got), " ") != "dev debug" {
		t.Errorf("bash offers %q", got)
	}
}

// The table of completions names existing flags: a renamed flag would silently lose its completion.
func TestCompletionsBelongToFlags(t *testing.T) {
	known := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand(&world{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, getenv: os.Getenv}))
	for _, name := range []string{"arch", "profile", "progress", "log-format", "config", "razor-config", "rules", "image", "mirror", "cache-dir", "data"} {
		if !known[name] || flagValues(name) == nil {
			t.Errorf("--%s: a flag: %t, completed: %t", name, known[name], flagValues(name) != nil)
		}
	}
}
