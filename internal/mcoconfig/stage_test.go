package mcoconfig

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

func runQuietly(t *testing.T, name string, args ...string) error {
	t.Helper()
	return exec.CommandContext(t.Context(), name, args...).Run()
}

func sourceTree(t *testing.T, entries ...overlay.Entry) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	for _, e := range entries {
		e.UID, e.GID, e.Origin = 501, 20, "mcollective.tgz"
		testkit.Must(t, tree.Put(e))
	}
	return tree
}

func listing(tree *overlay.Tree) string {
	var b strings.Builder
	for _, e := range tree.Entries() {
		fmt.Fprintf(&b, "%06o %d:%d %s", e.Mode, e.UID, e.GID, e.Path)
		if e.IsLink() {
			b.WriteString(" -> " + e.Link)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestStage1(t *testing.T) {
	t.Parallel()
	src := sourceTree(t,
		overlay.Dir(".", 0o777), overlay.Dir("lib", 0o2700), overlay.File("mcollectived.rb", 0o644, []byte("#!/usr/bin/env ruby\n")),
		overlay.File("lib/mcollective.rb", 0o600, nil), overlay.File("mco", 0o4755, nil),
		overlay.File("plugins/mcollective/agent/discovery.rb", 0o664, nil), overlay.Symlink("lib/link.rb", "../mco"))
	tree, err := Stage(src, "1.2.1", Default().Render())
	testkit.Must(t, err)
	want := `040755 0:0 usr/local/etc/mcollective
100640 0:0 usr/local/etc/mcollective/server.cfg
120777 0:0 usr/local/mcollective -> /usr/local/tce.installed/mcollective-1.2.1
120777 0:0 usr/local/sbin/mcollectived -> /usr/local/mcollective/mcollectived.rb
040755 0:0 usr/local/tce.installed/mcollective-1.2.1
040755 0:0 usr/local/tce.installed/mcollective-1.2.1/lib
120777 0:0 usr/local/tce.installed/mcollective-1.2.1/lib/link.rb -> ../mco
100644 0:0 usr/local/tce.installed/mcollective-1.2.1/lib/mcollective.rb
100755 0:0 usr/local/tce.installed/mcollective-1.2.1/mco
100755 0:0 usr/local/tce.installed/mcollective-1.2.1/mcollectived.rb
040755 0:0 usr/local/tce.installed/mcollective-1.2.1/plugins
040755 0:0 usr/local/tce.installed/mcollective-1.2.1/plugins/mcollective
040755 0:0 usr/local/tce.installed/mcollective-1.2.1/plugins/mcollective/agent
100644 0:0 usr/local/tce.installed/mcollective-1.2.1/plugins/mcollective/agent/discovery.rb
`
	if got := listing(tree); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cfg, err := tree.Get("usr/local/etc/mcollective/server.cfg").Content(1 << 16)
	if err != nil || string(cfg) != documentText {
		t.Errorf("server.cfg: %v\n%s", err, cfg)
	}
	if e, err := tree.Lookup("usr/local/sbin/mcollectived"); err != nil || e.Perm() != 0o755 {
		t.Errorf("the daemon is not reached through its links: %v", err)
	}
}

func TestStage2(t *testing.T) {
	t.Parallel()
	src := sourceTree(t, overlay.File("bin/mcollectived", 0o644, []byte("#!/usr/bin/env ruby\n")), overlay.File("bin/mco", 0o755, nil))
	tree, err := Stage(src, "2.12.5", Default().Render())
	testkit.Must(t, err)
	if e := tree.Get("usr/local/sbin/mcollectived"); e == nil || e.Link != "/usr/local/mcollective/bin/mcollectived" {
		t.Errorf("link: got %+v", e)
	}
	if e, err := tree.Lookup("usr/local/sbin/mcollectived"); err != nil || e.Perm() != 0o755 {
		t.Errorf("the daemon is not executable: %v", err)
	}
	if e, err := tree.Lookup("usr/local/mcollective/plugins/mcollective"); err != nil || !e.IsDir() || e.Perm() != 0o755 {
		t.Errorf("the folder that libdir names is missing: %v", err)
	}
}

func TestStageErrors(t *testing.T) {
	t.Parallel()
	daemon := overlay.File("mcollectived.rb", 0o755, nil)
	tests := []struct {
		name, version, text string
		src                 *overlay.Tree
		want                error
	}{
		{
			"no daemon", "1.2.1", "mcollective.tgz has neither mcollectived.rb nor bin/mcollectived",
			sourceTree(t, overlay.File("README", 0o644, nil)), ErrNotMCollective,
		},
		{"a directory", "1.2.1", "neither", sourceTree(t, overlay.Dir("mcollectived.rb", 0o755)), ErrNotMCollective},
		{"empty", "1.2.1", "neither", &overlay.Tree{}, ErrNotMCollective},
		{"version", "../1", "cannot name a directory", sourceTree(t, daemon), nil},
		{"long version", strings.Repeat("1", maxVersion+1), "cannot name a directory", sourceTree(t, daemon), nil},
		{"device", "1.2.1", `"dev"`, sourceTree(t, daemon, overlay.Entry{Path: "dev", Mode: overlay.TypeBlock}), overlay.ErrType},
		{"link out", "1.2.1", "../etc", sourceTree(t, daemon, overlay.Symlink("a", "../etc")), overlay.ErrPath},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tree, err := Stage(tc.src, tc.version, nil)
			if err == nil || !strings.Contains(err.Error(), tc.text) || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v, want %v with %q", tree, err, tc.want, tc.text)
			}
		})
	}
}
