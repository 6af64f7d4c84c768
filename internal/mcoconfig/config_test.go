package mcoconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// documentText is the server.cfg of the build document without its indent.
const documentText = `topicprefix = /topic/
main_collective = mcollective
collectives = mcollective
libdir = /usr/local/mcollective/plugins
logfile = /var/log/mcollective.log
loglevel = info
daemonize = 1

# Plugins
securityprovider = psk
plugin.psk = klot2oj2ked2tayn3hu5on7l
connector = stomp

plugin.stomp.host = ubuntu-server
plugin.stomp.port = 6163
plugin.stomp.user = mcollective
plugin.stomp.password = iwillchangethispassword

# Facts
factsource = yaml
plugin.yaml = /usr/local/etc/mcollective/facts.yaml
`

func TestDefaultIsTheDocument(t *testing.T) {
	t.Parallel()
	if got := string(Default().Render()); got != documentText {
		t.Errorf("got\n%s\nwant\n%s", got, documentText)
	}
}

// apply sets keys from "key=value" texts; "key" alone removes.
func apply(t *testing.T, settings ...string) *Config {
	t.Helper()
	values := map[string]*string{}
	for _, s := range settings {
		key, value, set := strings.Cut(s, "=")
		values[key] = nil
		if set {
			values[key] = &value
		}
	}
	c := Default()
	testkit.Must(t, c.Apply(values))
	return c
}

