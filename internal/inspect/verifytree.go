package inspect

import (
	"bytes"
	"cmp"
	"context"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/needed"
	"mkbuild/internal/overlay"
)

func checkTree(ctx context.Context, m *Image, f findings) error {
	t := m.Tree
	for _, e := range t.Entries() {
		if e.IsLink() {
			checkLink(t, e, f)
		}
		if err := cmp.Or(checkExecutable(m, e, f), ctx.Err()); err != nil {
			return err
		}
	}
	checkDirectories(m, f)
	return nil
}

// checkLibraries looks for missing libraries of programs.
func checkLibraries(_ context.Context, m *Image, f findings) error {
	for _, lib := range needed.Missing(m.Tree) {
		f.add(ruleMissingLibrary, lib.By[0], "it needs %s", lib.String())
	}
	return nil
}

// checkLink follows a symlink to its end.
func checkLink(t *overlay.Tree, e *overlay.Entry, f findings) {
	at, err := t.Resolve(e.Path)
	switch {
	case err != nil:
		f.add(ruleDanglingLink, e.Path, "it leads to %s, in a circle", e.Link)
		return
	case t.Get(at) != nil || at == "." || madeAtBoot(e.Path, at):
		return
	case strings.HasPrefix(at, "tmp/"):
		f.add(ruleMountLink, e.Path, "it leads to %s, which does not exist", e.Link)
		return
	}
	f.add(ruleDanglingLink, e.Path, "it leads to %s", e.Link)
}

// madeAtBoot reports whether a booting Tiny Core makes a link's target: a file in a directory that is filled at
// run time, a module or a folder of extensions.
func madeAtBoot(link, at string) bool {
	for _, dir := range []string{"proc", "sys", "dev", "run", "var/run", "mnt", "var/lock"} {
		if at == dir || strings.HasPrefix(at, dir+"/") || strings.HasPrefix(link, dir+"/") {
			return true
		}
	}
	return path.Base(link) == "kernel.tclocal" || link == "etc/sysconfig/tcedir" || at == "etc/mtab" || at == "tmp/tce" || strings.HasPrefix(at, "tmp/tce/")
}

// programDirs are the directories of programs for a shell or init. Tiny Core's PATH begins with /usr/local.
func programDirs() []string {
	return []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}
}

// checkExecutable checks the modes of /init, Tiny Core's boot scripts, and programs in PATH. For other files of
// other makers it only warns.
func checkExecutable(m *Image, e *overlay.Entry, f findings) error {
	if !e.IsRegular() || e.Perm()&0o111 != 0 {
		return nil
	}
	switch e.Path {
	case "init", "sbin/init", "etc/init.d/rcS", "opt/bootsync.sh", "opt/bootlocal.sh":
		f.add(ruleNotExecutable, e.Path, "its mode is %04o, and the boot runs it", e.Perm())
		return nil
	}
	if !slices.Contains(programDirs(), path.Dir(e.Path)) {
		return nil
	}
	head, err := e.Content(e.Size)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte("#!")) || bytes.HasPrefix(head, []byte("\x7fELF")) {
		add := f.add
		if m.Manifest == nil {
			add = f.warn
		}
		add(ruleNotExecutable, e.Path, "its mode is %04o", e.Perm())
	}
	return nil
}

// checkDirectories compares directories that archives often change with the base's own. Without a known base, the
// boot must work, and only root may write to the root directory. The root of mkbuild's images is 0755 root:root,
// whatever the base has.
func checkDirectories(m *Image, f findings) {
	base := m.Base
	if base == nil {
		base = &overlay.Tree{}
	}
	for _, name := range []string{".", "tmp", "opt", "usr/local/tce.installed"} {
		e, want := m.Tree.Get(name), base.Get(name)
		switch {
		case e == nil || !e.IsDir():
		case want != nil && sameOwner(e, want), name == "." && e.Perm() == 0o755 && e.UID == 0 && e.GID == 0:
		case want != nil:
			f.add(ruleDirectoryMode, name, "it is %04o %d:%d, the base has %04o %d:%d", e.Perm(), e.UID, e.GID, want.Perm(), want.UID, want.GID)
		case name == "." && e.Perm()&0o002 != 0, name == "tmp" && e.Perm() != 0o1777:
			f.add(ruleDirectoryMode, name, "its mode is %04o", e.Perm())
		}
	}
}

func sameOwner(a, b *overlay.Entry) bool { return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID }
