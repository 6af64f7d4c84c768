// Package mcoconfig models the server.cfg of MCollective, the agent that lets an administrator
// command many machines at once, and the files of the agent in an image.
//
// server.cfg holds secrets: the pre-shared key of all machines and the password of the message
// broker. The package never logs or prints them; [Rendered] prints as REDACTED. It does not write
// facts.yaml, which the client inside the image renews before each check-in. Start reading at [Default],
// [Config.Render], [Stage] and [Lint].
package mcoconfig

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mkbuild/internal/overlay"
)

// The secrets that MCollective's and Razor's documentation print, known to everybody.
const (
	samplePSK      = "klot2oj2ked2tayn3hu5on7l"
	samplePassword = "iwillchangethispassword"
)

// ErrKey is returned for a text that cannot be a key of server.cfg.
var ErrKey = errors.New("not a key of server.cfg")

// ErrValue is returned for a text that cannot be a value of server.cfg.
var ErrValue = errors.New("not a value of server.cfg")

// setting is one line of the build document's server.cfg: a key with its value, or a comment.
type setting struct{ key, value string }

// document returns the build document's server.cfg as blocks with a blank line between them. An
// empty key marks a comment.
func document() [][]setting {
	return [][]setting{
		{
			{"topicprefix", "/topic/"},
			{"main_collective", "mcollective"},
			{"collectives", "mcollective"},
			{"libdir", "/usr/local/mcollective/plugins"},
			{"logfile", "/var/log/mcollective.log"},
			{"loglevel", "info"},
			{"daemonize", "1"},
		},
		{
			{"", "# Plugins"},
			{"securityprovider", "psk"},
			{"plugin.psk", samplePSK},
			{"connector", "stomp"},
		},
		{
			{"plugin.stomp.host", "ubuntu-server"},
			{"plugin.stomp.port", "6163"},
			{"plugin.stomp.user", "mcollective"},
			{"plugin.stomp.password", samplePassword},
		},
		{
			{"", "# Facts"},
			{"factsource", "yaml"},
			{"plugin.yaml", "/usr/local/etc/mcollective/facts.yaml"},
		},
	}
}

// connectorBlock is the index in document of the block that belongs to the connector.
const connectorBlock = 2

// connectors are those whose keys this package knows.
func connectors() []string { return []string{"stomp", "rabbitmq", "activemq"} }

// Config is the content of a server.cfg. Make one with [Default].
type Config struct {
	values map[string]string
	own    map[string]bool // keys that were set by the user
}

// Default returns the build document's keys and values.
func Default() *Config {
	c := &Config{values: map[string]string{}, own: map[string]bool{}}
	for _, block := range document() {
		for _, s := range block {
			if s.key != "" {
				c.values[s.key] = s.value
			}
		}
	}
	return c
}

// keyForm is a key that MCollective's reader takes whole: it cuts a line at the first "=" and takes
// lines that begin with "#" for comments.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]*$`)

// The bounds of keys and values are far above what MCollective has.
const (
	maxKey   = 200
	maxValue = 4096
)

// Set gives key a value. It fails with [ErrKey], and with [ErrValue] on what MCollective's reader
// would not give back unchanged: empty values, blanks at the ends, line breaks and other control
// characters. The error does not show the value, which may be a secret.
func (c *Config) Set(key, value string) error {
	if len(key) > maxKey || !keyForm.MatchString(key) {
		return fmt.Errorf("set %.64q: %w", key, ErrKey)
	}
	if err := checkValue(value); err != nil {
		return fmt.Errorf("set %s: %w", key, err)
	}
	c.values[key] = value
	c.own[key] = true
	return nil
}

func checkValue(v string) error {
	switch {
	case v == "":
		return fmt.Errorf("%w: empty (null removes the key)", ErrValue)
	case len(v) > maxValue:
		return fmt.Errorf("%w: longer than %d bytes", ErrValue, maxValue)
	case !utf8.ValidString(v):
		return fmt.Errorf("%w: not UTF-8", ErrValue)
	case strings.TrimSpace(v) != v:
		return fmt.Errorf("%w: blanks at its ends", ErrValue)
	case strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return fmt.Errorf("%w: a line break or control character", ErrValue)
	}
	return nil
}

// Remove drops key; a key that is not there is no error.
func (c *Config) Remove(key string) {
	delete(c.values, key)
	delete(c.own, key)
}

// Apply sets every key of values, and removes those whose value is nil.
func (c *Config) Apply(values map[string]*string) error {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if values[key] == nil {
			c.Remove(key)
			continue
		}
		if err := c.Set(key, *values[key]); err != nil {
			return err
		}
	}
	return nil
}

// Fit leaves out keys of the document that the MCollective in src, a source archive, ignores or does not
// know; those that the user set stay.
func (c *Config) Fit(src *overlay.Tree) {
	known := readConfigRB(source(src, "lib/mcollective/config.rb"), nil)
	if known == nil {
		return
	}
	for key := range c.values {
		if rule := known.takes(key); !c.own[key] && (rule == nil || rule.ignored) {
			delete(c.values, key)
		}
	}
}

// connector returns the name of the connector in lower case: MCollective ignores case there.
func (c *Config) connector() string { return strings.ToLower(c.values["connector"]) }

// Values returns the keys and values that are rendered. With another connector than stomp, or with a
// pool of brokers, the document's plugin.stomp.* are not among them; those that the user set are.
func (c *Config) Values() map[string]string {
	out := maps.Clone(c.values)
	if _, pooled := c.values["plugin.stomp.pool.size"]; c.connector() == "stomp" && !pooled {
		return out
	}
	for key := range c.values {
		if strings.HasPrefix(key, "plugin.stomp.") && !c.own[key] {
			delete(out, key)
		}
	}
	return out
}

// IsSample reports whether the daemon would run with the published secrets.
func (c *Config) IsSample() bool { return IsSample(c.Values()) }

// IsSample reports whether values, the content of a server.cfg, has the published pre-shared key or,
// for any connector, the published password.
func IsSample(values map[string]string) bool {
	if values["plugin.psk"] == samplePSK {
		return true
	}
	for key, v := range values {
		if strings.HasSuffix(key, ".password") && v == samplePassword {
			return true
		}
	}
	return false
}
