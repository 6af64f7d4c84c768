package customize

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/inputs"
	"mkbuild/internal/profile"
)

// Changes are a site's changes to the image as built.
type Changes struct {
	// Append are kernel arguments, added after the build's.
	Append string
	// Settings of mk-client, without "razor."; they override the build's.
	Settings map[string]string
	// Keys are checked lines of authorized_keys, added after the build's.
	Keys []string
	// Extension is a zip archive that mk-client uses until its server offers one.
	Extension []byte
}

// IsZero reports whether there are no changes.
func (c *Changes) IsZero() bool {
	return strings.TrimSpace(c.Append) == "" && len(c.Settings) == 0 && len(c.Keys) == 0 && c.Extension == nil
}

// Request has the flags of mkbuild customize: values, and names of files.
type Request struct {
	// Append are kernel arguments.
	Append string
	// Settings are settings of mk-client, KEY=VALUE; they override those in SettingsFile, YAML or JSON.
	Settings     []string
	SettingsFile string
	// KeyFiles hold public keys, Extension is a zip archive.
	KeyFiles  []string
	Extension string
}

// Read returns the changes, after reading and checking the files that r names. They may be pipes.
func (r *Request) Read(ctx context.Context) (c Changes, err error) {
	c.Append = strings.TrimSpace(r.Append)
	if err := inputs.CheckArguments("--append", c.Append); err != nil {
		return c, err
	}
	if c.Settings, err = r.settings(ctx); err != nil {
		return c, err
	}
	for _, name := range r.KeyFiles {
		text, err := readNamed(ctx, "--authorized-key", name)
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
		c.Extension, err = readNamed(ctx, "--extension", r.Extension)
	}
	if info, serr := os.Stat(r.Extension); err != nil && serr == nil && info.IsDir() {
		err = fail.Wrap(fail.Usage, err, "pack it first: mkbuild extension pack "+r.Extension+" -o mk-extension.zip")
	}
	return c, err
}

// Reads adds the files that the flags name.
func (r *Request) Reads(to *hostfile.Reads) {
	to.Add("the file of --client-config", r.SettingsFile)
	to.Add("the file of --extension", r.Extension)
	for _, name := range r.KeyFiles {
		to.Add("the file of --authorized-key", name)
	}
}

// settings joins the settings of the file and of the command line.
func (r *Request) settings(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	if r.SettingsFile != "" {
		text, err := readNamed(ctx, "--client-config", r.SettingsFile)
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
			return nil, fail.New(fail.Usage, fmt.Sprintf("--client-setting: %q is not KEY=VALUE", key), "for example: --client-setting server=razor.example:8150")
		}
		one := map[string]string{key: value}
		if (&config.Client{Settings: one}).HasSecrets() {
			return nil, fail.New(fail.Usage, fmt.Sprintf("--client-setting: %s looks like a secret, and every user of this machine can read a command line", key), "put it into a file: --client-config FILE")
		}
		maps.Copy(all, one)
	}
	return all, inputs.CheckClient(all)
}

// maxNamed bounds the size of a flag's file. The largest is an extension, as zip.
const maxNamed = 256 << 20

// readNamed reads a file that a flag names.
func readNamed(ctx context.Context, flag, name string) ([]byte, error) {
	text, err := hostfile.ReadPiped(ctx, name, maxNamed)
	if err != nil {
		return nil, &fail.Error{Class: fail.Usage, What: flag, Hint: cmp.Or(fail.HintOf(err), "check the file name"), Err: err}
	}
	return text, nil
}
