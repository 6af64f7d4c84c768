package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

const everyPath = `
mirrors: [~/m, m, "http://h/~/m", /abs]
rubygems: {version: 1.8.15, url: "~/a/{version}.tgz"}
mcollective: {version: 1.2.1, url: [~/b.tgz, b.tgz], server: {plugin.psk: {file: ~/psk}, x: "~/not a path"}}
gems: {source: [~/gems], install: [{name: a, version: "1", url: [~/a.gem]}]}
openssh: {authorized_keys: [~/k.pub, k.pub, "ssh-rsa AAAA ~/x"]}
extension_keys: [~/e.pub, e.pub, RWRRnSmZg7lBRs+tlagXU904kGXR76nQLgrEumigRsUKeT7YNtmOQ/kd]
client: {ca: ~/ca.pem, settings: {server: "~/x"}}
overlay: [{source: ~/files, target: /~/x}, {source: files, target: /}]
`

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home", "me")
	name := filepath.Join(dir, "conf", "mkbuild.yaml")
	c := parsed(t, name, everyPath)
	c.ExpandHome(home)
	testkit.Must(t, c.Validate())
	conf := filepath.Join(dir, "conf")
	var secret string
	_, err := c.MCollective.Server["plugin.psk"].Resolve(Sources{ReadFile: func(name string) ([]byte, error) { secret = name; return nil, nil }})
	testkit.Must(t, err)
	for what, pair := range map[string][2]string{
		"mirrors":        {strings.Join(c.Mirrors, " "), strings.Join([]string{home + "/m", conf + "/m", "http://h/~/m", "/abs"}, " ")},
		"rubygems":       {c.RubyGems.Sources()[0], home + "/a/1.8.15.tgz"},
		"mcollective":    {strings.Join(c.MCollective.URL, " "), home + "/b.tgz " + conf + "/b.tgz"},
		"secret":         {secret, home + "/psk"},
		"gems.source":    {c.Gems.Source[0], home + "/gems"},
		"gem":            {c.Gems.Install[0].URL[0], home + "/a.gem"},
		"key of home":    {c.OpenSSH.KeyFile(c.OpenSSH.AuthorizedKeys[0]), home + "/k.pub"},
		"key file":       {c.OpenSSH.KeyFile(c.OpenSSH.AuthorizedKeys[1]), conf + "/k.pub"},
		"key":            {c.OpenSSH.AuthorizedKeys[2], "ssh-rsa AAAA ~/x"},
		"client.ca":      {c.Client.CA, home + "/ca.pem"},
		"extension keys": {strings.Join(c.ExtensionKeys, " "), home + "/e.pub " + conf + "/e.pub RWRRnSmZg7lBRs+tlagXU904kGXR76nQLgrEumigRsUKeT7YNtmOQ/kd"},
		"client setting": {c.Client.Settings["server"], "~/x"},
		"overlay":        {c.Overlay[0].Source, home + "/files"},
		"overlay target": {c.Overlay[0].Target, "/~/x"},
		"second overlay": {c.Overlay[1].Source, conf + "/files"},
	} {
		if filepath.ToSlash(pair[0]) != filepath.ToSlash(pair[1]) {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
}

// An omitted path is not the folder of the config file.
func TestEmptyPaths(t *testing.T) {
	c := parsed(t, "/conf/mkbuild.yaml", "client: {ca: \"\"}\noverlay: [{target: /}]\nmirrors: [\"\"]\n")
	c.ExpandHome("/home/me")
	if c.Client.CA != "" || c.Overlay[0].Source != "" || !slices.Equal(c.Mirrors, URLs{""}) {
		t.Errorf("%q, %q, %q", c.Client.CA, c.Overlay[0].Source, c.Mirrors)
	}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "has no source") {
		t.Errorf("got %v", err)
	}
}

func TestOverlayTarget(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/etc/x": true, "/etc//x/": true, "/a..b": true, "/./x": true,
		"": false, "etc": false, "/../y": false, "/etc/..": false, "/a\x00b": false, "/" + strings.Repeat("a", 5000): false,
	} {
		c := Default()
		c.Overlay = []UserFiles{{Source: "x", Target: target}}
		if err := c.Validate(); (err == nil) != want {
			t.Errorf("%.20q: %v", target, err)
		}
	}
}
