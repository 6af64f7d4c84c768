package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// published are the members whose text a published configuration holds. A new member must be added here or removed
// by Public: think of secrets, and of the paths of the build machine.
var published = []string{
	"Arch", "Boot.Allow", "Boot.AllowInittab", "Boot.Append", "CDE", "Client.Settings", "Edition", "Extensions", "Gems.Install.Name", "Gems.Install.SHA256",
	"Gems.Install.Version", "Gems.Mode", "ISO.SHA256", "Image.Version", "Initrd.Compress", "Initrd.Layout", "MCollective.SHA256", "MCollective.Version",
	"Missing", "Overlay.Owner", "Overlay.Target", "Picks.Extension", "Picks.Files", "Profile", "Release",
	"RubyGems.SHA256", "RubyGems.Version", "Services.Allow",
}

// fill puts a unique text into every string below v.
func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("<" + name + ">")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Map:
		m := reflect.New(v.Type().Elem()).Elem()
		if m.Type() == reflect.TypeFor[*Value]() {
			secret := Text("<" + name + ">")
			m.Set(reflect.ValueOf(&secret))
		} else {
			fill(m, name)
		}
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), m)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fill(v.Field(i), strings.TrimPrefix(name+"."+f.Name, "."))
			}
		}
	}
}

func TestPublicMembers(t *testing.T) {
	var c Config
	fill(reflect.ValueOf(&c).Elem(), "")
	b, err := c.Public()
	testkit.Must(t, err)
	var got []string
	for _, m := range regexp.MustCompile(`<([A-Za-z0-9.]+)>`).FindAllStringSubmatch(string(b), -1) {
		if !slices.Contains(got, m[1]) {
			got = append(got, m[1])
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, published) {
		t.Errorf("published:\n%q\nwant:\n%q\n%s", got, published, b)
	}
}

func TestPublicSecrets(t *testing.T) {
	c, err := Parse("mkbuild.yaml", []byte(`
mcollective: {server: {plugin.psk: hunter2-psk, plugin.stomp.password: hunter2-pw, plugin.stomp.host: b.example, gone: null}}
client: {settings: {server: "razor.example:8150", register: "http://u:hunter2-url@razor/svc/checkin/1", fact.token: hunter2-token, mcollective.allow_sample_secrets: "on"}}
boot: {append: "quiet console=ttyS0 razor.psk=hunter2-arg razor.extend=http://u:hunter2-ext@x/"}
`))
	testkit.Must(t, err)
	b, err := c.Public()
	testkit.Must(t, err)
	text := string(b)
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is in\n%s", text)
	}
	for _, want := range []string{`"plugin.psk":"REDACTED"`, `"gone":null`, `"server":"razor.example:8150"`, `"quiet console=ttyS0 razor.psk=REDACTED razor.extend=REDACTED"`, `"mcollective.allow_sample_secrets":"on"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if !c.Client.HasSecrets() || (&Client{Settings: map[string]string{"server": "razor"}}).HasSecrets() {
		t.Error("HasSecrets is wrong")
	}
}

// TestPublicParses reads the result back: the members that determine the content are equal.
func TestPublicParses(t *testing.T) {
	c := parsed(t, "dir/mkbuild.yaml", "release: 4.7.7\nprofile: debug\nrubygems: null\npick: []\noverlay: [{source: a, target: /b}]\nboot: {timeout: 7}\nimage: {name: x, version: 1.2}\n")
	b, err := c.Public()
	testkit.Must(t, err)
	back := parsed(t, "manifest", string(b))
	again, err := back.Public()
	if err != nil || string(again) != string(b) {
		t.Errorf("%v\n%s\n%s", err, b, again)
	}
	if got := fmt.Sprintf("%s %s %v %d %d %s", back.Release, back.Profile, back.RubyGems, len(back.Picks), *back.Boot.Timeout, back.Image.Version); got != "4.7.7 debug <nil> 0 7 1.2" {
		t.Error(got)
	}
}

const restorable = `
release: 4.7.7
profile: dev
mirrors: [m]
rubygems: {version: 1.8.24, url: r}
gems: {source: g, install: [{name: a, version: "1", url: u}, {name: b, version: "2"}]}
mcollective: {version: 1.2.1, url: x, server: {plugin.psk: hunter2, plugin.stomp.host: h, gone: null}}
openssh: {authorized_keys: [k]}
extension_keys: [e.pub]
client: {settings: {server: s, fact.token: hunter2}, ca: ca.pem}
boot: {append: "quiet x.psk=hunter2"}
overlay: [{source: one, target: /a, owner: "1:2"}, {source: two, target: /a}]
image: {name: n, version: "3"}
`

func TestRestore(t *testing.T) {
	c := parsed(t, "dir/mkbuild.yaml", restorable)
	public, err := c.Public()
	testkit.Must(t, err)
	// A configuration with other choices: only the members that Public removes from the first one count.
	other := strings.NewReplacer("release: 4.7.7", "release: 9.0", "profile: dev", "profile: prod", `version: "1"`, `version: "7"`).Replace(restorable)
	from := parsed(t, "dir/mkbuild.yaml", other)
	got, err := from.Restore(public)
	testkit.Must(t, err)
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got  %+v\nwant %+v", got, c)
	}
}

func TestRestoreLacks(t *testing.T) {
	c := parsed(t, "mkbuild.yaml", restorable)
	public, err := c.Public()
	testkit.Must(t, err)
	for _, cut := range []string{"plugin.psk: hunter2, ", ", fact.token: hunter2", " x.psk=hunter2", `{source: one, target: /a, owner: "1:2"}, {source: two, target: /a}`} {
		from := parsed(t, "mkbuild.yaml", strings.Replace(restorable, cut, "", 1))
		_, err = from.Restore(public)
		if err == nil || !strings.Contains(err.Error(), "is neither in the manifest nor") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("without %q: %v", cut, err)
		}
	}
}
