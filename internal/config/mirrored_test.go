package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

const everySection = `
release: 4.5.2
profile: debug
mirrors: [http://user:hidden@one.example/, two]
extensions: [ruby, bash]
missing: [nowhere]
rubygems: {version: 1.8.16, url: [http://a.example/x.tgz, /b/x.tgz], sha256: ` + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + `}
gems: {mode: boot, source: gems, install: [{name: stomp, version: 1.2.0, url: "http://g.example/stomp.gem"}, {name: daemons, version: 1.1.8}]}
mcollective:
  url: m.tgz
  server: {plugin.psk: hush, plugin.stomp.host: broker, plugin.stomp.password: {env: PW}, plugin.ssl: {file: ssl.pem}, collectives: null}
openssh: {authorized_keys: [id.pub, "ssh-rsa AAAA a@b"]}
client: {ca: ca.pem, settings: {server: "razor.example:8150", token: whisper}}
overlay: [{source: files, target: /etc, owner: "1:2"}]
boot: {append: quiet, timeout: 7}
initrd: {layout: merged, level: 2}
image: {name: x, version: 1.2}
`

// The configuration of a mirror requests the same image, from places inside the mirror.
func TestMirrored(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	c := parsed(t, filepath.Join(root, "site", "mkbuild.yaml"), everySection)
	dir := filepath.Join(root, "mirror")
	text, notes, err := Mirrored(&c, dir)
	testkit.Must(t, err)
	for _, secret := range []string{"hush", "whisper", "hidden", "REDACTED"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q stands in\n%s", secret, text)
		}
	}
	m := parsed(t, filepath.Join(dir, "mkbuild.yaml"), string(text))
	testkit.Must(t, m.Validate())
	archive := func(name string) []string { return []string{filepath.Join(dir, "archives", name)} }
	for _, tt := range []struct {
		what      string
		got, want []string
	}{
		{"mirrors", m.Mirrors, []string{dir}},
		{"rubygems", m.RubyGems.Sources(), archive("rubygems-1.8.16.tgz")},
		{"mcollective", m.MCollective.Sources(), archive("mcollective-1.2.1.tgz")},
		{"gems", m.Gems.Source, archive("")},
		{"url of a gem", m.Gems.Install[0].URL, nil},
		{"overlay", []string{m.Overlay[0].Source}, []string{filepath.Join(root, "site", "files")}},
		{"certificates", []string{m.Client.CA}, []string{filepath.Join(root, "site", "ca.pem")}},
		{"keys", []string{m.OpenSSH.KeyFile(m.OpenSSH.AuthorizedKeys[0]), m.OpenSSH.AuthorizedKeys[1]}, []string{filepath.Join(root, "site", "id.pub"), "ssh-rsa AAAA a@b"}},
		{"file of a value", []string{m.MCollective.Server["plugin.ssl"].file}, []string{filepath.Join(root, "site", "ssl.pem")}},
		{"variables", []string{m.MCollective.Server["plugin.psk"].env, m.MCollective.Server["plugin.stomp.password"].env}, []string{"MKBUILD_PLUGIN_PSK", "PW"}},
		{"plain value", []string{m.MCollective.Server["plugin.stomp.host"].text.Reveal()}, []string{"broker"}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	if v, ok := m.MCollective.Server["collectives"]; v != nil || !ok {
		t.Errorf("the key that is removed: %v, %v", v, ok)
	}
	// The rest is unchanged: the members checked above are made equal.
	a, b := c, m
	a.Mirrors, a.RubyGems.URL, a.MCollective.URL, a.MCollective.Server, a.Gems.Source, a.Gems.Install[0].URL = b.Mirrors, b.RubyGems.URL, b.MCollective.URL, b.MCollective.Server, b.Gems.Source, nil
	delete(a.Client.Settings, "token")
	a.OpenSSH, b.OpenSSH = OpenSSH{}, OpenSSH{}
	one, err := a.members()
	testkit.Must(t, err)
	two, err := b.members()
	testkit.Must(t, err)
	if got, want := fmt.Sprint(two), fmt.Sprint(one); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{"mcollective.server.plugin.psk: set MKBUILD_PLUGIN_PSK", "client.settings.token", filepath.Join("site", "files") + " (overlay)", "ca.pem (client.ca)", "id.pub (openssh", "ssl.pem (mcollective.server.plugin.ssl)"} {
		if !strings.Contains(all, want) {
			t.Errorf("no note %q in\n%s", want, all)
		}
	}
	if len(notes) != 6 {
		t.Errorf("%d notes:\n%s", len(notes), all)
	}
}

// The built-in configuration needs no files of the user.
func TestMirroredDefault(t *testing.T) {
	t.Parallel()
	c := Default()
	text, notes, err := Mirrored(&c, t.TempDir())
	if err != nil || len(notes) > 0 {
		t.Errorf("%q, %v", notes, err)
	}
	parsed(t, "mkbuild.yaml", string(text))
	c.RubyGems, c.MCollective, c.Gems.Install = nil, nil, nil
	if text, _, err = Mirrored(&c, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if m := parsed(t, "mkbuild.yaml", string(text)); m.RubyGems != nil || m.MCollective != nil || len(m.Gems.Install) > 0 {
		t.Errorf("%+v", m)
	}
}
