package razor

import (
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

const sampleConfig = `---
production:
  database_url: 'jdbc:postgresql:razor_prd?user=razor&password=mypass'
  microkernel:
    debug_level: debug
development:
  checkin_interval: 5
all:
  auth: {enabled: false, config: shiro.ini}
  microkernel:
    debug_level: quiet
    kernel_args: console=ttyS0
    extension-zip: /etc/razor/mk-extension.zip
  protect_new_nodes: true
  match_nodes_on: [mac, uuid]
  checkin_interval: 20
  repo_store_root: /var/lib/razor
  facts:
    match_on:
      - /disk\d+_uuid/
      - boardserial
    blacklist:
      - domain
      - /kernel.*/
  something_new: {a: [1, 2.5, null]}
`

func load(t *testing.T, text, environment string) (Config, error) {
	t.Helper()
	return LoadConfig(write(t, filepath.Join(t.TempDir(), "config.yaml"), text), environment)
}

func TestConfigMergesShallowly(t *testing.T) {
	c, err := load(t, sampleConfig, "production")
	testkit.Must(t, err)
	// production's microkernel map replaces the whole map of "all".
	if c.Microkernel.ExtensionZip != "" || c.Microkernel.KernelArgs != "" || c.Microkernel.DebugLevel != "debug" {
		t.Errorf("microkernel: %+v", c)
	}
	if !c.ProtectNewNodes || c.CheckinInterval != 20 || strings.Join(c.MatchNodesOn, " ") != "mac uuid" {
		t.Errorf("all: %+v", c)
	}
	c, err = load(t, sampleConfig, "development")
	testkit.Must(t, err)
	if c.Microkernel.ExtensionZip != "/etc/razor/mk-extension.zip" || c.Microkernel.KernelArgs != "console=ttyS0" || c.Microkernel.DebugLevel != "quiet" || c.CheckinInterval != 5 {
		t.Errorf("development: %+v", c)
	}
	for name, want := range map[string]bool{"disk0_uuid": true, "disk_uuid": false, "xdisk0_uuid": false, "boardserial": true, "boardserial2": false, "": false} {
		if c.Facts.MatchOn.Has(name) != want {
			t.Errorf("match_on %q: got %t", name, !want)
		}
	}
	for name, want := range map[string]bool{"domain": true, "kernel": true, "kernelrelease": true, "mykernel": false, "uptime": false} {
		if c.Facts.Blacklist.Has(name) != want {
			t.Errorf("blacklist %q: got %t", name, !want)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	for _, text := range []string{"", "---\n", "all:\n", "production: {microkernel: }"} {
		c, err := load(t, text, "production")
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if strings.Join(c.MatchNodesOn, "") != "mac" || c.CheckinInterval != 15 || c.Microkernel.ExtensionZip != "" {
			t.Errorf("%q: %+v", text, c)
		}
		for name, want := range map[string]bool{"uptime_seconds": true, "sshfp_dsa": true, "memorysize": true, "system_uptime": false, "os": false, "memory": false} {
			if c.Facts.Blacklist.Has(name) != want {
				t.Errorf("%q: default blacklist has %q: %t", text, name, !want)
			}
		}
	}
	// A facts map without a blacklist has none, because the merge is shallow.
	c, err := load(t, "all: {facts: {match_on: x}}", "production")
	if err != nil || c.Facts.Blacklist.Has("domain") || !c.Facts.MatchOn.Has("x") {
		t.Errorf("%v %+v", err, c)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a list", "- a", "config.yaml:1: expected a "},
		{"section is a string", "all: x", "config.yaml:1: expected a "},
		{"microkernel is a string", "all:\n  microkernel: x", "config.yaml:2: expected a "},
		{"extension is a list", "all:\n  microkernel:\n    extension-zip: [a]", "config.yaml:3: expected a text, found a list"},
		{"kernel_args of two lines", "all: {microkernel: {kernel_args: \"a\\nb\"}}", "microkernel.kernel_args must be one line"},
		{"facts is a list", "all:\n  facts: [a]", "config.yaml:2: expected a "},
		{"blacklist is a map", "all: {facts: {blacklist: {a: b}}}", "expected a list, found a mapping"},
		{"blacklist of lists", "all:\n  facts:\n    blacklist:\n    - a\n    - [5]", "config.yaml:5: expected a "},
		{"blacklist with a bad regexp", "all:\n  facts:\n    blacklist: ['/(/']", "config.yaml:3: entry \"/(/\" is not a valid regular expression"},
		{"match_nodes_on is empty", "all: {match_nodes_on: []}", "nonempty"},
		{"match_nodes_on is null", "all: {match_nodes_on: }", "nonempty"},
		{"match_nodes_on with an unknown key", "all:\n  match_nodes_on: [mac, hostname]", "config.yaml:2: match_nodes_on must only contain mac, serial, asset, uuid, not \"hostname\""},
		{"protect_new_nodes is a word", "all: {protect_new_nodes: 'perhaps'}", "expected true or false, found"},
		{"interval is a string", "all: {checkin_interval: '15'}", "expected a whole number, found"},
		{"interval is zero", "all: {checkin_interval: 0}", "1..86400"},
		{"key twice", "all:\n  facts: {}\n  facts: {}", "already defined"},
		{"not YAML", "all: {", "config.yaml:2:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.text, "production")
			if fail.ClassOf(err) != fail.Usage || fail.HintOf(err) == "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := LoadConfig(filepath.Join(t.TempDir(), "gone.yaml"), "production"); err == nil || !strings.Contains(err.Error(), "gone.yaml") {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(sampleConfig))
	f.Add([]byte("a: &a [*a]\nall: *a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = layered(b, "production") // must not panic
	})
}
