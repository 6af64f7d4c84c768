package profile

import (
	"errors"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// Options are the choices of one image.
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

// maxText bounds the base's own text files; the real ones are below 4 KiB.
const maxText = 1 << 20

// edit is an image so far, and the entries that change it.
type edit struct {
	Options
	tree, out *overlay.Tree
}

func (e *edit) hasSSH() bool { return e.Profile != "prod" }

// current returns the lines of a file as the image will have it, nil if there is no such file.
func (e *edit) current(name string) ([]string, error) {
	_, ls, err := e.read(name)
	if errors.Is(err, overlay.ErrNotExist) {
		return nil, nil
	}
	return ls, err
}

func (e *edit) read(name string) (*overlay.Entry, []string, error) {
	from := e.tree
	if e.out.Get(name) != nil {
		from = e.out
	}
	return readLines(from, name)
}

func readLines(t *overlay.Tree, name string) (*overlay.Entry, []string, error) {
	file, err := t.Lookup(name)
	if err != nil {
		return nil, nil, err
	}
	b, err := file.Content(maxText)
	return file, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), err
}

// change puts changed lines over an existing file, whose owner and mode stay.
func (e *edit) change(name string, do func(ls []string) ([]string, error)) error {
	file, ls, err := e.read(name)
	if errors.Is(err, overlay.ErrNotExist) {
		return notTinyCore(name, "the base has no such file")
	}
	if err != nil {
		return err
	}
	if ls, err = do(ls); err != nil {
		return err
	}
	changed := overlay.File(file.Path, file.Perm(), join(ls))
	changed.UID, changed.GID = file.UID, file.GID
	return e.out.Put(changed)
}

func join(ls []string) []byte { return []byte(strings.Join(ls, "\n") + "\n") }

// notTinyCore is the error of a file of the base that is not Tiny Core's: changing it blindly could
// leave an image open or dead.
func notTinyCore(name, what string) error {
	return fail.New(fail.Verification, "change /"+name+": "+what,
		"is the ISO a Tiny Core one of the named release? `--release` and `--mirror` decide which is taken")
}
