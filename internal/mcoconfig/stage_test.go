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

func TestLint(t *testing.T) {
	t.Parallel()
	image, err := Stage(sourceTree(t, overlay.File("mcollectived.rb", 0o755, nil), overlay.Dir("plugins", 0o755)), "1.2.1", nil)
	testkit.Must(t, err)
	good := []string{"plugin.psk=hunter2", "plugin.stomp.password=hunter2"}
	rabbit := append(good[:1:1], "connector=RabbitMQ", "plugin.rabbitmq.pool.size=1", "plugin.rabbitmq.pool.1.host=mq",
		"plugin.rabbitmq.pool.1.user=u", "plugin.rabbitmq.pool.1.password=hunter2")
	tests := []struct {
		name     string
		settings []string
		want     []string // keys
	}{
		{"document", nil, []string{"plugin.psk", "plugin.stomp.password"}},
		{"good", good, nil},
		{"good rabbitmq", rabbit, nil},
		{"no psk", append(good[:2:2], "plugin.psk"), []string{"plugin.psk"}},
		{"other security", append(good[:2:2], "plugin.psk", "securityprovider=ssl"), nil},
		{"stomp keys", append(good[:2:2], "plugin.stomp.host", "plugin.stomp.user", "plugin.stomp.port"), []string{"plugin.stomp.host", "plugin.stomp.user"}},
		{"no pool", append(good[:1:1], "connector=activemq"), []string{"plugin.activemq.pool.size"}},
		{"huge pool", append(rabbit[:6:6], "plugin.rabbitmq.pool.size=999999999"), []string{"plugin.rabbitmq.pool.size"}},
		{
			"second broker", append(rabbit[:6:6], "plugin.rabbitmq.pool.size=2"),
			[]string{"plugin.rabbitmq.pool.2.host", "plugin.rabbitmq.pool.2.user", "plugin.rabbitmq.pool.2.password"},
		},
		{"unread", append(rabbit[:6:6], "plugin.stomp.host=x"), []string{"plugin.stomp.host"}},
		{"unknown connector", append(good[:1:1], "connector=nats"), []string{"connector"}},
		{"no connector", append(good[:1:1], "connector"), []string{"connector"}},
		{"no libdir", append(good[:2:2], "libdir"), []string{"libdir"}},
		{"wrong libdir", append(good[:2:2], "libdir=/usr/local/mcollective/plugins:/usr/share/x:y"), []string{"libdir", "libdir"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var keys []string
			for _, f := range apply(t, tc.settings...).Lint(image) {
				keys = append(keys, f.Key)
				if strings.Contains(f.String(), "hunter2") {
					t.Errorf("shows a secret: %s", f)
				}
				if f.Sample != strings.Contains(f.Text, "publishes") {
					t.Errorf("%s: Sample is %v", f, f.Sample)
				}
			}
			if fmt.Sprint(keys) != fmt.Sprint(tc.want) {
				t.Errorf("got %v, want %v", keys, tc.want)
			}
		})
	}
	if got := apply(t, append(good[:2:2], "libdir=/nowhere")...).Lint(nil); len(got) != 0 {
		t.Errorf("without an image: got %v", got)
	}
}
