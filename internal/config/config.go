// Package config is mkbuild.yaml as a value: the choices for an image, with the defaults of the Razor microkernel
// procedure for Tiny Core Linux 4.5.2.
//
// It reads strictly (an unknown key is an error with its line), touches neither network nor environment, and
// holds secrets in a type that prints REDACTED.
//
// Start reading at [Config] and [Parse].
package config

import (
	"cmp"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config is everything that decides the content of an image. [Default] fills it.
type Config struct {
	// Release is a Tiny Core Linux version, "4.5.2".
	Release string `yaml:"release"`
	// Arch is a directory of the mirror: "x86" or "x86_64".
	Arch string `yaml:"arch"`
	// Edition is the ISO of a mirror to build from: "CorePlus"; empty is Core or CorePure64, as Arch says.
	Edition string `yaml:"edition,omitempty"`
	// ISO, if set, is the source ISO instead of a mirror's.
	ISO *ISO `yaml:"iso,omitempty"`
	// CDE says whether the extensions that TinyCore and CorePlus have on the medium stay there: "keep" or "drop".
	CDE string `yaml:"cde"`
	// Profile is "prod", "dev" or "debug".
	Profile string `yaml:"profile"`
	// Mirrors are bases of Tiny Core mirrors, tried in order: URLs or directories.
	Mirrors URLs `yaml:"mirrors"`
	// Extensions are installed whole, with their dependencies. See [Alternatives].
	Extensions []string `yaml:"extensions"`
	// Missing are extensions that some .dep names but no mirror has: the image goes without them.
	Missing []string `yaml:"missing"`
	// Picks are single files taken out of extensions that are not installed.
	Picks []Pick `yaml:"pick"`

	RubyGems    *Archive `yaml:"rubygems"`
	Gems        Gems     `yaml:"gems"`
	MCollective *MCO     `yaml:"mcollective"`
	OpenSSH     OpenSSH  `yaml:"openssh"`
	Client      Client   `yaml:"client"`
	// ExtensionKeys are minisign public keys, or files of them: the image accepts only runtime extensions signed
	// by one of them. Without keys it accepts all.
	ExtensionKeys []string `yaml:"extension_keys"`

	Boot     Boot        `yaml:"boot"`
	Services Services    `yaml:"services"`
	Overlay  []UserFiles `yaml:"overlay"`
	Initrd   Initrd      `yaml:"initrd"`
	PXE      PXE         `yaml:"pxe"`
	Image    Image       `yaml:"image"`
	Cache    Cache       `yaml:"cache"`
}

// Cache names registries that builds share. It does not affect the image.
type Cache struct {
	// From are asked for content that this machine's cache lacks; To get the segments of a build.
	From []CachePlace `yaml:"from"`
	To   []CachePlace `yaml:"to"`
}

// CachePlace is a repository of a registry.
type CachePlace struct {
	// URL is oci://HOST/REPOSITORY.
	URL string `yaml:"url"`
	// Trust also uses content that no lock pins.
	Trust bool `yaml:"trust"`
	// Inputs shares inputs as well.
	Inputs bool `yaml:"inputs"`
}

// ISO is a source image of the user's own: a file, or a URL with its digest.
type ISO struct {
	URL    string `yaml:"url"`
	SHA256 string `yaml:"sha256,omitempty"`
}

// UnmarshalYAML accepts a path, or a mapping.
func (i *ISO) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*i = ISO{URL: n.Value}
		return nil
	}
	type plain ISO
	return n.Decode((*plain)(i))
}

// notName matches characters that names of inputs lack, maxStem bounds the part before ".iso".
var notName = regexp.MustCompile(`[^A-Za-z0-9+_.,-]+|\.\.+`)

const maxStem = 200

// Name is the file name by which locks, manifests and mirrors know the image.
func (i *ISO) Name() string {
	place, _, _ := strings.Cut(i.URL, "?")
	stem := strings.TrimSuffix(path.Base(filepath.ToSlash(place)), ".iso")
	stem = strings.Trim(notName.ReplaceAllString(stem, "_"), ".,-")
	return cmp.Or(stem[:min(len(stem), maxStem)], "base") + ".iso"
}

// Pick names files of one extension: lscpu and sfdisk of util-linux.
type Pick struct {
	Extension string   `yaml:"extension"`
	Files     []string `yaml:"files"`
}

// Archive is a source archive and its URLs, tried in order.
type Archive struct {
	Version string `yaml:"version"`
	URL     URLs   `yaml:"url"`
	SHA256  string `yaml:"sha256"`
}

// Sources returns the URLs with {version} filled in.
func (a *Archive) Sources() []string { return withVersion(a.URL, a.Version) }

// Sources returns the URLs with {version} filled in.
func (m *MCO) Sources() []string { return withVersion(m.URL, m.Version) }

func withVersion(urls URLs, version string) []string {
	out := make([]string, len(urls))
	for i, u := range urls {
		out[i] = strings.ReplaceAll(u, "{version}", version)
	}
	return out
}

