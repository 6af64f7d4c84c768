// Package profile computes what mkbuild changes in Tiny Core's own files: accounts, console,
// ssh, the services that /opt/bootsync.sh starts, and the version file. It is pure: it looks at
// a tree and returns the entries that replace or join it.
//
// prod has no way in: no sshd, every account locked, no console login. dev adds sshd with public
// keys alone. debug is dev with Tiny Core's own console login, which asks for nothing. Start reading
// at [Apply].
package profile

import (
	"fmt"

	"mkbuild/internal/overlay"
)

// Apply returns the entries that make the profile out of t, the image so far.
func Apply(t *overlay.Tree, o Options) (*overlay.Tree, error) {
	e := &edit{Options: o, tree: t, out: &overlay.Tree{}}
	for _, part := range []func(*edit) error{accounts, console, bootsync, service, dmidecode, version, maskServers, sshServer, sshUser} {
		if err := part(e); err != nil {
			return nil, err
		}
	}
	return e.out, nil
}

// version writes the image's version where Razor's tooling looks for it.
func version(e *edit) error {
	text := fmt.Sprintf("---\nmk_version: %q\n", e.Version)
	return e.out.Put(overlay.File("tmp/mk-version.yaml", 0o644, []byte(text)))
}

// dmidecode links the extension's program to the only place where Facter 1.x looks for it
// (its manufacturer.rb).
func dmidecode(e *edit) error {
	const program, link = "usr/local/sbin/dmidecode", "usr/sbin/dmidecode"
	if e.tree.Get(program) == nil || e.tree.Get(link) != nil {
		return nil
	}
	return e.out.Put(overlay.Symlink(link, "/"+program))
}
