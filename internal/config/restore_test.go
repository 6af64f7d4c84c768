package config

import (
	"reflect"
	"strings"
	"testing"
)

const restorable = `
release: 4.7.7
profile: dev
mirrors: [m]
rubygems: {version: 1.8.24, url: r}
gems: {source: g, install: [{name: a, version: "1", url: u}, {name: b, version: "2"}]}
mcollective: {version: 1.2.1, url: x, server: {plugin.psk: hunter2, plugin.stomp.host: h, gone: null}}
openssh: {authorized_keys: [k]}
client: {settings: {server: s, fact.token: hunter2}, ca: ca.pem}
boot: {append: "quiet x.psk=hunter2"}
overlay: [{source: one, target: /a, owner: "1:2"}, {source: two, target: /a}]
image: {name: n, version: "3"}
`

func TestRestore(t *testing.T) {
	c, err := Parse("dir/mkbuild.yaml", []byte(restorable))
	if err != nil {
		t.Fatal(err)
	}
	public, err := c.Public()
	if err != nil {
		t.Fatal(err)
	}
	// A configuration that decides otherwise: only what is left out of the other counts.
	other := strings.NewReplacer("release: 4.7.7", "release: 9.0", "profile: dev", "profile: prod", `version: "1"`, `version: "7"`).Replace(restorable)
	from, err := Parse("dir/mkbuild.yaml", []byte(other))
	if err != nil {
		t.Fatal(err)
	}
	got, err := from.Restore(public)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got  %+v\nwant %+v", got, c)
	}
}

func TestRestoreLacks(t *testing.T) {
	c, err := Parse("mkbuild.yaml", []byte(restorable))
	if err != nil {
		t.Fatal(err)
	}
	public, err := c.Public()
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []string{"plugin.psk: hunter2, ", ", fact.token: hunter2", " x.psk=hunter2", `{source: one, target: /a, owner: "1:2"}, {source: two, target: /a}`} {
		from, err := Parse("mkbuild.yaml", []byte(strings.Replace(restorable, cut, "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = from.Restore(public)
		if err == nil || !strings.Contains(err.Error(), "is not in the manifest") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("without %q: %v", cut, err)
		}
	}
}
