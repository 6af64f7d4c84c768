package mkclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"
)

// Settings is what the client runs with. The zero value is not usable: take it from [Load].
type Settings struct {
	Server, Register, Extend string
	ExtendOff                bool
	ExtendSHA256             string
	AnyChange                bool
	CA, Commands             string
	FactTimeout              time.Duration
	Interval, Skew           time.Duration
	AllowSampleSecrets       bool
	Debug                    bool
	Facts                    map[string]string

	// From says for each key in force where its value came from.
	From map[string]Source
	raw  map[string]string
}

// Source is one of the places that a setting can come from.
type Source string

// The sources, strongest first.
const (
	FromEnvironment Source = "environment"
	FromCommandLine Source = "kernel command line"
	FromFile        Source = "configuration file"
	FromDefault     Source = "default"
)

// ConfigFile is where an image carries its settings: a JSON object, keys in any case, with or
// without the "razor." prefix, nested objects joined by dots.
const ConfigFile = "/etc/razor-mk-client.conf"

// Inputs is the text that settings are read from.
type Inputs struct {
	Environ     []string // as os.Environ: entries razor.KEY=VALUE count
	CommandLine string   // content of /proc/cmdline
	File        []byte   // content of ConfigFile, nil without one
}

// Load resolves every setting. A value that does not parse is skipped with a warning and the
// next weaker source counts: a typing error on a boot line must not silence a machine.
func Load(in Inputs) (Settings, []error) {
	file, warnings := parseConfig(in.File)
	layers := []struct {
		from   Source
		values map[string]string
	}{
		{FromEnvironment, parseEnviron(in.Environ)},
		{FromCommandLine, parseCommandLine(in.CommandLine)},
		{FromFile, file},
	}
	s := Settings{Facts: map[string]string{}, From: map[string]Source{}, raw: map[string]string{}}
	for _, row := range Table() {
		if row.Default != "" {
			warnings = appendErr(warnings, s.take(row, row.Key, row.Default, FromDefault))
		}
		for i := len(layers) - 1; i >= 0; i-- {
			warnings = append(warnings, s.takeLayer(row, layers[i].values, layers[i].from)...)
		}
	}
	return s, warnings
}

// takeLayer applies what one source says about one row.
func (s *Settings) takeLayer(row Setting, values map[string]string, from Source) (warnings []error) {
	if !row.Family {
		if v, ok := values[row.Key]; ok {
			return appendErr(nil, s.take(row, row.Key, v, from))
		}
		return nil
	}
	for _, key := range sortedKeys(values) {
		if strings.HasPrefix(key, row.Key) {
			warnings = appendErr(warnings, s.take(row, key, values[key], from))
		}
	}
	return warnings
}

// take applies one value to a copy, so that one that does not parse leaves nothing behind.
func (s *Settings) take(row Setting, key, value string, from Source) error {
	next := *s
	if err := row.apply(&next, strings.TrimPrefix(key, row.Key), value); err != nil {
		return fmt.Errorf("%s: razor.%s=%q is ignored: %w", from, key, redact(value), err)
	}
	*s = next
	s.From[key], s.raw[key] = from, value
	return nil
}

func appendErr(list []error, err error) []error {
	if err == nil {
		return list
	}
	return append(list, err)
}

// Given reports whether key was set by anything but its default.
func (s *Settings) Given(key string) bool {
	from, ok := s.From[key]
	return ok && from != FromDefault
}

// RegisterURL is where facts are posted. When it is derived from razor.server the node's id is
// still missing at its end, and needsID is true.
func (s *Settings) RegisterURL() (u string, needsID bool) {
	if s.Register != "" {
		return s.Register, false
	}
	return s.Server + "/svc/checkin", true
}

// ExtendURL is where the extension is fetched, or "" when extensions are switched off. Unless
// it is given, it is on the server that check-ins go to.
func (s *Settings) ExtendURL() string {
	switch {
	case s.ExtendOff:
		return ""
	case s.Extend != "":
		return s.Extend
	case s.Register != "" && !s.Given("server"):
		u, err := url.Parse(s.Register)
		if err == nil {
			return u.Scheme + "://" + u.Host + "/svc/mk/extension.zip"
		}
	}
	return s.Server + "/svc/mk/extension.zip"
}

// Lookup gives one setting as text for `mk-client config KEY`; derived URLs are filled in.
func (s *Settings) Lookup(key string) (string, bool) {
	key = strings.TrimPrefix(strings.ToLower(key), "razor.")
	switch key {
	case "register":
		u, _ := s.RegisterURL()
		return u, true
	case "extend":
		if s.ExtendOff {
			return "off", true
		}
		return s.ExtendURL(), true
	}
	v, ok := s.raw[key]
	return v, ok
}

// parseEnviron takes the variables named razor.KEY, in any case. A shell cannot assign them
// but env(1) can.
func parseEnviron(environ []string) map[string]string {
	values := map[string]string{}
	for _, kv := range environ {
		name, v, ok := strings.Cut(kv, "=")
		if key, is := cutPrefixFold(name, "razor."); ok && is && v != "" {
			values[key] = v
		}
	}
	return values
}

// cutPrefixFold lower-cases name and drops a prefix from it.
func cutPrefixFold(name, prefix string) (string, bool) {
	return strings.CutPrefix(strings.ToLower(name), prefix)
}

// parseConfig reads the configuration file. A file that is no JSON object counts as empty.
func parseConfig(b []byte) (map[string]string, []error) {
	values := map[string]string{}
	if len(bytes.TrimSpace(b)) == 0 {
		return values, nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var top map[string]any
	if err := dec.Decode(&top); err != nil {
		return values, []error{fmt.Errorf("read %s: %w: the file is ignored", ConfigFile, err)}
	}
	flatten(values, "", top)
	return values, nil
}

// flatten joins nested keys with dots and turns scalars into text; null and lists count as
// absent, since no setting has such a value.
func flatten(into map[string]string, prefix string, m map[string]any) {
	for _, name := range sortedKeys(m) {
		key := prefix + strings.ToLower(name)
		if prefix == "" {
			key = strings.TrimPrefix(key, "razor.")
		}
		switch v := m[name].(type) {
		case map[string]any:
			next := key + "."
			if prefix == "" && key == "razor" {
				next = ""
			}
			flatten(into, next, v)
		case string:
			into[key] = v
		case json.Number:
			into[key] = v.String()
		case bool:
			into[key] = fmt.Sprint(v)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
