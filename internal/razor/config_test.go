package razor

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
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

func TestConfigMergesShallowly(t *testing.T) {
	c, err := ParseConfig([]byte(sampleConfig), "config.yaml", "production")
	if err != nil {
		t.Fatal(err)
	}
	// production's microkernel map replaces the whole map of "all".
	if c.ExtensionZip != "" || c.KernelArgs != "" || c.DebugLevel != "debug" {
		t.Errorf("microkernel: %+v", c)
	}
	if !c.ProtectNewNodes || c.CheckinInterval != 20 || strings.Join(c.MatchNodesOn, " ") != "mac uuid" {
		t.Errorf("all: %+v", c)
	}
	c, err = ParseConfig([]byte(sampleConfig), "config.yaml", "development")
	if err != nil {
		t.Fatal(err)
	}
	if c.ExtensionZip != "/etc/razor/mk-extension.zip" || c.KernelArgs != "console=ttyS0" || c.DebugLevel != "quiet" || c.CheckinInterval != 5 {
		t.Errorf("development: %+v", c)
	}
	for name, want := range map[string]bool{"disk0_uuid": true, "disk_uuid": false, "xdisk0_uuid": false, "boardserial": true, "boardserial2": false, "": false} {
		if c.MatchOn.Has(name) != want {
			t.Errorf("match_on %q: got %t", name, !want)
		}
	}
	for name, want := range map[string]bool{"domain": true, "kernel": true, "kernelrelease": true, "mykernel": false, "uptime": false} {
		if c.Blacklist.Has(name) != want {
			t.Errorf("blacklist %q: got %t", name, !want)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	for _, text := range []string{"", "---\n", "all:\n", "production: {microkernel: }"} {
		c, err := ParseConfig([]byte(text), "config.yaml", "production")
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if strings.Join(c.MatchNodesOn, "") != "mac" || c.CheckinInterval != 15 || c.ExtensionZip != "" {
			t.Errorf("%q: %+v", text, c)
		}
		for name, want := range map[string]bool{"uptime_seconds": true, "sshfp_dsa": true, "memorysize": true, "system_uptime": false, "os": false, "memory": false} {
			if c.Blacklist.Has(name) != want {
				t.Errorf("%q: default blacklist has %q: %t", text, name, !want)
			}
		}
	}
	// A facts map without a blacklist leaves none, for the merge is shallow.
	c, err := ParseConfig([]byte("all: {facts: {match_on: x}}"), "config.yaml", "production")
	if err != nil || c.Blacklist.Has("domain") || !c.MatchOn.Has("x") {
		t.Errorf("%v %+v", err, c)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a list", "- a", "config.yaml:1: the file must be a map"},
		{"section is a string", "all: x", "all must be a map"},
		{"microkernel is a string", "all:\n  microkernel: x", "config.yaml:2: microkernel must be a map, not the string \"x\""},
		{"extension is a number", "all:\n  microkernel:\n    extension-zip: 5", "config.yaml:3: microkernel.extension-zip must be a string, not 5"},
		{"extension is a list", "all: {microkernel: {extension-zip: [a]}}", "must be a string, not a list"},
		{"kernel_args of two lines", "all: {microkernel: {kernel_args: \"a\\nb\"}}", "must be one line"},
		{"debug_level is a bool", "all: {microkernel: {debug_level: true}}", "must be a string"},
		{"facts is a list", "all:\n  facts: [a]", "facts must be a map"},
		{"blacklist is a map", "all: {facts: {blacklist: {a: b}}}", "must be a list"},
		{"blacklist of numbers", "all:\n  facts:\n    blacklist:\n    - a\n    - 5", "config.yaml:5: facts.blacklist: every entry must be a string"},
		{"blacklist with a bad regexp", "all: {facts: {blacklist: ['/(/']}}", "not a valid regular expression"},
		{"blacklist that closes our group", "all: {facts: {blacklist: ['/a)(b/']}}", "not a valid regular expression"},
		{"match_on with a look-ahead", "all: {facts: {match_on: ['/a(?=b)/']}}", "look-ahead"},
		{"match_nodes_on is empty", "all: {match_nodes_on: []}", "nonempty"},
		{"match_nodes_on is null", "all: {match_nodes_on: }", "nonempty"},
		{"match_nodes_on with an unknown key", "all: {match_nodes_on: [mac, hostname]}", "must only contain mac, serial, asset, uuid, not \"hostname\""},
		{"protect_new_nodes is a string", "all: {protect_new_nodes: 'yes'}", "must be true or false"},
		{"interval is a string", "all: {checkin_interval: '15'}", "must be an integer"},
		{"interval is zero", "all: {checkin_interval: 0}", "1..86400"},
		{"key twice", "all:\n  facts: {}\n  facts: {}", "twice"},
		{"merge key", "base: &b {}\nall:\n  <<: *b", "merge keys"},
		{"not YAML", "all: {", "config.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseConfig([]byte(c.text), "config.yaml", "production")
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := LoadConfig(filepath.Join(t.TempDir(), "gone.yaml"), "production"); err == nil || !strings.Contains(err.Error(), "gone.yaml") {
		t.Errorf("missing file: %v", err)
	}
	big := write(t, filepath.Join(t.TempDir(), "big.yaml"), strings.Repeat("#", maxConfig+1))
	if _, err := LoadConfig(big, "production"); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("big file: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(sampleConfig))
	f.Add([]byte("a: &a [*a]\nall: *a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseConfig(b, "f", "production"); err != nil && !errors.Is(err, ErrConfig) {
			t.Fatalf("error of another kind: %v", err)
		}
	})
}