// Gems says which Ruby gems the image holds and when they are installed.
type Gems struct {
	// Mode is "baked" (installed into the image) or "boot" (the image's own repository in
	// /opt/gems, installed from while booting).
	Mode string `yaml:"mode"`
	// Source is the base URL of the gem server; "<source>/<name>-<version>.gem" is fetched.
	Source  URLs  `yaml:"source"`
	Install []Gem `yaml:"install"`
}

// Gem is one pinned gem.
type Gem struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	URL     URLs   `yaml:"url"`
	SHA256  string `yaml:"sha256"`
}

// MCO is the MCollective agent.
type MCO struct {
	Version string `yaml:"version"`
	URL     URLs   `yaml:"url"`
	SHA256  string `yaml:"sha256"`
	// Server overrides keys of server.cfg; a null value removes the key.
	Server map[string]*Value `yaml:"server"`
	// AllowSampleSecrets lets the daemon start with the published psk and password.
	AllowSampleSecrets bool `yaml:"allow_sample_secrets"`
}

// OpenSSH is used by the profiles dev and debug alone.
type OpenSSH struct {
	// AuthorizedKeys are public keys, or files that hold some; none means the user's own
	// ~/.ssh/*.pub.
	AuthorizedKeys []string `yaml:"authorized_keys"`
	// dir is the folder of the config file.
	dir string
}

// KeyFile returns the path of a file in AuthorizedKeys. Only a parser of keys knows which of them are files.
func (o *OpenSSH) KeyFile(name string) string { return under(o.dir, name) }

// Client configures mk-client inside the image.
type Client struct {
	// Disabled leaves mk-client out of the image.
	Disabled bool `yaml:"disabled"`
	// Settings become /etc/razor-mk-client.conf: "server", "register", "extend", "interval", …
	Settings map[string]string `yaml:"settings"`
	// CA is a file of PEM certificates that the client trusts for https.
	CA string `yaml:"ca"`
}

// Boot changes isolinux.cfg.
type Boot struct {
	// Append is added to the kernel arguments of every label.
	Append string `yaml:"append"`
	// Allow are kernel arguments that a prod image may have, although they are not known to be harmless.
	Allow []string `yaml:"allow,omitempty"`
	// Timeout is isolinux's own, in tenths of a second; nil keeps the source's.
	Timeout *int `yaml:"timeout"`
	// AllowInittab are lines of /etc/inittab that a prod image may have besides Tiny Core's own.
	AllowInittab []string `yaml:"allow_inittab"`
}

// Services are the allowed ways into a prod image.
type Services struct {
	// Allow are files of the image, from "/": servers, archives that hold one, scripts that start one.
	Allow []string `yaml:"allow"`
}

// UserFiles puts a file or the content of a folder into the image.
type UserFiles struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
	// Owner is "uid:gid" in numbers; empty is 0:0.
	Owner string `yaml:"owner"`
}

// Initrd configures the initrd.
type Initrd struct {
	// Layout is "append" (the base's own bytes, then mkbuild's segment) or "merged" (one archive).
	Layout string `yaml:"layout"`
	// Compress is "normal", gzip at Level. Manifests and files of `mkbuild init` name it.
	Compress string `yaml:"compress"`
	// Level is the gzip level, 1 to 9.
	Level int `yaml:"level"`
}

// PXE configures the folder for a network boot server.
type PXE struct {
	// Layout is "whole" (one kernel, one initrd) or "segments" (a file for each part, which builds share).
	Layout string `yaml:"layout"`
}

// Image names the result.
type Image struct {
	// Name is a file name without version; empty is rz_mk_{prod,dev,debug}-image.
	Name string `yaml:"name"`
	// Version goes into the file name, the volume id and iso-metadata.yaml.
	Version string `yaml:"version"`
}

// ISOName returns the default output name, in the pattern that Razor tooling matches.
func (c *Config) ISOName() string {
	name := c.Image.Name
	if name == "" {
		name = "rz_mk_" + c.Profile + "-image"
	}
	return name + "." + c.Image.Version + ".iso"
}

// HasSSH reports whether the profile has an ssh server.
func (c *Config) HasSSH() bool { return c.Profile == "dev" || c.Profile == "debug" }

// AllExtensions returns the extensions of the profile, with openssh in dev and debug.
func (c *Config) AllExtensions() []string {
	out := slices.Clone(c.Extensions)
	isSSH := func(entry string) bool {
		names, _ := Alternatives(entry)
		return slices.ContainsFunc(names, func(n string) bool { return strings.TrimSuffix(n, ".tcz") == "openssh" })
	}
	if c.HasSSH() && !slices.ContainsFunc(out, isSSH) {
		out = append(out, "openssh")
	}
	return out
}

// nothing is the last alternative of an optional extension.
const nothing = "-"

// Alternatives splits an entry of the extensions, such as "ruby | ruby-2.2 | -": the names in the order of asking
// a mirror, and whether the extension is optional.
func Alternatives(entry string) (names []string, optional bool) {
	for name := range strings.SplitSeq(entry, "|") {
		names = append(names, strings.TrimSpace(name))
	}
	if last := len(names) - 1; last > 0 && names[last] == nothing {
		return names[:last], true
	}
	return names, false
}