func TestRender(t *testing.T) {
	t.Parallel()
	const stomp = `plugin.stomp.host = ubuntu-server
plugin.stomp.port = 6163
plugin.stomp.user = mcollective
plugin.stomp.password = iwillchangethispassword
`
	tests := []struct {
		name     string
		settings []string
		old, new string // changes in the document's text
	}{
		{"nothing", nil, "", ""},
		{"override", []string{"loglevel=debug"}, "loglevel = info", "loglevel = debug"},
		{"remove", []string{"topicprefix", "nothere"}, "topicprefix = /topic/\n", ""},
		{
			"further keys", []string{"ttl=60", "direct_addressing=1", "identity=a = b"}, "facts.yaml\n",
			"facts.yaml\n\n# Further settings\ndirect_addressing = 1\nidentity = a = b\nttl = 60\n",
		},
		{
			"no facts", []string{"factsource", "plugin.yaml"},
			"\n# Facts\nfactsource = yaml\nplugin.yaml = /usr/local/etc/mcollective/facts.yaml\n", "",
		},
		{
			"stomp pool", []string{"plugin.stomp.port=61613", "plugin.stomp.base64=true"}, "port = 6163\n" + strings.SplitN(stomp, "6163\n", 2)[1],
			"port = 61613\n" + strings.SplitN(stomp, "6163\n", 2)[1] + "plugin.stomp.base64 = true\n",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			want := strings.Replace(documentText, tc.old, tc.new, 1)
			if got := string(apply(t, tc.settings...).Render()); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestRenderConnector(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rabbitmq", "activemq"} {
		c := apply(t, "plugin.X.vhost=/mcollective", "plugin.X.pool.10.host=j", "plugin.X.pool.2.host=b", "plugin.X.pool.1.password=secret",
			"plugin.X.pool.1.user=u", "plugin.X.pool.1.host=a", "plugin.X.pool.1.port=61613", "plugin.X.pool.1.ssl=0", "plugin.X.pool.size=2", "plugin.X.pool.536870912.host=y", "plugin.X.pool.0.host=z")
		testkit.Must(t, c.Set("connector", name))
		// The keys above are named for an unknown connector: they are further settings.
		if got := string(c.Render()); strings.Contains(got, "plugin.stomp") || !strings.Contains(got, "# Further settings\nplugin.X") {
			t.Errorf("got\n%s", got)
		}
		for key, v := range c.Values() {
			if rest, ok := strings.CutPrefix(key, "plugin.X."); ok {
				c.Remove(key)
				testkit.Must(t, c.Set("plugin."+name+"."+rest, v))
			}
		}
		block := strings.ReplaceAll(`connector = X

plugin.X.pool.size = 2
plugin.X.pool.1.host = a
plugin.X.pool.1.port = 61613
plugin.X.pool.1.user = u
plugin.X.pool.1.password = secret
plugin.X.pool.1.ssl = 0
plugin.X.pool.2.host = b
plugin.X.pool.10.host = j
plugin.X.pool.0.host = z
plugin.X.pool.536870912.host = y
plugin.X.vhost = /mcollective

# Facts
`, "X", name)
		start, end := strings.Index(documentText, "connector ="), strings.Index(documentText, "factsource =")
		if got, want := string(c.Render()), documentText[:start]+block+documentText[end:]; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// TestRenderPoolOf1 has the brokers of a pool in the form of MCollective 1.x.
func TestRenderPoolOf1(t *testing.T) {
	t.Parallel()
	got := string(apply(t, "plugin.stomp.pool.size=2", "plugin.stomp.pool.host2=b", "plugin.stomp.pool.password1=p", "plugin.stomp.pool.user1=u",
		"plugin.stomp.pool.host1=a", "plugin.stomp.pool.port1=1", "plugin.stomp.pool.host10=j", "plugin.stomp.pool.randomize=1").Render())
	want := `connector = stomp

plugin.stomp.pool.size = 2
plugin.stomp.pool.host1 = a
plugin.stomp.pool.port1 = 1
plugin.stomp.pool.user1 = u
plugin.stomp.pool.password1 = p
plugin.stomp.pool.host2 = b
plugin.stomp.pool.host10 = j
plugin.stomp.pool.randomize = 1

# Facts
`
	if !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

func TestRenderOwnStompKeysStay(t *testing.T) {
	t.Parallel()
	got := string(apply(t, "connector=rabbitmq", "plugin.stomp.host=mine").Render())
	if !strings.Contains(got, "# Further settings\nplugin.stomp.host = mine\n") || strings.Contains(got, "plugin.stomp.user") {
		t.Errorf("got\n%s", got)
	}
}

func TestSetErrors(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "a b", "a=b", "#a", "a\nb", "ä", ".a", strings.Repeat("k", maxKey+1)} {
		if err := Default().Set(key, "v"); !errors.Is(err, ErrKey) {
			t.Errorf("key %q: got %v, want ErrKey", key, err)
		}
	}
	if err := Default().Set(strings.Repeat("k", maxKey), "v"); err != nil {
		t.Errorf("the longest key: %v", err)
	}
	for _, value := range []string{
		"", " ", "hunter2\nplugin.psk = x", "hunter2\r", "hunter2\x00", " hunter2", "hunter2\t", "hun\tter2", "hun\u2028ter2",
		"hunter2\xff", "hun\vter2", "hun\u0085ter2", strings.Repeat("hunter2", 1000),
	} {
		c := Default()
		err := c.Set("plugin.psk", value)
		if !errors.Is(err, ErrValue) {
			t.Errorf("value %q: got %v, want ErrValue", value, err)
			continue
		}
		if strings.Contains(err.Error(), "hun") {
			t.Errorf("the error shows the value: %v", err)
		}
		if string(c.Render()) != documentText {
			t.Errorf("value %q: the refused value changed the file", value)
		}
	}
	if err := Default().Set("plugin.psk", strings.Repeat("x", maxValue)); err != nil {
		t.Errorf("the longest value: %v", err)
	}
	bad := "a\nb"
	if err := Default().Apply(map[string]*string{"ttl": &bad}); !errors.Is(err, ErrValue) {
		t.Errorf("Apply: got %v, want ErrValue", err)
	}
}

func TestIsSample(t *testing.T) {
	t.Parallel()
	tests := []struct {
		settings []string
		want     bool
	}{
		{nil, true},
		{[]string{"plugin.psk=mine"}, true},
		{[]string{"plugin.stomp.password=mine"}, true},
		{[]string{"plugin.psk=mine", "plugin.stomp.password=mine"}, false},
		{[]string{"plugin.psk", "plugin.stomp.password"}, false},
		{[]string{"plugin.psk=mine", "connector=rabbitmq"}, false},
		{[]string{"plugin.psk=mine", "plugin.stomp.pool.size=1"}, false}, // the password of the document is not read
		{[]string{"plugin.psk=mine", "plugin.stomp.pool.size=1", "plugin.stomp.password=" + samplePassword}, true},
		{[]string{"plugin.psk=mine", "connector=rabbitmq", "plugin.rabbitmq.pool.1.password=" + samplePassword}, true},
	}
	for _, tc := range tests {
		if got := apply(t, tc.settings...).IsSample(); got != tc.want {
			t.Errorf("%q: got %v, want %v", tc.settings, got, tc.want)
		}
	}
}

func TestRenderedDoesNotPrint(t *testing.T) {
	t.Parallel()
	r := Default().Render()
	js, err := json.Marshal(map[string]any{"cfg": r})
	testkit.Must(t, err)
	for _, s := range []string{
		fmt.Sprint(r), fmt.Sprintf("%s %v %+v %#v %x %q %d", r, r, r, r, r, r, r), fmt.Sprintf("%v", []any{r}), string(js), r.String(), r.GoString(),
	} {
		if strings.Contains(s, "topicprefix") || strings.Contains(s, "116") || !strings.Contains(s, "REDACTED") {
			t.Errorf("printed as %s", s)
		}
	}
}

// TestMCollectiveReadsIt reads a rendered file with MCollective itself, if installed.
func TestMCollectiveReadsIt(t *testing.T) {
	t.Parallel()
	ruby := testkit.Tool(t, "ruby")
	if err := runQuietly(t, ruby, "-e", "require 'mcollective'"); err != nil {
		t.Skip("MCollective is not installed: no second opinion")
	}
	dir := t.TempDir()
	c := apply(t, "connector=rabbitmq", "plugin.rabbitmq.pool.size=1", "plugin.rabbitmq.pool.1.host=mq", "plugin.rabbitmq.pool.1.password=a = b#c",
		"plugin.psk=k", "topicprefix", "direct_addressing=1", "libdir="+dir, "logfile="+dir+"/log", "identity=node-1")
	file := filepath.Join(dir, "server.cfg")
	testkit.Must(t, os.WriteFile(file, c.Render(), 0o600))
	got := testkit.Run(t, "ruby", "-W0", "-e", `
		require 'mcollective'
		c = MCollective::Config.instance
		c.loadconfig(ARGV[0])
		puts c.connector, c.identity, c.collectives.inspect, c.daemonize, c.direct_addressing
		c.pluginconf.sort.each { |k, v| puts "#{k}=#{v}" }`, file)
	want := `Rabbitmq
node-1
["mcollective"]
true
true
psk=k
rabbitmq.pool.1.host=mq
rabbitmq.pool.1.password=a = b#c
rabbitmq.pool.size=1
yaml=/usr/local/etc/mcollective/facts.yaml
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzSet(f *testing.F) {
	f.Add("plugin.psk", "secret")
	f.Add("ttl", "a\nb")
	f.Fuzz(func(t *testing.T, key, value string) {
		c := Default()
		if c.Set(key, value) != nil {
			return
		}
		lines := strings.Split(string(c.Render()), "\n")
		n := 0
		for _, l := range lines {
			if l == key+" = "+value {
				n++
			}
		}
		if n != 1 || len(lines) > strings.Count(documentText, "\n")+4 {
			t.Errorf("%q = %q gave\n%s", key, value, c.Render())
		}
	})
}
