package rubygems

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

func TestRepository(t *testing.T) {
	t.Parallel()
	gems := demoGems(t)
	tree, err := Repository(ruby18(), gems)
	testkit.Must(t, err)
	want := `d 0755 0:0 opt/gems
f 0644 0:0 opt/gems/greeter-1.2.gem
f 0644 0:0 opt/gems/install.list
f 0644 0:0 opt/gems/weird-2.0.rc1.gem
f 0644 0:0 opt/gems/words-0.5.1.gem
`
	if got := listing(tree); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	list, err := tree.Get("opt/gems/install.list").Content(1 << 10)
	if want := "words-0.5.1.gem\ngreeter-1.2.gem\nweird-2.0.rc1.gem\n"; err != nil || string(list) != want {
		t.Errorf("install.list: got %q, %v, want %q", list, err, want)
	}
	b, err := tree.Get("opt/gems/greeter-1.2.gem").Content(1 << 20)
	if err != nil || !bytes.Equal(b, gems[0].raw) {
		t.Errorf("greeter-1.2.gem is not the file that was read: %v", err)
	}
	if _, err := Repository(ruby18(), gems[:1]); fail.ClassOf(err) != fail.Usage {
		t.Errorf("got %v, want a missing dependency", err)
	}
}

// TestRepositoryForOldRubyGems refuses gems that would fail at boot.
func TestRepositoryForOldRubyGems(t *testing.T) {
	t.Parallel()
	gems := []*Gem{mustGem(t, meta("a", "1", "executables: [run]"))}
	for version, refused := range map[string]bool{"1.3.7": true, "1.8.1": true, "1.8.2": false, "1.8.15": false, "": false} {
		ruby := ruby18()
		ruby.RubyGems = version
		_, err := Repository(ruby, gems)
		if refused != (fail.ClassOf(err) == fail.Usage) || refused != (err != nil) {
			t.Errorf("RubyGems %q: got %v, want refused: %v", version, err, refused)
		}
	}
}

func TestBootInstallScript(t *testing.T) {
	t.Parallel()
	gems := demoGems(t)[:2]
	const want = `HOME="${HOME:-/root}" /usr/local/bin/gem install --local --ignore-dependencies DOCS --bindir /usr/local/bin \
  /opt/gems/words-0.5.1.gem \
  /opt/gems/greeter-1.2.gem </dev/null
`
	for version, docs := range map[string]string{
		"1.8.15": "--no-ri --no-rdoc", "1.8.30": "--no-ri --no-rdoc", "2.0.0": "--no-document", "2.0.0.rc.1": "--no-document",
		"3.3.15": "--no-document", "4.0.1": "--no-document", "": "--no-document",
	} {
		if got, want := BootInstallScript(gems, version), strings.Replace(want, "DOCS", docs, 1); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", version, got, want)
		}
	}
	if got := BootInstallScript(nil, "1.8.15"); got != "" {
		t.Errorf("no gems: got %q", got)
	}
}

// TestBootInstallScriptRuns runs the lines with a shell and RubyGems, on staged paths.
func TestBootInstallScriptRuns(t *testing.T) {
	t.Parallel()
	gems := demoGems(t)
	ruby := realRuby(t)
	tree, err := Repository(ruby, gems)
	testkit.Must(t, err)
	dir := t.TempDir()
	write(t, tree, dir)
	home := filepath.Join(dir, "home")
	version := strings.TrimSpace(testkit.Run(t, "ruby", "-e", "print Gem::VERSION"))
	script := strings.NewReplacer("/usr/local/bin/gem", testkit.Tool(t, "gem"), "/opt/gems", dir+"/opt/gems",
		"--bindir /usr/local/bin", "--bindir "+dir+"/bin").Replace(BootInstallScript(gems, version))
	inStage(t, home, "sh", "-c", script)
	if got := inStage(t, home, filepath.Join(dir, "bin/greet"), "boot"); got != "hello boot\ntrue\n" {
		t.Errorf("greet: got %q", got)
	}
}
