package mcoconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/overlay"
)

// miniature is the source tree of a miniature of MCollective with additional entries.
func miniature(t *testing.T, version string, entries ...overlay.Entry) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	files := tinymirror.MCollective(version)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		testkit.Must(t, tree.Put(overlay.File(name, 0o644, []byte(files[name]))))
		for dir := name; strings.Contains(dir, "/"); {
			dir = dir[:strings.LastIndexByte(dir, '/')]
			if tree.Get(dir) == nil {
				testkit.Must(t, tree.Put(overlay.Dir(dir, 0o755)))
			}
		}
	}
	for _, e := range entries {
		testkit.Must(t, tree.Put(e))
	}
	return tree
}

// imageWith stages a miniature with the settings of [apply].
func imageWith(t *testing.T, src *overlay.Tree, version string, settings ...string) *overlay.Tree {
	t.Helper()
	c := apply(t, settings...)
	c.Fit(src)
	image, err := Stage(src, version, c.Render())
	testkit.Must(t, err)
	return image
}

// lint returns the findings as lines, and checks that they show no secret.
func lint(t *testing.T, image *overlay.Tree, lacks ...string) string {
	t.Helper()
	var b strings.Builder
	for _, f := range Lint(image, func(feature string) bool {
		return !slices.Contains(lacks, feature) && !strings.HasPrefix(feature, "mcollective/")
	}) {
		if strings.Contains(f.String(), "hunter2") {
			t.Errorf("shows a secret: %s", f)
		}
		if f.Sample != strings.Contains(f.Text, "published") {
			t.Errorf("%s: Sample is %v", f, f.Sample)
		}
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

func TestLint(t *testing.T) {
	t.Parallel()
	const (
		remove  = "; correct its name under mcollective.server, or remove it\n"
		unknown = "is unknown to MCollective %s, which then exits" + remove
		missing = "is missing: the connector needs it; set it\n"
	)
	good1 := []string{"plugin.psk=hunter2", "plugin.stomp.password=hunter2"}
	pool1 := append(good1[:1:1], "plugin.stomp.pool.size=2", "plugin.stomp.pool.host1=a", "plugin.stomp.pool.user1=u", "plugin.stomp.pool.password1=hunter2",
		"plugin.stomp.pool.host2=b", "plugin.stomp.pool.user2=u", "plugin.stomp.pool.password2=hunter2")
	good2 := append(good1[:1:1], "connector=RabbitMQ", "plugin.rabbitmq.pool.size=1", "plugin.rabbitmq.pool.1.host=mq",
		"plugin.rabbitmq.pool.1.user=u", "plugin.rabbitmq.pool.1.password=hunter2")
	with := func(base []string, more ...string) []string { return append(slices.Clone(base), more...) }
	tests := []struct {
		name, version string
		settings      []string
		lacks         string // a library
		want          string
	}{
		{"document", "1.2.1", nil, "", "plugin.psk: is the published sample key: anyone can command these machines; set it from {env: NAME} or {file: PATH}\n" +
			"plugin.stomp.password: is the published sample password; set it from {env: NAME} or {file: PATH}\n"},
		{"good", "1.2.1", good1, "", ""},
		{"pool of 1.x", "1.2.1", pool1, "", ""},
		{"pool of 2.x for 1.x", "1.2.1", with(good1[:1], "plugin.stomp.pool.size=1", "plugin.stomp.pool.1.host=a", "plugin.stomp.pool.1.user=u", "plugin.stomp.pool.1.password=hunter2"), "",
			"plugin.stomp.pool.1.host: is not read: MCollective 1.2.1 calls it plugin.stomp.pool.host1; rename it under mcollective.server\n" +
				"plugin.stomp.pool.1.password: is not read: MCollective 1.2.1 calls it plugin.stomp.pool.password1; rename it under mcollective.server\n" +
				"plugin.stomp.pool.1.user: is not read: MCollective 1.2.1 calls it plugin.stomp.pool.user1; rename it under mcollective.server\n"},
		{"second broker", "1.2.1", with(pool1, "plugin.stomp.pool.size=3"), "",
			"plugin.stomp.pool.host3: " + missing + "plugin.stomp.pool.user3: " + missing + "plugin.stomp.pool.password3: " + missing},
		{"single and pool", "1.2.1", with(pool1, "plugin.stomp.host=x"), "",
			"plugin.stomp.host: is not read: plugin.stomp.pool.size makes the connector take its brokers from the pool; remove one of the two\n"},
		{"no host", "1.2.1", with(good1, "plugin.stomp.host", "plugin.stomp.port"), "", "plugin.stomp.host: " + missing},
		{"key of 2.x", "1.2.1", with(good1, "direct_addressing=1"), "", "direct_addressing: " + fmt.Sprintf(unknown, "1.2.1")},
		{"misspelt key", "1.2.1", with(good1, "daemonise=1"), "", "daemonise: " + fmt.Sprintf(unknown, "1.2.1")},
		{"misspelt plugin key", "1.2.1", with(good1, "plugin.stomp.prioriti=1"), "",
			"plugin.stomp.prioriti: is not read by any file of MCollective 1.2.1 or its plugins in the image" + remove},
		{"commented option", "1.2.1", with(good1, "plugin.stomp.commented=1"), "",
			"plugin.stomp.commented: is not read by any file of MCollective 1.2.1 or its plugins in the image" + remove},
		{"booleans", "1.2.1", with(good1, "daemonize=yes", "color=0", "rpcaudit=no", "rpcauthorization=off"), "", ""},
		{"true is false", "1.2.1", with(good1, "daemonize=true", "color=on"), "",
			"color: is read as false by MCollective 1.2.1; write 1 or 0\ndaemonize: is read as false by MCollective 1.2.1; write 1 or 0\n"},
		{"any y is true", "1.2.1", with(good1, "color=never ever, really"), "", "color: is read as true by MCollective 1.2.1; write 1 or 0\n"},
		{"boolean of the connector", "1.2.1", with(good1, "plugin.stomp.base64=y"), "",
			"plugin.stomp.base64: is neither true nor false for MCollective 1.2.1, which then uses its default; write 1 or 0\n"},
		{"boolean of all brokers", "1.2.1", with(pool1, "plugin.stomp.base64=on"), "",
			"plugin.stomp.base64: is neither true nor false for MCollective 1.2.1, which then uses its default; write 1 or 0\n"},
		{"boolean of a broker", "1.2.1", with(pool1, "plugin.stomp.pool.ssl2=on", "plugin.stomp.pool.ssl1=true"), "",
			"plugin.stomp.pool.ssl2: is neither true nor false for MCollective 1.2.1, which then uses its default; write 1 or 0\n"},
		{"number", "1.2.1", with(good1, "registerinterval=5m"), "",
			"registerinterval: is not a whole number: MCollective 1.2.1 reads its first digits, or 0; use only digits\n"},
		{"level", "1.2.1", with(good1, "loglevel=information"), "", "loglevel: is not one of fatal, error, warn, info, debug: everything is logged; choose one of them\n"},
		{"no such connector", "1.2.1", with(good1[:1], "connector=RabbitMQ", "plugin.rabbitmq.pool.size=1"), "",
			"connector: MCollective 1.2.1 has no plugin rabbitmq (it has stomp); choose another one, or add mcollective/connector/rabbitmq.rb to a directory of libdir by `overlay`\n"},
		{"default connector", "1.2.1", with(good1, "connector", "plugin.stomp.host=a", "plugin.stomp.user=u"), "", ""},
		{"no such facts", "1.2.1", with(good1, "factsource=facter"), "",
			"factsource: MCollective 1.2.1 has no plugin facter (it has yaml); choose another one, or add mcollective/facts/facter_facts.rb to a directory of libdir by `overlay`\n"},
		{"no such logger", "1.2.1", with(good1, "logger_type=journal"), "",
			"logger_type: MCollective 1.2.1 has no plugin journal (it has console, file); choose another one, or add mcollective/logger/journal_logger.rb to a directory of libdir by `overlay`\n"},
		{"audit", "1.2.1", with(good1, "rpcaudit=1", "rpcauditprovider=Logfile"), "", ""},
		{"audit by nothing", "1.2.1", with(good1, "rpcaudit=1"), "", "rpcauditprovider: is missing: MCollective 1.2.1 needs it with rpcaudit; set it, or set rpcaudit to 0\n"},
		{"authorization", "1.2.1", with(good1, "rpcauthorization=1", "rpcauthprovider=action_policy"), "",
			"rpcauthprovider: MCollective 1.2.1 has no plugin actionpolicy (it has none); choose another one, or add mcollective/util/actionpolicy.rb to a directory of libdir by `overlay`\n"},
		{"authorization that is off", "1.2.1", with(good1, "rpcauthprovider=action_policy"), "", ""},
		{"no psk", "1.2.1", with(good1, "plugin.psk"), "", "plugin.psk: is missing: securityprovider psk needs it; set it\n"},
		{"no facts", "1.2.1", with(good1, "plugin.yaml"), "", "plugin.yaml: is missing: factsource yaml needs it; set it to /usr/local/etc/mcollective/facts.yaml\n"},
		{"facts elsewhere", "1.2.1", with(good1, "plugin.yaml=/usr/local/etc/mcollective//facts.yaml:/etc/facts.yaml:/usr/local/etc/mcollective/server.cfg"), "",
			"plugin.yaml: has /etc/facts.yaml, which the image lacks and mk-client does not write: there are no facts; set it to /usr/local/etc/mcollective/facts.yaml\n"},
		{"any identity", "1.2.1", with(good1, "identity=rack 7"), "", ""},
		{"no topicprefix", "1.2.1", with(good1, "topicprefix"), "", "topicprefix: is missing, and MCollective 1.2.1 has no default for it: no node hears anything; set it to /topic/\n"},
		{"no libdir", "1.2.1", with(good1, "libdir=/usr/local/mcollective/plugins:/usr/share/x:y"), "",
			"libdir: has /usr/share/x, which the image does not have; set it to /usr/local/mcollective/plugins, or add the directory by `overlay`\n" +
				"libdir: has \"y\", which is not absolute; write an absolute path\n"},
		{"no gem", "1.2.1", good1, "stomp", "connector: /usr/local/tce.installed/mcollective-1.2.1/plugins/mcollective/connector/stomp.rb requires stomp, " +
			"which neither Ruby nor a gem in the image has: mcollectived ends at once; add the gem stomp to gems.install, or an extension that brings it\n"},
		{"no RubyGems", "1.2.1", good1, "rubygems", "mcollectived: /usr/local/tce.installed/mcollective-1.2.1/lib/mcollective.rb requires rubygems, " +
			"which neither Ruby nor a gem in the image has: mcollectived ends at once; set `rubygems` in mkbuild.yaml\n"},
		{"no gem of a plugin", "1.2.1", with(good1, "securityprovider=sshkey", "plugin.psk"), "ssh/key/signer",
			"securityprovider: /usr/local/tce.installed/mcollective-1.2.1/plugins/mcollective/security/sshkey.rb requires ssh/key/signer, " +
				"which neither Ruby nor a gem in the image has: mcollectived ends at once; add the gem sshkeyauth to gems.install\n"},

		{"good", "2.12.5", good2, "", ""},
		{"the document's connector", "2.12.5", good1, "",
			"connector: MCollective 2.12.5 has no plugin stomp (it has activemq, rabbitmq); choose another one, or add mcollective/connector/stomp.rb to a directory of libdir by `overlay`\n"},
		{"keys of 2.x", "2.12.5", with(good2, "direct_addressing=1", "ttl=60", "default_batch_sleep_time=0.5", "plugin.rpcutil.activate_agent=0", "plugin.rabbitmq.vhost=/v"), "", ""},
		{"misspelt key", "2.12.5", with(good2, "daemonise=1"), "", "daemonise: " + fmt.Sprintf(unknown, "2.12.5")},
		{"keys of 1.x", "2.12.5", with(good2, "topicprefix=/topic/", "topicsep=."), "", "topicprefix: is ignored by MCollective 2.12.5; remove it from mcollective.server\n" +
			"topicsep: is ignored by MCollective 2.12.5; remove it from mcollective.server\n"},
		{"booleans", "2.12.5", with(good2, "daemonize=true", "direct_addressing=T", "rpcaudit=no"), "", ""},
		{"no boolean", "2.12.5", with(good2, "daemonize=on", "direct_addressing=11", "plugin.rabbitmq.pool.1.ssl=enabled"), "",
			"daemonize: is neither true nor false for MCollective 2.12.5, which then exits; write 1 or 0\n" +
				"direct_addressing: is neither true nor false for MCollective 2.12.5, which then exits; write 1 or 0\n" +
				"plugin.rabbitmq.pool.1.ssl: is neither true nor false for MCollective 2.12.5, which then exits; write 1 or 0\n"},
		{"numbers", "2.12.5", with(good2, "ttl=1_000", "registerinterval=0x10"), "", ""},
		{"no numbers", "2.12.5", with(good2, "ttl=60s", "registerinterval=08", "default_batch_sleep_time=.5"), "",
			"default_batch_sleep_time: is not a number: MCollective 2.12.5 exits; use only digits\n" +
				"registerinterval: is not a number: MCollective 2.12.5 exits; use only digits\nttl: is not a number: MCollective 2.12.5 exits; use only digits\n"},
		{"identity", "2.12.5", with(good2, "identity=rack-7.example"), "", ""},
		{"no identity", "2.12.5", with(good2, "identity=rack 7"), "", "identity: is invalid for MCollective 2.12.5, which then exits; use only letters, digits, dots and hyphens\n"},
		{"boolean of all brokers, of which there is one", "2.12.5", with(good2, "plugin.rabbitmq.base64=on"), "",
			"plugin.rabbitmq.base64: is neither true nor false for MCollective 2.12.5, which then exits; write 1 or 0\n"},
		{"no pool", "2.12.5", with(good1[:1], "connector=activemq"), "",
			"plugin.activemq.pool.size: is not a number from 1 to 64: the connector activemq takes its brokers from a pool; set it to their number\n"},
		{"huge pool", "2.12.5", with(good2, "plugin.rabbitmq.pool.size=999999999"), "",
			"plugin.rabbitmq.pool.size: is not a number from 1 to 64: the connector rabbitmq takes its brokers from a pool; set it to their number\n"},
		{"pool of 1.x for 2.x", "2.12.5", with(good2[:3], "plugin.rabbitmq.pool.host1=mq", "plugin.rabbitmq.pool.1.user=u", "plugin.rabbitmq.pool.1.password=hunter2"), "",
			"plugin.rabbitmq.pool.host1: is not read: MCollective 2.12.5 calls it plugin.rabbitmq.pool.1.host; rename it under mcollective.server\n"},
		{"no login", "2.12.5", good2[:4], "", "plugin.rabbitmq.pool.1.user: is missing: the connector logs in with an empty one; set it\n" +
			"plugin.rabbitmq.pool.1.password: is missing: the connector logs in with an empty one; set it\n"},
		{"another connector's key", "2.12.5", with(good2, "plugin.stomp.host=x"), "", "plugin.stomp.host: is not read: the connector is rabbitmq; remove it from mcollective.server\n"},
		{"no gem", "2.12.5", good2, "json", "mcollectived: /usr/local/tce.installed/mcollective-2.12.5/lib/mcollective.rb requires json, " +
			"which neither Ruby nor a gem in the image has: mcollectived ends at once; add the gem json_pure to gems.install\n"},
	}
	for _, tc := range tests {
		t.Run(tc.version+" "+tc.name, func(t *testing.T) {
			t.Parallel()
			if got := lint(t, imageWith(t, miniature(t, tc.version), tc.version, tc.settings...), tc.lacks); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// TestLintReadsTheImage checks that the image's final server.cfg and plugins count, whatever their source.
func TestLintReadsTheImage(t *testing.T) {
	t.Parallel()
	good := []string{"plugin.psk=hunter2", "plugin.stomp.password=hunter2"}
	cfg := func(text string) overlay.Entry { return overlay.File(ServerCfg, 0o640, []byte(text)) }
	const head = "libdir = /usr/local/mcollective/plugins\ntopicprefix = /topic/\nplugin.psk = hunter2\nplugin.yaml = /usr/local/etc/mcollective/facts.yaml\n" +
		"plugin.stomp.host = h\nplugin.stomp.user = u\nplugin.stomp.password = hunter2\n"
	tests := []struct {
		name    string
		version string
		entries []overlay.Entry
		want    string
	}{
		{"comments and noise", "1.2.1", []overlay.Entry{cfg("# daemonise = 1\r\n\nno setting\r\n" + head)}, ""},
		{"blanks before a key", "1.2.1", []overlay.Entry{cfg(head + "  daemonize = 1\n")}, "  daemonize: is unknown to MCollective 1.2.1, which then exits; correct its name under mcollective.server, or remove it\n"},
		{"the last one counts", "1.2.1", []overlay.Entry{cfg(head + "daemonize=true\ndaemonize=1\n")}, ""},
		{"a file in plugin.d", "1.2.1", []overlay.Entry{
			cfg(strings.Replace(head, "plugin.stomp.user = u\n", "", 1)),
			overlay.File(configDir+"/plugin.d/stomp.cfg", 0o640, []byte("user = u\n")),
		}, ""},
		{"a plugin of the user's own", "1.2.1", []overlay.Entry{
			cfg(head + "connector = Redis\nplugin.redis.host = h\nplugin.redis.port = 1\nplugin.redis.a = 1\nplugin.redis.databse = 2\n"),
			overlay.File(linkTarget("1.2.1")+"/plugins/mcollective/connector/redis.rb", 0o644,
				[]byte("host, key = get_option(\"redis.host\"), get_option(\"redis.key\")\nport = config.pluginconf[\"redis.a\"] || config.pluginconf.fetch(\"redis.port\", 6379)\n")),
		}, "plugin.redis.key: is missing: the connector needs it; set it\n" +
			"plugin.redis.databse: is not read by any file of MCollective 1.2.1 or its plugins in the image; correct its name under mcollective.server, or remove it\n" +
			"plugin.stomp.host: is not read: the connector is redis; remove it from mcollective.server\n" +
			"plugin.stomp.password: is not read: the connector is redis; remove it from mcollective.server\n" +
			"plugin.stomp.user: is not read: the connector is redis; remove it from mcollective.server\n"},
		{"a connector that says nothing", "1.2.1", []overlay.Entry{
			cfg("libdir = /usr/local/mcollective/plugins\ntopicprefix = /topic/\nplugin.psk = hunter2\nplugin.yaml = /usr/local/etc/mcollective/facts.yaml\nconnector = nats\n"),
			overlay.File(linkTarget("1.2.1")+"/plugins/mcollective/connector/nats.rb", 0o644, []byte("# settings come from elsewhere\n")),
		}, "connector: mkbuild cannot check the settings of nats, because it finds none in its file; compare them with its documentation\n"},
		{"another config.rb", "1.2.1", []overlay.Entry{cfg(head), overlay.File(linkTarget("1.2.1")+"/lib/mcollective/config.rb", 0o644, []byte("class Config; end\n"))},
			"server.cfg: mkbuild cannot check its keys and plugins, because it finds no list of keys in lib/mcollective/config.rb of MCollective 1.2.1; compare them with the documentation of that version\n"},
		{"blanks before a key", "2.12.5", []overlay.Entry{cfg("libdir = /usr/local/mcollective/plugins\nplugin.psk = hunter2\nplugin.yaml = /usr/local/etc/mcollective/facts.yaml\nconnector = rabbitmq\n\tplugin.rabbitmq.pool.size = 1\n" +
			"plugin.rabbitmq.pool.1.host = h\nplugin.rabbitmq.pool.1.user = u\nplugin.rabbitmq.pool.1.password = p\n")}, ""},
		{"a daemon that needs more", "1.2.1", []overlay.Entry{cfg(head), overlay.File(linkTarget("1.2.1")+"/mcollectived.rb", 0o755, []byte("require 'mcollective/runner'\n"))},
			"mcollectived: /usr/local/tce.installed/mcollective-1.2.1/mcollectived.rb requires mcollective/runner, which neither Ruby nor a gem in the image has: " +
				"mcollectived ends at once; the archive lacks it: give another one as mcollective.url\n"},
		{"an agent that needs no RubyGems", "1.2.1", []overlay.Entry{cfg(head), overlay.File(linkTarget("1.2.1")+"/lib/mcollective.rb", 0o644, nil)}, ""},
	}
	for _, tc := range tests {
		t.Run(tc.version+" "+tc.name, func(t *testing.T) {
			t.Parallel()
			image := imageWith(t, miniature(t, tc.version), tc.version, good...)
			for _, e := range tc.entries {
				testkit.Must(t, image.Put(e))
			}
			if got := lint(t, image); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func linkTarget(version string) string { return installedDir + "/mcollective-" + version }

func TestLintOfNothing(t *testing.T) {
	t.Parallel()
	image := imageWith(t, miniature(t, "1.2.1"), "1.2.1")
	image.Remove(ServerCfg)
	for name, tree := range map[string]*overlay.Tree{"empty": {}, "no server.cfg": image} {
		if got := Lint(tree, nil); got != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
	// Without a Ruby, libraries cannot be checked.
	image = imageWith(t, miniature(t, "1.2.1"), "1.2.1", "plugin.psk=a", "plugin.stomp.password=b")
	if got := Lint(image, nil); len(got) != 0 {
		t.Errorf("without libraries: got %v", got)
	}
	// With a Ruby, a plugin may be among its libraries.
	image = imageWith(t, miniature(t, "1.2.1"), "1.2.1", "plugin.psk=a", "connector=redis")
	if got := Lint(image, func(string) bool { return true }); len(got) != 0 {
		t.Errorf("with a plugin among Ruby's libraries: got %v", got)
	}
	if got := Lint(image, nil); len(got) != 1 || got[0].Key != "connector" {
		t.Errorf("without a Ruby: got %v", got)
	}
	image = imageWith(t, miniature(t, "1.2.1"), "1.2.1", "plugin.psk=a", "plugin.stomp.pool.size=64")
	if got := Lint(image, nil); len(got) != 3*64 {
		t.Errorf("a pool of 64 without hosts: %d findings, want 3 for each", len(got))
	}
}

// TestFit removes keys of the document that a version does not accept, and none of the user's.
func TestFit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version string
		own     []string
		want    bool
	}{
		{"1.2.1", nil, true},
		{"2.12.5", nil, false},
		{"2.12.5", []string{"topicprefix=/topic/"}, true},
	} {
		c := apply(t, tc.own...)
		c.Fit(miniature(t, tc.version))
		if _, got := c.Values()["topicprefix"]; got != tc.want {
			t.Errorf("%s %v: topicprefix is there: %v", tc.version, tc.own, got)
		}
		if c.Values()["connector"] != "stomp" {
			t.Errorf("%s: the connector is gone", tc.version)
		}
	}
	c := Default()
	if c.Fit(&overlay.Tree{}); string(c.Render()) != documentText {
		t.Error("an archive that cannot be read changes the file")
	}
}

// TestLintAgreesWithMCollective compares the findings on keys and values with an installed MCollective: it ends
// exactly at the reported ones.
func TestLintAgreesWithMCollective(t *testing.T) {
	t.Parallel()
	ruby := testkit.Tool(t, "ruby")
	if err := runQuietly(t, ruby, "-e", "require 'mcollective'"); err != nil {
		t.Skip("MCollective is not installed: no second opinion")
	}
	out := strings.Fields(testkit.Run(t, "ruby", "-W0", "-e", "require 'mcollective'; puts MCollective::VERSION, $\".grep(/\\/mcollective\\.rb$/)"))
	version, lib := out[0], filepath.Dir(out[1])
	src := &overlay.Tree{}
	testkit.Must(t, src.Put(overlay.File("bin/mcollectived", 0o755, nil)))
	testkit.Must(t, filepath.WalkDir(filepath.Join(lib, "mcollective"), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(lib, name)
		if err != nil || d.IsDir() {
			return errors.Join(err, src.Put(overlay.Dir("lib/"+rel, 0o755)))
		}
		b, err := os.ReadFile(name)
		return errors.Join(err, src.Put(overlay.File("lib/"+rel, 0o644, b)))
	}))
	settings := []string{
		"ttl=60", "ttl=60s", "ttl=1_0", "ttl=08", "ttl=0x1f", "registerinterval=1.5", "default_batch_sleep_time=0.5", "default_batch_sleep_time=x",
		"daemonize=1", "daemonize=y", "daemonize=True", "daemonize=on", "daemonize=11", "rpcaudit=f", "rpcaudit=maybe", "color=enabled",
		"direct_addressing=no", "direct_address=1", "topicprefix=/topic/", "helptemplatedir=/x", "queueprefix=/q", "plugin.psk=x", "plugins=x", "pluginx=x",
		"loglevel=infoo", "logfacility=user", "identity=me", "identity=m e", "identity=m_e.x-1", "ssl_cipher=x", "activate_agents=false", "soft_shutdown=1", "threaded=t", "publish_timeout=5",
		"connector=stomp", "connector=ActiveMQ", "securityprovider=ssl", "securityprovider=sslx", "factsource=facter", "registration=Agentlist", "registration=meta",
	}
	dir, said, args := t.TempDir(), "", []string{"-W0", "-e", readEach}
	for i, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		c := apply(t, "connector=rabbitmq", "plugin.psk=mine", "logfile="+dir+"/log")
		c.Fit(src)
		testkit.Must(t, c.Set(key, value))
		image, err := Stage(src, version, c.Render())
		testkit.Must(t, err)
		ends := slices.ContainsFunc(Lint(image, nil), func(f Finding) bool {
			return f.Key == key && (strings.Contains(f.Text, "exits") || strings.Contains(f.Text, "has no plugin"))
		})
		said += fmt.Sprintf("%s: %t\n", setting, ends)
		args = append(args, filepath.Join(dir, strconv.Itoa(i)))
		testkit.Must(t, os.WriteFile(args[len(args)-1], c.Render(), 0o600))
	}
	done := ""
	for i, line := range strings.Fields(testkit.Run(t, "ruby", args...)) {
		done += settings[i] + ": " + line + "\n"
	}
	if said != done {
		t.Errorf("said to end\n%s\nMCollective %s ends\n%s", said, version, done)
	}
}

// readEach reads each file with MCollective in a separate process, and prints whether it ends there.
const readEach = `
require 'mcollective'
$stdout.sync = true
ARGV.each do |file|
  pid = fork do
    [$stdout, $stderr].each { |f| f.reopen("/dev/null") }
    begin
      MCollective::Config.instance.loadconfig(file)
    rescue Exception
      exit!(1)
    end
    exit!(0)
  end
  Process.wait(pid)
  puts !$?.success?
end
`
