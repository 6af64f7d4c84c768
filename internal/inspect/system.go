package inspect

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// maxText bounds an image's text files; real ones have a few kilobytes.
const maxText = 1 << 20

// text returns a file of the booted system, symlinks followed, or "".
func text(t *overlay.Tree, name string) string {
	e, err := t.Lookup(name)
	if err != nil || !e.IsRegular() {
		return ""
	}
	b, _ := e.Content(maxText) // an unreadable file counts as empty
	return string(b)
}

// lines returns those lines of a file that are neither empty nor comments.
func lines(t *overlay.Tree, name string) []string {
	var out []string
	for l := range strings.Lines(text(t, name)) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			out = append(out, l)
		}
	}
	return out
}

// release is Tiny Core's version: the first line of its program "version".
func release(t *overlay.Tree) string {
	first, _, _ := strings.Cut(strings.TrimSpace(text(t, "usr/share/doc/tc/release.txt")), "\n")
	return strings.TrimSpace(first)
}

// Extension is a Tiny Core extension in an image.
type Extension struct {
	// Name is without ".tcz".
	Name string `json:"name"`
	// How is "installed" for files in the booted system, with a marker in /usr/local/tce.installed; "builtin" for
	// an extension loaded from /tmp/builtin; "medium" for one of cde/ or tce/ on the medium.
	How string `json:"how"`
	// Startup says that it has a startup script.
	Startup bool `json:"startup,omitempty"`
	// OnBoot says that an onboot.lst names it.
	OnBoot bool  `json:"onboot,omitempty"`
	Size   int64 `json:"size,omitempty"` // of the .tcz, if the image has it
}

func extensions(m *Image) []Extension {
	var out []Extension
	for _, e := range m.Tree.Children(tcz.InstalledDir) {
		if e.IsDir() || strings.HasPrefix(path.Base(e.Path), ".") {
			continue // MCollective is there, too
		}
		name := path.Base(e.Path)
		out = append(out, Extension{Name: name, How: "installed", Startup: tcz.StartupScript(m.Tree, name)})
	}
	onboot := lines(m.Tree, "tmp/builtin/onboot.lst")
	for _, e := range m.Tree.Children("tmp/builtin/optional") {
		if name, ok := strings.CutSuffix(path.Base(e.Path), tcz.Suffix); ok {
			out = append(out, Extension{Name: name, How: "builtin", OnBoot: listed(onboot, name), Size: e.Size})
		}
	}
	if m.Medium != nil {
		out = append(out, mediumExtensions(m.Medium.Files)...)
	}
	slices.SortStableFunc(out, func(a, b Extension) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func listed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return tcz.Base(l) == name })
}

// mediumExtensions are the extensions that Tiny Core mounts from the medium: cde/optional, or tce/optional of a
// remaster.
func mediumExtensions(files *overlay.Tree) []Extension {
	var out []Extension
	for _, dir := range []string{"cde", "tce"} {
		var onboot []string
		if f := files.Get(dir + "/onboot.lst"); f != nil {
			if b, err := f.Content(maxText); err == nil {
				onboot = strings.Fields(string(b))
			}
		}
		for _, f := range files.Entries() {
			if name, ok := strings.CutSuffix(path.Base(f.Path), tcz.Suffix); ok && path.Dir(f.Path) == dir+"/optional" {
				out = append(out, Extension{Name: name, How: "medium", OnBoot: listed(onboot, name), Size: f.Size})
			}
		}
	}
	return out
}

