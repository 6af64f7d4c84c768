// Package mcoconfig models the server.cfg of MCollective, the agent for commanding many machines at once, and the
// agent's files in an image.
//
// server.cfg holds secrets: the pre-shared key of all machines and the password of the message broker. The package
// never logs or prints them; [Rendered] prints as REDACTED. It does not write facts.yaml, which the client inside
// the image renews before each check-in. Start reading at [Default], [Config.Render], [Stage] and [Lint].
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

// The publicly known secrets in the documentation of MCollective and Razor.
const (
	samplePSK      = "klot2oj2ked2tayn3hu5on7l"
	samplePassword = "iwillchangethispassword"
)

// ErrKey is returned for an invalid key of server.cfg.
var ErrKey = errors.New("not a key of server.cfg")

// ErrValue is returned for an invalid value of server.cfg.
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

// connectorBlock is the index of the connector's block in document.
const connectorBlock = 2

// connectors are the connectors with keys known to this package.
func connectors() []string { return []string{"stomp", "rabbitmq", "activemq"} }

// Config is the content of a server.cfg. [Default] returns one.
type Config struct {
	values map[string]string
	own    map[string]bool // keys set by the user
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

// keyForm is a key that MCollective's reader keeps whole: it splits a line at the first "=" and reads lines that
// begin with "#" as comments.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]*$`)

// The bounds of keys and values far exceed MCollective's.
const (
	maxKey   = 200
	maxValue = 4096
)

// Set sets the value of key. It fails with [ErrKey], and with [ErrValue] on values that MCollective's reader would
// change: empty values, blanks at the ends, line breaks and other control characters. The error does not show the
// value, which may be a secret.
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

// Remove removes key; a missing key is not an error.
func (c *Config) Remove(key string) {
	delete(c.values, key)
	delete(c.own, key)
}

// Apply sets every key of values, and removes keys whose value is nil.
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

// Fit removes keys of the document that the MCollective in src, a source archive, ignores or does not know. Keys
// set by the user stay.
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

// connector returns the name of the connector in lower case: MCollective ignores its case.
func (c *Config) connector() string { return strings.ToLower(c.values["connector"]) }

// Values returns the keys and values to render. With a connector other than stomp, or with a pool of brokers, it
// omits the document's plugin.stomp.* and keeps the user's.
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

// IsSample reports whether the daemon would use the published secrets.
func (c *Config) IsSample() bool { return IsSample(c.Values()) }

// IsSample reports whether values, the content of a server.cfg, has the published pre-shared key or, for any
// connector, the published password.
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
