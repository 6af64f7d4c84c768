// Package profile computes what mkbuild changes in Tiny Core's own files: accounts, console,
// ssh, the services that /opt/bootsync.sh starts, and the version file. It is pure: it looks at
// a tree and returns the entries that replace or join it.
//
// prod has no way in: no sshd, every account locked, no console login. dev adds sshd with public
// keys alone. debug is dev with Tiny Core's own console login, which asks for nothing.
package profile

import (
	"errors"
	"fmt"
	"strings"

	"mkbuild/internal/overlay"
)

// Options say what the image shall be.
type Options struct {
	Profile string // "prod", "dev" or "debug"
	Version string // the image's own version
	Release string // Tiny Core's: "4.5.2"
	// Keys are checked authorized_keys lines; used by dev and debug.
	Keys []string
	// BootGems is shell text that installs gems while booting; empty when they are baked in.
	BootGems string
	// Client adds mk-client's respawn line to /etc/inittab.
	Client bool
}

// InitScript is the script that /opt/bootsync.sh calls, in Tiny Core's place for services.
const InitScript = "usr/local/etc/init.d/microkernel"

// ClientPath is where the image keeps mk-client.
const ClientPath = "usr/local/sbin/mk-client"

// maxText bounds the base's own text files; the real ones are below 4 KiB.
const maxText = 1 << 20

// BaseError says that a file of the base is not what Tiny Core has, so that changing it blindly
// could leave an image open or dead.
type BaseError struct{ Path, What string }

func (e *BaseError) Error() string { return "change /" + e.Path + ": " + e.What }

// Hint says what to look at.
func (*BaseError) Hint() string {
	return "is the ISO a Tiny Core one of the named release? `--release` and `--mirror` decide which is taken"
}

// Apply returns the entries that make the profile out of t, the image so far.
func Apply(t *overlay.Tree, o Options) (*overlay.Tree, error) {
	out := &overlay.Tree{}
	for _, part := range []func(*overlay.Tree, *overlay.Tree, Options) error{accounts, console, bootsync, service, dmidecode, version, sshServer, sshUser} {
		if err := part(t, out, o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// replaceText puts changed text over an existing file, whose owner and mode stay.
func replaceText(t, out *overlay.Tree, name string, edit func(string) (string, error)) error {
	e, err := t.Lookup(name)
	if errors.Is(err, overlay.ErrNotExist) {
		return &BaseError{name, "the base has no such file"}
	}
	if err != nil {
		return err
	}
	b, err := e.Content(maxText)
	if err != nil {
		return err
	}
	text, err := edit(string(b))
	if err != nil {
		return err
	}
	changed := overlay.File(e.Path, e.Perm(), []byte(text))
	changed.UID, changed.GID = e.UID, e.GID
	return out.Put(changed)
}

// version leaves the image's version where Razor's tooling looks for it.
func version(_, out *overlay.Tree, o Options) error {
	text := fmt.Sprintf("---\nmk_version: %q\n", o.Version)
	return out.Put(overlay.File("tmp/mk-version.yaml", 0o644, []byte(text)))
}

// dmidecode links the extension's program to the only place where Facter 1.x looks for it
// (its manufacturer.rb).
func dmidecode(t, out *overlay.Tree, _ Options) error {
	const program, link = "usr/local/sbin/dmidecode", "usr/sbin/dmidecode"
	if t.Get(program) == nil || t.Get(link) != nil {
		return nil
	}
	return out.Put(overlay.Symlink(link, "/"+program))
}

// lines splits text and drops the last, empty piece of a file that ends in a newline.
func lines(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func join(ls []string) string { return strings.Join(ls, "\n") + "\n" }
