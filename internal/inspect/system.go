package inspect

import (
	"path"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/tcz"
)

// maxText bounds the text files of an image that are looked into; real ones have a few kilobytes.
const maxText = 1 << 20

// text returns a file of the booted system, symlinks followed, or "".
func (m *Image) text(name string) string {
	if m.Tree == nil {
		return ""
	}
	e, err := m.Tree.Lookup(name)
	if err != nil || !e.IsRegular() {
		return ""
	}
	b, err := e.Content(maxText)
	if err != nil {
		return ""
	}
	return string(b)
}

// lines returns those lines of a file that are neither empty nor comments.
func (m *Image) lines(name string) []string {
	var out []string
	for _, l := range strings.Split(m.text(name), "\n") {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			out = append(out, l)
		}
	}
	return out
}

// release is what Tiny Core says that it is: /usr/share/doc/tc/release.txt, which its own
// "version" prints.
func (m *Image) release() string {
	return firstLine(m.text("usr/share/doc/tc/release.txt"))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(s)
}

// Extension is a Tiny Core extension in an image.
type Extension struct {
	// Name is without ".tcz".
	Name string `json:"name"`
	// How is "installed" for one whose files are in the booted system, by its marker in
	// /usr/local/tce.installed; "builtin" for one that is loaded from /tmp/builtin; "medium" for one
	// of cde/ or tce/ on the medium.
	How string `json:"how"`
	// Startup says that it has a script that runs once it is loaded.
	Startup bool `json:"startup,omitempty"`
	// OnBoot says that an onboot.lst names it.
	OnBoot bool  `json:"onboot,omitempty"`
	Size   int64 `json:"size,omitempty"` // of the .tcz, where there is one
}

func (m *Image) extensions() []Extension {
	var out []Extension
	for _, e := range m.Tree.Children(tcz.InstalledDir) {
		if e.IsDir() || strings.HasPrefix(path.Base(e.Path), ".") {
			continue // MCollective lies there, too
		}
		name := path.Base(e.Path)
		out = append(out, Extension{Name: name, How: "installed", Startup: tcz.StartupScript(m.Tree, name)})
	}
	onboot := m.lines("tmp/builtin/onboot.lst")
	for _, e := range m.Tree.Children("tmp/builtin/optional") {
		if name, ok := strings.CutSuffix(path.Base(e.Path), tcz.Suffix); ok {
			out = append(out, Extension{Name: name, How: "builtin", OnBoot: listed(onboot, name), Size: e.Size})
		}
	}
	out = append(out, m.mediumExtensions()...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func listed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return tcz.Base(l) == name })
}

// mediumExtensions are those that Tiny Core mounts from the medium: cde/optional, or tce/optional
// of a remaster.
func (m *Image) mediumExtensions() []Extension {
	if m.Medium == nil {
		return nil
	}
	var out []Extension
	for _, dir := range []string{"cde", "tce"} {
		var onboot []string
		if f := m.Medium.Files.Get(dir + "/onboot.lst"); f != nil {
			if b, err := f.Content(maxText); err == nil {
				onboot = strings.Fields(string(b))
			}
		}
		for _, f := range m.Medium.Files.Entries() {
			if name, ok := strings.CutSuffix(path.Base(f.Path), tcz.Suffix); ok && path.Dir(f.Path) == dir+"/optional" {
				out = append(out, Extension{Name: name, How: "medium", OnBoot: listed(onboot, name), Size: f.Size})
			}
		}
	}
	return out
}

