package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// redacted stands where a secret was.
const redacted = "REDACTED"

// hostKeys are the keys whose values say where something comes from or goes to, not what it is:
// mirrors, URLs, paths on the machine that builds. Nothing of an image's content depends on them.
func hostKeys() []string {
	return []string{"mirrors", "url", "source", "ca", "authorized_keys", "name"}
}

// Public returns the configuration as it may be published with an image: the members of
// mkbuild.yaml that decide on the image's content, as JSON with sorted keys. Mirrors, URLs, paths
// of the machine that built it and the names of outputs are left out; so are the authorized keys,
// which stand in files more often than not. Every value of server.cfg, and each client setting and
// kernel argument that looks like a secret, reads REDACTED. [Parse] takes the result.
func (c *Config) Public() (json.RawMessage, error) {
	all, err := c.members()
	if err != nil {
		return nil, err
	}
	prune(all, "")
	if client, ok := all["client"].(map[string]any); ok {
		redactSettings(client["settings"])
	}
	if boot, ok := all["boot"].(map[string]any); ok {
		boot["append"] = RedactArguments(c.Boot.Append)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(all); err != nil {
		return nil, fmt.Errorf("render configuration: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// members is the configuration as the maps and lists of its text.
func (c *Config) members() (map[string]any, error) {
	text, err := yaml.Marshal(c) // secrets marshal as REDACTED
	if err != nil {
		return nil, fmt.Errorf("render configuration: %w", err)
	}
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("render configuration: %w", err)
	}
	return all, nil
}

// prune drops what [hostKeys] names at every depth. The names of gems stay, and so does whatever
// the user has called "source" inside server.cfg or the client's settings.
func prune(v any, under string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if slices.Contains(hostKeys(), key) && (key != "name" || under == "image") {
				delete(v, key)
				continue
			}
			if key != "server" && key != "settings" {
				prune(value, key)
			}
		}
	case []any:
		for _, item := range v {
			prune(item, under)
		}
	}
}

func redactSettings(settings any) {
	m, _ := settings.(map[string]any)
	for key, v := range m {
		if text, ok := v.(string); ok && looksSecret(key, text) {
			m[key] = redacted
		}
	}
}

// RedactArguments hides the values of kernel arguments that look like secrets.
func RedactArguments(args string) string {
	words := strings.Fields(args)
	for i, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok && looksSecret(key, value) {
			words[i] = key + "=" + redacted
		}
	}
	return strings.Join(words, " ")
}

// HasSecrets reports whether some client setting looks like a secret, so that the file that holds
// the settings does, too.
func (c *Client) HasSecrets() bool {
	for key, v := range c.Settings {
		if looksSecret(key, v) {
			return true
		}
	}
	return false
}

// looksSecret goes by a key's name, and by a password inside a URL.
func looksSecret(key, value string) bool {
	key = strings.ToLower(key)
	for _, word := range []string{"password", "passwd", "passphrase", "secret", "psk", "token", "credential", "private", "apikey", "api_key", "api-key"} {
		if strings.Contains(key, word) && key != "mcollective.allow_sample_secrets" {
			return true
		}
	}
	u, err := url.Parse(value)
	return err == nil && u.User != nil
}