// gems lists RubyGems' specifications of installed gems.
func gems(t *overlay.Tree) []string {
	var out []string
	for _, e := range t.Entries() {
		if name, ok := strings.CutSuffix(path.Base(e.Path), ".gemspec"); ok && path.Base(path.Dir(e.Path)) == "specifications" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Service is a program that an image starts.
type Service struct {
	// From is the file that starts it: "etc/inittab", "opt/bootsync.sh".
	From string `json:"from"`
	What string `json:"what"`
}

// services are the programs of inittab, the commands of Tiny Core's two boot scripts, and the
// startup scripts of extensions.
func services(t *overlay.Tree) []Service {
	var out []Service
	for _, l := range lines(t, "etc/inittab") {
		f := strings.SplitN(l, ":", 4) // id:runlevels:action:process
		if len(f) == 4 && slices.Contains([]string{"respawn", "askfirst", "once", "wait"}, f[2]) {
			out = append(out, Service{"etc/inittab", strings.TrimSpace(f[0] + " " + f[3])})
		}
	}
	for _, script := range []string{"opt/bootsync.sh", "opt/bootlocal.sh", "tmp/setup.lst"} {
		for _, l := range lines(t, script) {
			out = append(out, Service{script, l})
		}
	}
	return out
}

// Account is an account that somebody can log in to.
type Account struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
	// Password is "none" without a password, "set" with one, and "key" if only a public key works.
	Password string `json:"password"`
	Shell    string `json:"shell,omitempty"`
}

// accounts are the accounts that can log in: with a password, without one, or with a public key in a file that
// Tiny Core's sshd reads.
func accounts(t *overlay.Tree) []Account {
	shadow := map[string]string{}
	for _, l := range lines(t, "etc/shadow") {
		if f := strings.Split(l, ":"); len(f) > 1 {
			shadow[f[0]] = f[1]
		}
	}
	keys := keyFiles(t)
	var out []Account
	for _, l := range lines(t, "etc/passwd") {
		f := strings.Split(l, ":") // name:password:uid:gid:text:home:shell
		if len(f) < 3 {
			continue
		}
		f = append(f, make([]string, 4)...)
		hash, known := f[1], true
		if hash == "x" {
			hash, known = shadow[f[0]]
		}
		a := Account{Name: f[0], UID: f[2], Shell: f[6]}
		switch locked := !known || strings.HasPrefix(hash, "*") || strings.HasPrefix(hash, "!"); {
		case !locked && hash == "":
			a.Password = "none"
		case !locked:
			a.Password = "set"
		case hasKeys(t, keys, f[0], f[5]):
			a.Password = "key"
		default:
			continue
		}
		out = append(out, a)
	}
	return out
}

// keyFiles are the files of authorized keys in sshd_config, or sshd's default.
func keyFiles(t *overlay.Tree) []string {
	var patterns []string
	for _, cfg := range []string{"usr/local/etc/ssh/sshd_config", "etc/ssh/sshd_config"} {
		for _, l := range lines(t, cfg) {
			if f := strings.Fields(l); strings.EqualFold(f[0], "AuthorizedKeysFile") {
				patterns = append(patterns, f[1:]...)
			}
		}
	}
	if len(patterns) == 0 {
		return []string{".ssh/authorized_keys", ".ssh/authorized_keys2"}
	}
	return patterns
}

// hasKeys reports whether an account has a key in one of the files.
func hasKeys(t *overlay.Tree, patterns []string, name, home string) bool {
	for _, p := range patterns {
		p = strings.NewReplacer("%h", home, "%u", name, "%%", "%").Replace(p)
		if !path.IsAbs(p) {
			p = path.Join(home, p)
		}
		if len(lines(t, strings.TrimPrefix(path.Clean(p), "/"))) > 0 {
			return true
		}
	}
	return false
}

// Razor has the values that Razor's image service and client read.
type Razor struct {
	// Metadata is iso-metadata.yaml of the medium.
	Metadata map[string]any `json:"metadata,omitempty"`
	// Version is mk_version of /tmp/mk-version.yaml.
	Version string `json:"version,omitempty"`
}

// metadataName is the file that Razor's image service reads.
const metadataName = "iso-metadata.yaml"

// razor returns nil for an image that has nothing for Razor.
func razor(m *Image) *Razor {
	r := &Razor{}
	if m.Medium != nil {
		r.Metadata = metadata(m.Medium.Files)
	}
	var version struct {
		V string `yaml:"mk_version"`
	}
	if m.Tree != nil && yaml.Unmarshal([]byte(text(m.Tree, "tmp/mk-version.yaml")), &version) == nil {
		r.Version = version.V
	}
	if r.Metadata == nil && r.Version == "" {
		return nil
	}
	return r
}

// metadata reads iso-metadata.yaml, or returns nil. Values keep their written form.
func metadata(files *overlay.Tree) map[string]any {
	f := files.Get(metadataName)
	if f == nil {
		return nil
	}
	b, err := f.Content(maxText)
	if err != nil {
		return nil
	}
	var doc struct {
		Hash  map[string]string `yaml:"hash_description"`
		Texts map[string]string `yaml:",inline"`
	}
	if yaml.Unmarshal(b, &doc) != nil || doc.Texts == nil {
		return nil
	}
	out := map[string]any{}
	for key, value := range doc.Texts {
		out[key] = value
	}
	if doc.Hash != nil {
		out["hash_description"] = doc.Hash
	}
	return out
}
