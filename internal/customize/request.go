package customize

import (
	"fmt"
	"maps"
	"os"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/inputs"
	"mkbuild/internal/profile"
)

// Changes are what a site wants different from the image as built.
type Changes struct {
	// Append are kernel arguments, put behind those of the build.
	Append string
	// Settings of mk-client, without "razor."; they win over those of the build.
	Settings map[string]string
	// Keys are checked lines of authorized_keys, put behind those of the build.
	Keys []string
	// Extension is a zip archive that mk-client uses as long as its server gives it none.
	Extension []byte
}

// IsZero reports whether nothing is asked for, so that the image is as built.
func (c *Changes) IsZero() bool {
	return strings.TrimSpace(c.Append) == "" && len(c.Settings) == 0 && len(c.Keys) == 0 && c.Extension == nil
}

// Request is what the flags of mkbuild customize say: values, and names of files.
type Request struct {
	// Append are kernel arguments.
	Append string
	// Settings are settings of mk-client, KEY=VALUE; they win over those in SettingsFile, YAML or JSON.
	Settings     []string
	SettingsFile string
	// KeyFiles hold public keys, Extension is a zip archive.
	KeyFiles  []string
	Extension string
}

// Read returns the changes, after reading and checking the files that r names.
func (r *Request) Read() (c Changes, err error) {
	c.Append = strings.TrimSpace(r.Append)
	if c.Settings, err = r.settings(); err != nil {
		return c, err
	}
	for _, name := range r.KeyFiles {
		text, err := readNamed("--authorized-key", name)
		if err != nil {
			return c, err
		}
		keys, err := profile.ParseKeys(text, name)
		if err != nil {
			return c, err
		}
		if len(keys) == 0 {
			return c, inputs.NoKeys(name + " holds none")
		}
		c.Keys = append(c.Keys, keys...)
	}
	if r.Extension != "" {
		c.Extension, err = readNamed("--extension", r.Extension)
	}
	return c, err
}

// settings joins those of the file and those of the command line.
func (r *Request) settings() (map[string]string, error) {
	all := map[string]string{}
	if r.SettingsFile != "" {
		text, err := readNamed("--client-config", r.SettingsFile)
		if err != nil {
			return nil, err
		}
		if all, err = config.ParseSettings(r.SettingsFile, text); err != nil {
			return nil, err
		}
	}
	for _, s := range r.Settings {
		key, value, ok := strings.Cut(s, "=")
		key = strings.TrimPrefix(strings.TrimSpace(key), "razor.")
		if !ok || key == "" {
			return nil, fail.New(fail.Usage, fmt.Sprintf("--client-setting: %q is no KEY=VALUE", key), "for example: --client-setting server=razor.example:8150")
		}
		one := map[string]string{key: value}
		if (&config.Client{Settings: one}).HasSecrets() {
			return nil, fail.New(fail.Usage, fmt.Sprintf("--client-setting: %s looks like a secret, and a command line is none", key), "put it into a file, and name that with --client-config")
		}
		maps.Copy(all, one)
	}
	return all, inputs.CheckClient(all)
}

// readNamed reads a file that a flag names.
func readNamed(flag, name string) ([]byte, error) {
	text, err := os.ReadFile(name) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, fail.New(fail.Usage, flag+": "+err.Error(), "name a file that is there")
	}
	return text, nil
}