// gems lists the specifications that RubyGems keeps of what is installed.
func (m *Image) gems() []string {
	var out []string
	for _, e := range m.Tree.Entries() {
		if name, ok := strings.CutSuffix(path.Base(e.Path), ".gemspec"); ok && path.Base(path.Dir(e.Path)) == "specifications" {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// Service is something that an image starts.
type Service struct {
	// From is the file that starts it: "etc/inittab", "opt/bootsync.sh".
	From string `json:"from"`
	What string `json:"what"`
}

// services are the programs of inittab, the commands of Tiny Core's two boot scripts, and the
// startup scripts of extensions.
func (m *Image) services() []Service {
	var out []Service
	for _, l := range m.lines("etc/inittab") {
		f := strings.SplitN(l, ":", 4) // id:runlevels:action:process
		if len(f) == 4 && (f[2] == "respawn" || f[2] == "askfirst" || f[2] == "once" || f[2] == "wait") {
			out = append(out, Service{"etc/inittab", strings.TrimSpace(strings.TrimPrefix(f[0]+" "+f[3], " "))})
		}
	}
	for _, script := range []string{"opt/bootsync.sh", "opt/bootlocal.sh"} {
		for _, l := range m.lines(script) {
			out = append(out, Service{script, l})
		}
	}
	for _, l := range m.lines("tmp/setup.lst") {
		out = append(out, Service{"tmp/setup.lst", l})
	}
	return out
}

// Account is an account that somebody can log in to.
type Account struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
	// Password is "none" where Enter is enough, "set" where there is one, and "key" where a public
	// key is the only way.
	Password string `json:"password"`
	Shell    string `json:"shell,omitempty"`
}

// accounts are those that can log in: by a password, without one, or by a public key in a place
// where Tiny Core's sshd looks.
func (m *Image) accounts() []Account {
	shadow := map[string]string{}
	for _, l := range m.lines("etc/shadow") {
		if f := strings.Split(l, ":"); len(f) > 1 {
			shadow[f[0]] = f[1]
		}
	}
	keys := m.keyFiles()
	var out []Account
	for _, l := range m.lines("etc/passwd") {
		f := strings.Split(l, ":")
		if len(f) < 3 {
			continue
		}
		hash := f[1]
		if hash == "x" {
			var known bool
			if hash, known = shadow[f[0]]; !known {
				hash = "*"
			}
		}
		a := Account{Name: f[0], UID: f[2], Password: way(hash)}
		if len(f) > 6 {
			a.Shell = f[6]
		}
		if a.Password == "" && len(f) > 5 && keys(f[0], f[5]) {
			a.Password = "key"
		}
		if a.Password != "" {
			out = append(out, a)
		}
	}
	return out
}

// way tells what opens an account whose shadow(5) has a field: "" for nothing.
func way(hash string) string {
	switch {
	case hash == "":
		return "none"
	case strings.HasPrefix(hash, "*"), strings.HasPrefix(hash, "!"):
		return ""
	}
	return "set"
}

// keyFiles returns a function that tells whether an account has authorized keys: in its home, or in
// the file that sshd_config names for all.
func (m *Image) keyFiles() func(name, home string) bool {
	var patterns []string
	for _, cfg := range []string{"usr/local/etc/ssh/sshd_config", "etc/ssh/sshd_config"} {
		for _, l := range m.lines(cfg) {
			if f := strings.Fields(l); strings.EqualFold(f[0], "AuthorizedKeysFile") {
				patterns = append(patterns, f[1:]...)
			}
		}
	}
	if len(patterns) == 0 {
		patterns = []string{".ssh/authorized_keys", ".ssh/authorized_keys2"}
	}
	return func(name, home string) bool {
		for _, p := range patterns {
			p = strings.NewReplacer("%h", home, "%u", name, "%%", "%").Replace(p)
			if !path.IsAbs(p) {
				p = path.Join(home, p)
			}
			if len(m.lines(strings.TrimPrefix(path.Clean(p), "/"))) > 0 {
				return true
			}
		}
		return false
	}
}

// Razor is what Razor's image service and its client read.
type Razor struct {
	// Metadata is iso-metadata.yaml of the medium.
	Metadata map[string]any `json:"metadata,omitempty"`
	// Version is mk_version of /tmp/mk-version.yaml.
	Version string `json:"version,omitempty"`
}

// metadataName is where Razor's image service looks.
const metadataName = "iso-metadata.yaml"

func (m *Image) razor() *Razor {
	r := &Razor{Metadata: m.metadata()}
	var version struct {
		V string `yaml:"mk_version"`
	}
	if yaml.Unmarshal([]byte(m.text("tmp/mk-version.yaml")), &version) == nil {
		r.Version = version.V
	}
	if r.Metadata == nil && r.Version == "" {
		return nil
	}
	return r
}

// metadata reads iso-metadata.yaml, or returns nil. Values keep the form in which they are written.
func (m *Image) metadata() map[string]any {
	if m.Medium == nil || m.Medium.Files.Get(metadataName) == nil {
		return nil
	}
	b, err := m.Medium.Files.Get(metadataName).Content(maxText)
	if err != nil {
		return nil
	}
	var doc yaml.Node
	if yaml.Unmarshal(b, &doc) != nil || len(doc.Content) != 1 {
		return nil
	}
	flat, _ := plain(doc.Content[0], 0).(map[string]any)
	return flat
}

// plain turns a document into maps and texts as they are written, without aliases.
func plain(n *yaml.Node, depth int) any {
	if n.Kind != yaml.MappingNode || depth > 8 {
		return n.Value
	}
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		out[n.Content[i].Value] = plain(n.Content[i+1], depth+1)
	}
	return out
}
