package inputs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/cmdline"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/lock"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/ui"
)

// CheckHost checks the files that the configuration names on this machine, and the client's settings, so that a
// mistake is found before any download.
func CheckHost(c *config.Config) error {
	for _, m := range c.Mirrors {
		if dir, local := fetch.LocalPath(m); local {
			if err := checkMirror(m, dir); err != nil {
				return err
			}
		}
	}
	var special error
	c.EachFile(func(key, path string, isURL bool) {
		// A missing file is an error where it is needed: a lock needs no secrets.
		if info, err := os.Stat(path); err == nil && (!isURL || key == "iso") && !info.Mode().IsRegular() && key != "overlay" && special == nil {
			special = config.Mistake(key, fmt.Sprintf("%s is %s", path, hostfile.Kind(info.Mode())), "name a regular file")
		}
		if special == nil && key == "iso" {
			special = readable(path)
		}
	})
	if special != nil {
		return special
	}
	for _, o := range c.Overlay {
		if _, err := overlay.FromHost(o.Source, o.Target, 0, 0); err != nil {
			return config.Mistake("overlay", strings.TrimPrefix(err.Error(), "read overlay "+o.Source+": stat "), "name a file, or a folder of files, folders and symlinks, as `source`")
		}
	}
	if err := CheckArguments("config boot.append", c.Boot.Append); err != nil {
		return err
	}
	return CheckClient(c.Client.Settings)
}

// readable fails if a file exists and this user cannot read it.
func readable(path string) error {
	f, err := os.Open(path) //nolint:gosec // the user names it
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("config iso: %w", err)
	}
	if err == nil {
		return f.Close()
	}
	return nil
}

// checkMirror refuses a missing folder: ignoring it would hide a typo.
func checkMirror(address, dir string) error {
	info, err := os.Stat(dir)
	why := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "no such folder"
	case err != nil:
		why = err.Error()
	case !info.IsDir():
		why = "it is not a folder"
	default:
		f, err := os.Open(dir)
		if err == nil {
			return f.Close()
		}
		return fmt.Errorf("use mirror %s: %w", address, err)
	}
	return fail.New(fail.Usage, "use mirror "+address+": "+why,
		"name a folder that holds 4.x/, or a URL: --mirror http://HOST/PATH/")
}

// settingNear reports whether mk-client has a setting, and otherwise returns the nearest name.
func settingNear(key string) (known bool, near string) {
	var keys []string
	for _, row := range settings.Table() {
		if row.Has(key) {
			return true, ""
		}
		keys = append(keys, row.Key)
	}
	return false, fail.Nearest(key, keys)
}

// CheckArguments refuses kernel arguments that are almost a setting of mk-client: mk-client would ignore them.
// Other arguments that begin with "razor." may be a site's own.
func CheckArguments(where, args string) error {
	for _, a := range cmdline.Split(args) {
		key, ours := strings.CutPrefix(strings.ToLower(a.Name), "razor.")
		if known, near := settingNear(key); ours && !known && near != "" {
			return fail.New(fail.Usage, fmt.Sprintf("%s: mk-client has no setting %q", where, a.Name), "did you mean razor."+near+"? Otherwise give your own argument another name")
		}
	}
	return nil
}

// CheckClient checks client.settings against mk-client's own table: otherwise a mistake would show only on
// machines that nobody can reach.
func CheckClient(given map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if known, near := settingNear(key); !known {
			next := "docs/runtime.md lists them; write them here without \"razor.\""
			if near != "" {
				next = "did you mean " + near + "?"
			}
			return config.Mistake("client.settings", fmt.Sprintf("mk-client has no setting %q", key), next)
		}
	}
	text, err := json.Marshal(given)
	if err != nil {
		return err
	}
	if _, wrong := settings.Load(settings.Inputs{File: text}); len(wrong) > 0 {
		what := wrong[0].Error()
		if value, ok := errors.AsType[*settings.ValueError](wrong[0]); ok {
			what = fmt.Sprintf("%s: %q: %v", value.Key, settings.Redact(value.Value), value.Err)
		}
		return config.Mistake("client.settings", what, "docs/runtime.md describes the values of each setting")
	}
	return nil
}

