package inspect

import (
	"bytes"
	"io"
	"path"
	"strings"

	"mkbuild/internal/needed"
	"mkbuild/internal/overlay"
)

// checkTree looks at the files of the booted system.
func checkTree(j *judge) error {
	if j.Tree == nil {
		return nil
	}
	for _, e := range j.Tree.Entries() {
		if e.IsLink() {
			j.checkLink(e)
		}
		if err := j.checkExecutable(e); err != nil {
			return err
		}
	}
	for _, lib := range needed.Missing(j.Tree) {
		j.add(ruleMissingLibrary, lib.By[0], "it needs %s", lib.String())
	}
	j.checkDirectories()
	return nil
}

// runtimeDirs are filled only while a machine runs.
func runtimeDirs() []string {
	return []string{"proc", "sys", "dev", "run", "var/run", "mnt", "var/lock"}
}

// checkLink follows a symlink to its end.
func (j *judge) checkLink(e *overlay.Entry) {
	at, err := j.Tree.Resolve(e.Path)
	switch {
	case err != nil:
		j.add(ruleDanglingLink, e.Path, "it leads to %s, and on in a circle", e.Link)
		return
	case j.Tree.Get(at) != nil || at == "." || madeLater(e.Path, at):
		return
	case strings.HasPrefix(at, "tmp/"):
		j.add(ruleMountLink, e.Path, "it leads to %s, where nothing is", e.Link)
		return
	}
	j.add(ruleDanglingLink, e.Path, "it leads to %s", e.Link)
}

// madeLater tells what a booting Tiny Core makes itself: the directories above, the link to modules
// of extensions that are loaded later, and the links to the folders of extensions.
func madeLater(link, at string) bool {
	for _, dir := range runtimeDirs() {
		if at == dir || strings.HasPrefix(at, dir+"/") || strings.HasPrefix(link, dir+"/") {
			return true
		}
	}
	return path.Base(link) == "kernel.tclocal" || link == "etc/sysconfig/tcedir" || at == "etc/mtab" || at == "tmp/tce" || strings.HasPrefix(at, "tmp/tce/")
}

// binDirs are where a shell or init looks for programs.
func binDirs() []string {
	return []string{"bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"}
}

// checkExecutable looks at what is meant to be run: /init, Tiny Core's boot scripts, and programs
// where programs are looked for.
func (j *judge) checkExecutable(e *overlay.Entry) error {
	if !e.IsRegular() || e.Perm()&0o111 != 0 {
		return nil
	}
	switch e.Path {
	case "init", "sbin/init", "etc/init.d/rcS", "opt/bootsync.sh", "opt/bootlocal.sh":
		j.add(ruleNotExecutable, e.Path, "its mode is %04o, and the boot runs it", e.Perm())
		return nil
	}
	found := false
	for _, dir := range binDirs() {
		found = found || path.Dir(e.Path) == dir
	}
	if !found {
		return nil
	}
	head, err := headOf(e, 4)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte("#!")) || bytes.HasPrefix(head, []byte("\x7fELF")) {
		j.add(ruleNotExecutable, e.Path, "its mode is %04o", e.Perm())
	}
	return nil
}

// headOf reads the first bytes of a file.
func headOf(e *overlay.Entry, n int64) ([]byte, error) {
	if e.Open == nil {
		return nil, nil
	}
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(r, n))
}

// checkDirectories holds the directories that archives often take over against Tiny Core's own.
func (j *judge) checkDirectories() {
	for _, want := range []struct {
		path     string
		perm     uint32
		uid, gid uint32
	}{{".", 0o755, 0, 0}, {"tmp", 0o1777, 0, 0}, {"opt", 0o2775, 0, 50}, {"usr/local/tce.installed", 0o775, 0, 50}} {
		e := j.Tree.Get(want.path)
		if e == nil || !e.IsDir() || want.gid == 50 && !j.isTinyCore() {
			continue
		}
		if e.Perm() != want.perm || e.UID != want.uid || e.GID != want.gid {
			j.add(ruleDirectoryMode, e.Path, "it is %04o %d:%d, Tiny Core has %04o %d:%d", e.Perm(), e.UID, e.GID, want.perm, want.uid, want.gid)
		}
	}
}

// isTinyCore tells a system that has the user tc from others.
func (j *judge) isTinyCore() bool {
	for _, l := range j.lines("etc/passwd") {
		if strings.HasPrefix(l, "tc:") {
			return true
		}
	}
	return false
}
