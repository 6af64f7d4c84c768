package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// configFile is the configuration that points mkbuild at the mirror.
const configFile = "mkbuild.yaml"

// readmeTitle is the first line of the README, by which mkmirror knows a mirror that it may replace.
const readmeTitle = "STAND-IN for a Tiny Core Linux mirror"

// documents writes the configuration, the README and the list of packages.
func (m *mirror) documents(context.Context) error {
	for name, text := range map[string]string{
		configFile: m.configText(), "README": m.readmeText(), "packages.txt": m.packagesText(),
	} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// configText is the configuration for mkbuild. Its paths are relative, so the mirror can be moved.
func (m *mirror) configText() string {
	var s strings.Builder
	fmt.Fprintf(&s, `# For the stand-in mirror in this directory, made of Debian packages (see README).
# Not for Tiny Core Linux's own mirrors: their Ruby is 1.8, and this RubyGems, MCollective and
# Facter are not for it. Paths are relative to this file; what is not here has mkbuild's defaults.
#
#   mkbuild iso --config %s

release: %s
arch: x86

mirrors:
  - .

rubygems:
  version: %q
  url: archives/rubygems-{version}.tgz

gems:
  source: archives/gems
  install:            # hocon and thor are what Facter 4 needs
`, configFile, m.options.release, m.rubygemsVersion())
	for _, g := range gemTable() {
		fmt.Fprintf(&s, "    - {name: %s, version: %q}\n", g.name, m.pool.upstream(g.pkg))
	}
	fmt.Fprintf(&s, "\nmcollective:\n  version: %q\n  url: archives/mcollective-{version}.tgz\n", m.mcollectiveVersion())
	return s.String()
}

// readmeText says what the mirror is and is not.
func (m *mirror) readmeText() string {
	return strings.NewReplacer("{release}", m.options.release, "{kernel}", m.mods.kernel, "{config}", configFile).Replace(readmeTitle + `
====================================

mkmirror made this directory out of Debian i386 packages (packages.txt). It has the shape of a
Tiny Core Linux {release} mirror so that mkbuild can be developed, shown and tested where the real
mirrors cannot be reached. It is not Tiny Core Linux: kernel {kernel}, Debian's C library and
programs, and boot scripts of mkmirror's own that follow Tiny Core's order and contract.

  mkbuild iso --config {config}

What differs from the real thing
  core.gz           devtmpfs and a loop over modalias instead of udev; no sudo; tce-load does not
                    download; holds the libraries of lscpu and sfdisk, and Debian's ldconfig;
                    busybox's shell takes its own programs before those of PATH, so util-linux
                    shadows nothing there; /sbin/depmod (by path) sees extensions' modules;
                    /etc/os-release, which Tiny Core 4.x has not and Facter 4 needs
  libssl-0.9.8.tcz  OpenSSL 3
  openssl-1.0.0.tcz the openssl 3 program
  ruby.tcz          Ruby 3.1 laid out as Tiny Core's 1.8, without RubyGems and Bundler
  firmware-bnx2.tcz the free firmware that Debian has: none for bnx2
  openssh.tcz       OpenSSH 9 with an init script of mkmirror's own
  Core-*.iso        isolinux 6, which needs ldlinux.c32 beside it
  archive/          the same ISO under an older number
  archives/         RubyGems, MCollective and gems out of Debian packages; each holds a STAND-IN.txt
`)
}

// packagesText lists the packages with their versions.
func (m *mirror) packagesText() string {
	var s strings.Builder
	for _, name := range m.pool.names() {
		fmt.Fprintf(&s, "%s %s\n", name, m.pool.version(name))
	}
	return s.String()
}
