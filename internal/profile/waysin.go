package profile

import (
	"fmt"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// ErrOpen is returned if a prod image would have a way in.
var ErrOpen = fail.New(fail.Usage, "check the prod image", "leave it out, or build with --profile dev")

// WaysIn lists how somebody could log in to a finished image. A prod image must have no way in, whatever the
// user's own files do. Tiny Core's own files, mkbuild's and those in a are harmless; anything else, and anything
// unreadable, is a way in.
func WaysIn(t *overlay.Tree, a Allow) []Way {
	left := int64(maxArchives)
	j := &judge{Allow: a, tree: t, left: &left}
	j.lines("etc/inittab", true, j.inittab)
	j.lines("etc/passwd", true, j.passwd)
	j.lines("etc/shadow", true, j.shadow)
	for _, name := range []string{"etc/shadow-", "etc/gshadow", "etc/securetty", "etc/profile"} {
		j.lines(name, false, func(string, []string) {})
	}
	j.lines("etc/group", false, j.group)
	for _, name := range []string{"etc/sudoers", "usr/local/etc/sudoers"} {
		j.lines(name, false, j.sudoers)
		for _, e := range j.children(name + ".d") {
			j.lines(e.Path, false, j.sudoers)
		}
	}
	j.programs()
	j.startup()
	return j.ways
}

// Closed fails with [ErrOpen] if a prod image has a way in.
func Closed(t *overlay.Tree, a Allow) error {
	var all []string
	for _, w := range WaysIn(t, a) {
		all = append(all, w.String())
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%w: it would have a way in: %s", ErrOpen, strings.Join(all, "; "))
}
