// Package settings reads mk-client's settings from its environment, the kernel's command line and the image's
// configuration file. It uses no network and no machine, so that mkbuild can check the settings of an image
// before it exists. Start reading at [Load]; [Table] has every setting.
package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Load resolves every setting. It skips an invalid value with a warning and uses the next weaker source: a typing
// error on a boot line must not silence a machine.
func Load(in Inputs) (Settings, []error) {
	file, warnings := parseConfig(in.File)
	weakestFirst := []struct {
		from   Source
		values map[string]string
	}{
		{FromFile, file},
		{FromCommandLine, parseCommandLine(in.CommandLine)},
		{FromEnvironment, parseEnviron(in.Environ)},
	}
	s := Settings{Facts: map[string]string{}, From: map[string]Source{}, raw: map[string]string{}}
	for _, row := range Table() {
		take := func(key, value string, from Source) {
			if err := s.take(row, key, value, from); err != nil {
				warnings = append(warnings, &ValueError{from, key, value, err})
			}
		}
		if row.Default != "" {
			take(row.Key, row.Default, FromDefault)
		}
		for _, layer := range weakestFirst {
			for _, key := range slices.Sorted(maps.Keys(layer.values)) {
				if row.Has(key) {
					take(key, layer.values[key], layer.from)
				}
			}
		}
	}
	return s, warnings
}

// ValueError is a value that does not parse.
type ValueError struct {
	From       Source
	Key, Value string
	Err        error
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s: razor.%s=%q is ignored: %v", e.From, e.Key, Redact(e.Value), e.Err)
}

// Unwrap returns the fault of the value.
func (e *ValueError) Unwrap() error { return e.Err }

// take applies one value to a copy, so that an invalid one changes nothing.
func (s *Settings) take(row Setting, key, value string, from Source) error {
	next := *s
	if err := row.apply(&next, strings.TrimPrefix(key, row.Key), value); err != nil {
		return err
	}
	*s = next
	s.From[key], s.raw[key] = from, value
	return nil
}

// WriteHelp prints the table of settings for --help.
func WriteHelp(w io.Writer) {
	fmt.Fprintf(w, "Settings (environment razor.KEY, then the kernel's command line, then %s, then the default):\n", ConfigFile)
	for _, row := range Table() {
		fmt.Fprintf(w, "  %s\n      %s (default: %s)\n", row.Usage(), row.Help, row.DefaultText())
	}
}

// RegisterURL is the check-in URL. If it is derived from razor.server, the node's id is missing at its end, and
// needsID is true.
func (s *Settings) RegisterURL() (u string, needsID bool) {
	if s.Register != "" {
		return s.Register, false
	}
	return s.Server + "/svc/checkin", true
}

// ExtendURL is the URL of the extension, or "" if extensions are off. By default it is on the server of the
// check-ins.
func (s *Settings) ExtendURL() string {
	switch {
	case s.ExtendOff:
		return ""
	case s.Extend != "":
		return s.Extend
	case s.Register != "" && s.From["server"] == FromDefault:
		if u, err := url.Parse(s.Register); err == nil {
			return u.Scheme + "://" + u.Host + "/svc/mk/extension.zip"
		}
	}
	return s.Server + "/svc/mk/extension.zip"
}

// Lookup returns one setting as text for `mk-client config KEY`; derived URLs are filled in.
func (s *Settings) Lookup(key string) (string, bool) {
	key = strings.TrimPrefix(strings.ToLower(key), "razor.")
	switch {
	case key == "register":
		u, _ := s.RegisterURL()
		return u, true
	case key == "extend" && s.ExtendOff:
		return "off", true
	case key == "extend":
		return s.ExtendURL(), true
	}
	v, ok := s.raw[key]
	return v, ok
}

var urlPassword = regexp.MustCompile(`(//[^/?#:@\s]*:)[^\s"]*@`)

// Redact hides the password in a URL, even an invalid one.
func Redact(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return u.Redacted()
	}
	return urlPassword.ReplaceAllString(text, "${1}xxxxx@")
}

// ConfigFile is the path of an image's settings: a JSON object, keys in any case, with or without the "razor."
// prefix, nested objects joined by dots.
const ConfigFile = "/etc/razor-mk-client.conf"

// Inputs are the sources of settings.
type Inputs struct {
	Environ     []string // as os.Environ: entries razor.KEY=VALUE count
	CommandLine string   // content of /proc/cmdline
	File        []byte   // content of ConfigFile, nil without one
}

// ReadInputs gathers the settings' sources from the running system below root.
func ReadInputs(root string, environ []string) Inputs {
	line, _ := os.ReadFile(filepath.Join(root, "proc/cmdline"))
	file, _ := os.ReadFile(filepath.Join(root, ConfigFile))
	return Inputs{Environ: environ, CommandLine: strings.TrimSpace(string(line)), File: file}
}

// parseEnviron takes the variables named razor.KEY, in any case. A shell cannot assign them
// but env(1) can.
func parseEnviron(environ []string) map[string]string {
	values := map[string]string{}
	for _, kv := range environ {
		name, v, _ := strings.Cut(kv, "=")
		put(values, name, v)
	}
	return values
}

// put adds razor.KEY. It ignores the case of keys, and empty values.
func put(values map[string]string, name, v string) {
	if key, ok := strings.CutPrefix(strings.ToLower(name), "razor."); ok && key != "" && v != "" {
		values[key] = v
	}
}

// parseCommandLine finds razor.KEY=VALUE on the kernel's command line; the last of several wins. It
// splits as the kernel does (next_arg in lib/cmdline.c): at blanks outside double quotes, which may stand
// around a value or a whole parameter.
func parseCommandLine(line string) map[string]string {
	values, quoted := map[string]string{}, false
	words := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == 0)
	})
	for _, word := range words {
		name, v, _ := strings.Cut(unquote(word), "=")
		put(values, name, unquote(v))
	}
	return values
}

// unquote drops a leading and a trailing double quote, as the kernel does.
func unquote(s string) string {
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		return strings.TrimSuffix(rest, `"`)
	}
	return s
}

// parseConfig reads the configuration file. A file that is not a JSON object counts as empty.
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

// flatten joins nested keys with dots and turns scalars into text. It ignores null and lists: no setting has such
// a value.
func flatten(into map[string]string, prefix string, m map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		key := strings.TrimPrefix(prefix+strings.ToLower(name), "razor.")
		switch v := m[name].(type) {
		case map[string]any:
			flatten(into, key+".", v)
		case string:
			into[key] = v
		case json.Number:
			into[key] = v.String()
		case bool:
			into[key] = fmt.Sprint(v)
		}
	}
}
