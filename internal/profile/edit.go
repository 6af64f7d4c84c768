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
	// Keys are checked authorized_keys lines, for dev and debug.
	Keys []string
	// BootGems is shell text that installs gems while booting; empty if they are in the image.
	BootGems string
	// Client adds mk-client's respawn line to /etc/inittab.
	Client bool
}

// maxText bounds the base's text files; real ones have less than 4 KiB.
const maxText = 1 << 20

type edit struct {
	Options
	tree, out *overlay.Tree
}

func (e *edit) hasSSH() bool { return e.Profile != "prod" }

// current returns the lines of a file as changed so far; nil if it is missing.
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

// change replaces the lines of an existing file, and keeps its owner and mode.
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

// notTinyCore is the error of a base file that is not Tiny Core's: a blind change could leave an image open or
// unable to boot.
func notTinyCore(name, what string) error {
	return fail.New(fail.Verification, "change /"+name+": "+what,
		"check that the ISO is Tiny Core's of the named release; `--release` and `--mirror` select it")
}