// Reads adds the files and folders of this machine that a build of the plan reads. lock may be nil. For a mirror
// these are the folders with its files, and its own configuration: an image may lie in the mirror's top folder.
func (p *Plan) Reads(r *hostfile.Reads, l *lock.Lock) {
	add := func(what, address string) {
		if path, local := fetch.LocalPath(address); local {
			r.Add(what, path)
		}
	}
	for _, m := range p.Mirrors {
		for _, folder := range []string{m.Release, m.Archive, m.TCZ, m.Archives} {
			add("a folder of the mirror", folder)
		}
	}
	p.Config.EachFile(func(key, path string, _ bool) {
		if key != "mirrors" {
			add("what "+key+" names", path)
		} else if base, local := fetch.LocalPath(path); local {
			r.Add("the mirror's configuration", filepath.Join(base, mirrorConfig))
		}
	})
	for _, k := range p.Config.OpenSSH.AuthorizedKeys {
		if !profile.IsKeyText(k) {
			r.Add("a file of openssh.authorized_keys", p.Config.OpenSSH.KeyFile(k))
		}
	}
	if l == nil {
		return
	}
	for _, in := range l.Inputs {
		add("the locked "+in.Name, in.URL)
	}
}

// AuthorizedKeys returns the public keys for dev and debug images: the configured ones, else those in
// home/.ssh/*.pub. It warns if the image's ssh server supports none of them.
func AuthorizedKeys(c *config.Config, home string, sink ui.Sink) ([]string, error) {
	if !c.HasSSH() {
		return nil, nil
	}
	var out []string
	for _, entry := range c.OpenSSH.AuthorizedKeys {
		keys, err := namedKeys(c, entry)
		if err != nil {
			return nil, err
		}
		out = append(out, keys...)
	}
	why := "the named files hold no public key"
	if len(c.OpenSSH.AuthorizedKeys) == 0 {
		out, why = ownKeys(home, sink)
	}
	if len(out) == 0 {
		return nil, NoKeys(why)
	}
	if warning := profile.UnknownToOldServer(c.Release, out); warning != "" {
		sink.Event(ui.Event{Level: ui.Warning, Step: "profile", Text: warning})
	}
	return out, nil
}

// namedKeys reads one entry of openssh.authorized_keys: keys, or a file of keys.
func namedKeys(c *config.Config, entry string) ([]string, error) {
	if profile.IsKeyText(entry) {
		return profile.ParseKeys([]byte(entry), "in openssh.authorized_keys")
	}
	name := c.OpenSSH.KeyFile(entry)
	text, err := hostfile.Read(name, hostfile.MaxText)
	if err != nil {
		return nil, &fail.Error{Class: fail.Usage, What: "read authorized keys", Hint: "name a file of public keys in openssh.authorized_keys", Err: err}
	}
	return profile.ParseKeys(text, name)
}

// ownKeys reads the keys in a home folder, or returns why it found none. A file that holds something else, such
// as a PGP key, is left out with a warning: nobody named it.
func ownKeys(home string, sink ui.Sink) (out []string, why string) {
	if home == "" {
		return nil, "your home folder is not known"
	}
	pattern := filepath.Join(home, ".ssh", "*.pub")
	found, err := filepath.Glob(pattern) // sorted
	if err != nil || len(found) == 0 {
		return nil, "no " + pattern
	}
	for _, name := range found {
		keys, err := ownFile(name)
		if err != nil {
			sink.Event(ui.Event{Level: ui.Warning, Step: "profile", Item: filepath.Base(name), Text: "left out: " + err.Error()})
		}
		out = append(out, keys...)
	}
	return out, "none of " + pattern + " holds one"
}

// ownFile reads a file that a pattern found. It may be anything, even a pipe.
func ownFile(name string) ([]string, error) {
	text, err := hostfile.Read(name, hostfile.MaxText)
	if err != nil {
		return nil, err
	}
	return profile.ParseKeys(text, name)
}

// NoKeys is the error of an image that has an ssh server and no public key.
func NoKeys(why string) error {
	return fail.New(fail.Usage, "find a public key for the ssh server: "+why,
		"make one with `ssh-keygen -t rsa`, or name some in mkbuild.yaml: openssh: {authorized_keys: [id_rsa.pub]}")
}
