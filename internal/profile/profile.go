// Package profile computes mkbuild's changes to Tiny Core's own files: accounts, console, ssh, the services that
// /opt/bootsync.sh starts, and the version file. It is pure: it reads a tree and returns the entries to replace or
// add.
package profile

import (
	"fmt"

	"mkbuild/internal/overlay"
)

// Apply returns the entries that turn t, the image so far, into the profile's.
func Apply(t *overlay.Tree, o Options) (*overlay.Tree, error) {
	e := &edit{Options: o, tree: t, out: &overlay.Tree{}}
	for _, part := range []func(*edit) error{accounts, console, bootsync, service, dmidecode, version, maskServers, sshServer, sshUser} {
		if err := part(e); err != nil {
			return nil, err
		}
	}
	return e.out, nil
}

// version writes the image's version to the file that Razor's tools read.
func version(e *edit) error {
	text := fmt.Sprintf("---\nmk_version: %q\n", e.Version)
	return e.out.Put(overlay.File("tmp/mk-version.yaml", 0o644, []byte(text)))
}

// dmidecode links the extension's program to the only path that Facter 1.x uses (its manufacturer.rb).
func dmidecode(e *edit) error {
	const program, link = "usr/local/sbin/dmidecode", "usr/sbin/dmidecode"
	if e.tree.Get(program) == nil || e.tree.Get(link) != nil {
		return nil
	}
	return e.out.Put(overlay.Symlink(link, "/"+program))
}
