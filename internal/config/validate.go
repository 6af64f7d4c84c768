package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/cmdline"
)

var (
	releaseForm = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){0,3}(rc[0-9]+|beta[0-9]+|alpha[0-9]+)?$`)
	versionForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2}))*$`)
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+-]*$`)
	sha256Form  = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

// maxVolumeVersion keeps "Razor MK <version>" within the 32 bytes of a volume id.
const maxVolumeVersion = 22

// Validate checks everything that needs no network and no files.
func (c *Config) Validate() error {
	for _, check := range []func() error{c.checkRelease, c.checkChoices, c.checkISO, c.checkSources, c.checkArchives, c.checkBoot, c.checkOverlay} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkRelease() error {
	if !releaseForm.MatchString(c.Release) {
		return Mistake("release", fmt.Sprintf("%q is not a Tiny Core Linux release", c.Release), "for example: --release 4.5.2")
	}
	v := c.Image.Version
	if !versionForm.MatchString(v) || len(v) > maxVolumeVersion {
		return Mistake("image.version", fmt.Sprintf("%q is not a version that Razor can sort: numbers of one to three digits, without leading zeros, with dots between them", v), "for example: --image-version 0.1.0")
	}
	if c.Image.Name != "" && !nameForm.MatchString(c.Image.Name) {
		return Mistake("image.name", fmt.Sprintf("%q is not a plain file name", c.Image.Name), "")
	}
	return nil
}

// Choices returns the values of a key with a fixed set of them, nil for other keys. The schema and the shells
// offer them, too.
func Choices(key string) []string {
	switch key {
	case "arch":
		return []string{"x86", "x86_64"}
	case "edition":
		return []string{"", "Core", "CorePlus", "CorePure64", "TinyCore", "TinyCorePure64"}
	case "cde":
		return []string{"keep", "drop"}
	case "profile":
		return []string{"prod", "dev", "debug"}
	case "gems.mode":
		return []string{"baked", "boot"}
	case "initrd.layout":
		return []string{"append", "merged"}
	case "pxe.layout":
		return []string{"whole", "segments"}
	case "initrd.compress":
		return []string{"normal"}
	}
	return nil
}

func (c *Config) checkChoices() error {
	for _, chosen := range []struct{ key, value string }{
		{"arch", c.Arch}, {"edition", c.Edition}, {"cde", c.CDE}, {"profile", c.Profile}, {"gems.mode", c.Gems.Mode}, {"initrd.layout", c.Initrd.Layout},
		{"pxe.layout", c.PXE.Layout},
	} {
		if all := Choices(chosen.key); !slices.Contains(all, chosen.value) {
			list := strings.TrimPrefix(strings.Join(all, ", "), ", ")
			return Mistake(chosen.key, fmt.Sprintf("unknown value %q", chosen.value), "choose one of "+list)
		}
	}
	if c.Initrd.Compress != "normal" {
		return Mistake("initrd.compress", fmt.Sprintf("%q is not supported: the initrd is always packed with gzip", c.Initrd.Compress), "leave compress out; level sets how hard gzip works")
	}
	if c.Initrd.Level < 1 || c.Initrd.Level > 9 {
		return Mistake("initrd.level", fmt.Sprintf("%d is not a gzip level from 1 to 9", c.Initrd.Level), "")
	}
	return nil
}

// checkISO checks the edition and the user's own ISO against the rest.
func (c *Config) checkISO() error {
	if pure64 := strings.HasSuffix(c.Edition, "64"); c.Edition != "" && pure64 != (c.Arch == "x86_64") {
		return Mistake("edition", fmt.Sprintf("%s does not exist for %s", c.Edition, c.Arch), "CorePure64 and TinyCorePure64 go with --arch x86_64, the others with --arch x86")
	}
	switch i := c.ISO; {
	case i == nil:
		return nil
	case c.Edition != "":
		return Mistake("iso", "iso and edition cannot be combined", "leave one of the two out")
	case i.URL == "":
		return Mistake("iso", "no file and no URL", "write it as iso: my.iso, or as iso: {url: https://…/my.iso, sha256: …}")
	case i.SHA256 == "" && strings.HasPrefix(strings.ToLower(i.URL), "http"):
		return Mistake("iso", i.Name()+" comes from the network, and has no sha256", "write it as iso: {url: https://…/my.iso, sha256: …}")
	}
	return checkSum("iso", c.ISO.SHA256)
}

func (c *Config) checkSources() error {
	if len(c.Mirrors) == 0 {
		return Mistake("mirrors", "no mirror to fetch from", "for example: --mirror http://distro.ibiblio.org/tinycorelinux/")
	}
	for _, entry := range c.Extensions {
		names, _ := Alternatives(entry)
		if i := slices.IndexFunc(names, func(n string) bool { return !isExtension(n) }); i >= 0 {
			return Mistake("extensions", fmt.Sprintf("%.80q is not an extension's name", names[i]),
				"write a name, such as bash, or alternatives: ruby | ruby-2.2 | - (a last - means: leave it out if no mirror has one)")
		}
	}
	for _, n := range c.Missing {
		if !isExtension(n) {
			return Mistake("missing", fmt.Sprintf("%.80q is not an extension's name", n), "")
		}
	}
	for _, p := range c.Picks {
		if !isExtension(p.Extension) || len(p.Files) == 0 {
			return Mistake("pick", fmt.Sprintf("extension %q with %d files: both are needed", p.Extension, len(p.Files)), "")
		}
	}
	return nil
}

// maxExtension leaves room for ".tcz.md5.txt" and a kernel's release in a file name.
const maxExtension = 128

// isExtension checks a name as package tcz does, so that a refusal there is a mirror's fault.
func isExtension(name string) bool {
	return nameForm.MatchString(name) && !strings.Contains(name, "..") && len(name) <= maxExtension
}

func (c *Config) checkArchives() error {
	if c.RubyGems != nil {
		if err := checkArchive("rubygems", c.RubyGems.Version, c.RubyGems.URL, c.RubyGems.SHA256); err != nil {
			return err
		}
	}
	if c.MCollective != nil {
		if err := checkArchive("mcollective", c.MCollective.Version, c.MCollective.URL, c.MCollective.SHA256); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, g := range c.Gems.Install {
		if !nameForm.MatchString(g.Name) || !nameForm.MatchString(g.Version) {
			return Mistake("gems.install", fmt.Sprintf("name %q, version %q: both are needed, and nothing is installed unpinned", g.Name, g.Version), "")
		}
		if len(g.URL) == 0 && len(c.Gems.Source) == 0 {
			return Mistake("gems.source", fmt.Sprintf("nowhere to fetch %s from", g.Name), "")
		}
		if seen[g.Name] {
			return Mistake("gems.install", fmt.Sprintf("%s is listed twice", g.Name), "")
		}
		if err := checkSum("gems.install."+g.Name, g.SHA256); err != nil {
			return err
		}
		seen[g.Name] = true
	}
	return nil
}

func checkArchive(where, version string, url URLs, sum string) error {
	if !nameForm.MatchString(version) {
		return Mistake(where+".version", fmt.Sprintf("%q is not a version", version), where+": null leaves it out")
	}
	if len(url) == 0 {
		return Mistake(where+".url", "no source", where+": null leaves it out")
	}
	return checkSum(where, sum)
}

func checkSum(where, sum string) error {
	if sum != "" && !sha256Form.MatchString(sum) {
		return Mistake(where+".sha256", fmt.Sprintf("%q is not 64 hexadecimal digits", sum), "")
	}
	return nil
}

// CheckArguments refuses kernel arguments that a boot menu cannot hold, or that a boot loader interprets itself.
// where is their place, for the error.
func CheckArguments(where, args string) error {
	if err := cmdline.Check("config "+where, args); err != nil {
		return err
	}
	if strings.TrimSpace(args) == "-" {
		return Mistake(where, "isolinux reads - as no arguments", "leave it out")
	}
	for _, arg := range strings.FieldsFunc(args, func(r rune) bool { return r == '"' || r <= ' ' }) { // loaders know no quotes
		if strings.HasPrefix(strings.ToLower(arg), "initrd=") {
			return Mistake(where, fmt.Sprintf("%s makes the boot loader load another initrd than the image's", arg), "put your files into `overlay` instead")
		}
	}
	return nil
}

func (c *Config) checkBoot() error {
	if err := CheckArguments("boot.append", c.Boot.Append); err != nil {
		return err
	}
	for _, a := range c.Boot.Allow {
		if len(cmdline.Split(a)) != 1 {
			return Mistake("boot.allow", fmt.Sprintf("%q is not one kernel argument", a), "write a name, such as cde, or a whole argument, such as user=bob")
		}
	}
	if t := c.Boot.Timeout; t != nil && (*t < 1 || *t > 35996) {
		return Mistake("boot.timeout", fmt.Sprintf("%d is not from 1 to 35996 tenths of a second, isolinux's range", *t), "for example: timeout: 50")
	}
	return nil
}

// maxTarget is Linux' PATH_MAX.
const maxTarget = 4095

func (c *Config) checkOverlay() error {
	if c.Client.Disabled && len(c.ExtensionKeys) > 0 {
		return Mistake("extension_keys", "extension_keys and client.disabled cannot be combined", "leave one of the two out: only mk-client reads the keys")
	}
	for _, o := range c.Overlay {
		if o.Source == "" {
			return Mistake("overlay", fmt.Sprintf("target %q has no source", o.Target), "for example: {source: files, target: /}")
		}
		if !strings.HasPrefix(o.Target, "/") {
			return Mistake("overlay", fmt.Sprintf("target %q is not an absolute path", o.Target), "for example: {source: files, target: /}")
		}
		if slices.Contains(strings.Split(o.Target, "/"), "..") || strings.ContainsRune(o.Target, 0) || len(o.Target) > maxTarget {
			return Mistake("overlay", fmt.Sprintf("target %.80q is not a path in the image", o.Target), "write the plain path of the files in the image, without ..")
		}
		if _, _, err := o.OwnerIDs(); err != nil {
			return err
		}
	}
	return nil
}

// OwnerIDs returns the numeric owner of the files: 0, 0 unless set.
func (u *UserFiles) OwnerIDs() (uid, gid uint32, err error) {
	if u.Owner == "" {
		return 0, 0, nil
	}
	us, gs, ok := strings.Cut(u.Owner, ":")
	ui, err1 := strconv.ParseUint(us, 10, 31)
	gi, err2 := strconv.ParseUint(gs, 10, 31)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, Mistake("overlay", fmt.Sprintf("owner %q of %s is not uid:gid in numbers", u.Owner, u.Source), `for example: owner: "1001:50"`)
	}
	return uint32(ui), uint32(gi), nil
}
