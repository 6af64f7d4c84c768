package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readmeTitle is the first line of the README, which identifies a replaceable mirror.
const readmeTitle = "STAND-IN for a Tiny Core Linux mirror"

// documents writes the configurations, the README and the list of packages.
func documents(dir string, all []*mirror) error {
	texts := map[string]string{"README": readmeText(all)}
	done := make(map[*pool]bool)
	for _, m := range all {
		texts[m.series.config] = m.configText()
		if !done[m.pool] {
			texts["packages.txt"] += m.pool.text()
		}
		done[m.pool] = true
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
`, m.notFor(), m.series.config, m.series.release, m.series.arch)
	if !m.series.rubyGems {
		fmt.Fprintf(&s, "\nrubygems:\n  version: %q\n  url: archives/rubygems-{version}.tgz\n", m.rubygemsVersion())
	}
	s.WriteString("\ngems:\n  source: archives/gems\n  install:            # hocon and thor are what Facter 4 needs\n")
	for _, g := range gemTable(m.pool.platform.triplet) {
		if !m.series.rubyGems || slices.Contains(modernGems(), g.name) {
			fmt.Fprintf(&s, "    - {name: %s, version: %q}\n", g.name, m.pool.upstream(g.pkg))
		}
	}
	if !m.series.rubyGems {
		fmt.Fprintf(&s, "\nmcollective:\n  version: %q\n  url: archives/mcollective-{version}.tgz\n", m.mcollectiveVersion())
	}
	return s.String()
}

// notFor lists the parts of the configuration that are only for this mirror.
func (m *mirror) notFor() string {
	if m.series.rubyGems {
		return "Facter is the one that Debian has"
	}
	return "their Ruby is 1.8, and this RubyGems, MCollective and\n# Facter are not for it"
}

// modernGems are mkbuild's default gems for a current Ruby.
func modernGems() []string { return []string{"hocon", "thor", "facter"} }

// readmeText describes the mirror and its limits.
func readmeText(all []*mirror) string {
	var s strings.Builder
	s.WriteString(readmeTitle + `
====================================

mkmirror made this directory out of Debian packages (packages.txt). It has the shape of a Tiny Core
Linux mirror so that mkbuild can be developed, shown and tested where the real mirrors cannot be
reached. It is not Tiny Core Linux: Debian's kernel, C library and programs, and boot scripts of
mkmirror's own that follow Tiny Core's order and contract.

`)
	for _, m := range all {
		fmt.Fprintf(&s, "  mkbuild iso --config %-21s  # %s %s, kernel %s\n", m.series.config, m.series.edition, m.series.release, m.kernels[0].release)
	}
	s.WriteString(`
It works as a directory and behind any web server, whether that lists directories (python3 -m http.server)
or not (nginx): mkbuild iso --config FILE --mirror http://HOST/

What differs from the real thing
  initrd            devtmpfs and a loop over modalias instead of udev; no sudo; tce-load does not
                    download; Debian's ldconfig; busybox's shell takes its own programs before those
                    of PATH, so util-linux shadows nothing there; /sbin/depmod (by path) sees
                    extensions' modules; /etc/os-release, which Tiny Core 4.x has not and Facter 4
                    needs; that of 4.x holds the libraries of lscpu and sfdisk. Owners of /tmp and
                    /usr/local/tce.installed are those of the real 4.x, and in 8.x those of 8.x to 17.x
  kernels           Debian's 6.1, by Debian's names. 8.x has modules for two, as real series have: those
                    of the ISO, and those of the 64-bit kernel, which do not fit it
  names             those of 8.x are real ones of x86, where no ruby.tcz is and lshw.tcz is
  libssl-0.9.8.tcz  OpenSSL 3 (4.x)
  openssl-1.0.0.tcz the openssl 3 program (4.x)
  ruby*.tcz         Ruby 3.1 without Bundler, ruby-1.9.tcz to ruby-2.2.tcz of 8.x, too; in 4.x without
                    RubyGems and laid out as Ruby 1.8
  firmware-*.tcz    the free firmware that Debian has: none for Broadcom's cards
  openssh.tcz       OpenSSH 9 with an init script of mkmirror's own
  *.iso             isolinux 6, which needs ldlinux.c32 next to it; that of 15.x also has Debian's GRUB
                    for UEFI machines and starts from disks; that of 8.x has arguments behind KERNEL's file
  CorePlus-*.iso    the same with three extensions in cde/ (4.x)
  archive/          the same ISO under an older number
  archives/         RubyGems, MCollective and gems out of Debian packages; each holds a STAND-IN.txt
`)
	return s.String()
}

// text lists a platform's packages with their versions.
func (p *pool) text() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# %s\n", p.platform.debian)
	for _, name := range p.names() {
		fmt.Fprintf(&s, "%s %s\n", name, p.version(name))
	}
	return s.String()
}
