package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readmeTitle is the first line of the README, by which mkmirror knows a mirror that it may replace.
const readmeTitle = "STAND-IN for a Tiny Core Linux mirror"

// documents writes the configurations, the README and the list of packages.
func documents(dir string, lines []*mirror) error {
	texts := map[string]string{"README": readmeText(lines)}
	for _, m := range lines {
		texts[m.port.config] = m.configText()
		texts["packages.txt"] += m.packagesText()
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// configText is the configuration for mkbuild. Its paths are relative, so the mirror can be moved.
func (m *mirror) configText() string {
	var s strings.Builder
	fmt.Fprintf(&s, `# For the stand-in mirror in this directory, made of Debian packages (see README).
# Not for Tiny Core Linux's own mirrors: %s.
# Paths are relative to this file; what is not here has mkbuild's defaults.
#
#   mkbuild iso --config %s

release: %s
arch: %s

mirrors:
  - .
`, m.notFor(), m.port.config, m.release, m.port.arch)
	if !m.port.modern {
		fmt.Fprintf(&s, "\nrubygems:\n  version: %q\n  url: archives/rubygems-{version}.tgz\n", m.rubygemsVersion())
	}
	s.WriteString("\ngems:\n  source: archives/gems\n  install:            # hocon and thor are what Facter 4 needs\n")
	for _, g := range gemTable(m.port.triplet) {
		if !m.port.modern || slices.Contains(modernGems(), g.name) {
			fmt.Fprintf(&s, "    - {name: %s, version: %q}\n", g.name, m.pool.upstream(g.pkg))
		}
	}
	if !m.port.modern {
		fmt.Fprintf(&s, "\nmcollective:\n  version: %q\n  url: archives/mcollective-{version}.tgz\n", m.mcollectiveVersion())
	}
	return s.String()
}

// notFor says what of the configuration is for this mirror alone.
func (m *mirror) notFor() string {
	if m.port.modern {
		return "Facter is the one that Debian has"
	}
	return "their Ruby is 1.8, and this RubyGems, MCollective and\n# Facter are not for it"
}

// modernGems are those that mkbuild has by default for a Ruby of today.
func modernGems() []string { return []string{"hocon", "thor", "facter"} }

// readmeText says what the mirror is and is not.
func readmeText(lines []*mirror) string {
	var s strings.Builder
	s.WriteString(readmeTitle + `
====================================

mkmirror made this directory out of Debian packages (packages.txt). It has the shape of a Tiny Core
Linux mirror so that mkbuild can be developed, shown and tested where the real mirrors cannot be
reached. It is not Tiny Core Linux: Debian's kernel, C library and programs, and boot scripts of
mkmirror's own that follow Tiny Core's order and contract.

`)
	for _, m := range lines {
		fmt.Fprintf(&s, "  mkbuild iso --config %-21s  # %s %s, kernel %s\n", m.port.config, m.port.edition, m.release, m.mods.kernel)
	}
	s.WriteString(`
What differs from the real thing
  initrd            devtmpfs and a loop over modalias instead of udev; no sudo; tce-load does not
                    download; Debian's ldconfig; busybox's shell takes its own programs before those
                    of PATH, so util-linux shadows nothing there; /sbin/depmod (by path) sees
                    extensions' modules; /etc/os-release, which Tiny Core 4.x has not and Facter 4
                    needs; that of 4.x holds the libraries of lscpu and sfdisk
  libssl-0.9.8.tcz  OpenSSL 3 (4.x)
  openssl-1.0.0.tcz the openssl 3 program (4.x)
  ruby.tcz          Ruby 3.1 without Bundler; in 4.x without RubyGems and laid out as Ruby 1.8
  firmware-*.tcz    the free firmware that Debian has: none for Broadcom's cards
  openssh.tcz       OpenSSH 9 with an init script of mkmirror's own
  *.iso             isolinux 6, which needs ldlinux.c32 beside it; the 64-bit one also has Debian's GRUB
                    for UEFI machines and starts from disks
  CorePlus-*.iso    the same with three extensions in cde/ (4.x)
  archive/          the same ISO under an older number
  archives/         RubyGems, MCollective and gems out of Debian packages; each holds a STAND-IN.txt
`)
	return s.String()
}

// packagesText lists a line's packages with their versions.
func (m *mirror) packagesText() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# %s\n", m.port.debian)
	for _, name := range m.pool.names() {
		fmt.Fprintf(&s, "%s %s\n", name, m.pool.version(name))
	}
	return s.String()
}
