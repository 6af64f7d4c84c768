package overlay

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// hostTree writes files with their modes below a new folder.
func hostTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []struct {
		name string
		mode fs.FileMode
	}{
		{"etc/motd", 0o644}, {"etc/secret", 0o600}, {"bin/tool", 0o755 | fs.ModeSetuid}, {"bin/locked", 0o500}, {"empty", 0o640},
	} {
		p := filepath.Join(dir, f.name)
		testkit.Must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		testkit.Must(t, os.WriteFile(p, []byte("content of "+f.name), 0o644))
		testkit.Must(t, os.Chmod(p, f.mode))
	}
	for name, mode := range map[string]fs.FileMode{"drop": 0o777 | fs.ModeSticky, "shared": 0o775 | fs.ModeSetgid} {
		p := filepath.Join(dir, name)
		testkit.Must(t, errors.Join(os.Mkdir(p, 0o755), os.Chmod(p, mode)))
	}
	for name, target := range map[string]string{"bin/alias": "tool", "bin/dangling": "/no/such/file", "bin/dir": "../etc"} {
		testkit.Must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	return dir
}

func hostListing(t *Tree) string {
	var b strings.Builder
	for _, e := range t.Entries() {
		fmt.Fprintf(&b, "%06o %d:%d %s", e.Mode, e.UID, e.GID, e.Path)
		if e.IsLink() {
			b.WriteString(" -> " + e.Link)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestFromHostFolder(t *testing.T) {
	t.Parallel()
	dir := hostTree(t)
	tree, err := FromHost(dir, "/usr/local", 7, 8)
	testkit.Must(t, err)
	want := `040755 7:8 usr/local/bin
120777 7:8 usr/local/bin/alias -> tool
120777 7:8 usr/local/bin/dangling -> /no/such/file
120777 7:8 usr/local/bin/dir -> ../etc
100500 7:8 usr/local/bin/locked
104755 7:8 usr/local/bin/tool
041777 7:8 usr/local/drop
100640 7:8 usr/local/empty
040755 7:8 usr/local/etc
100644 7:8 usr/local/etc/motd
100600 7:8 usr/local/etc/secret
042775 7:8 usr/local/shared
`
	if got := hostListing(tree); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, e := range tree.Entries() {
		if e.MTime != 0 {
			t.Errorf("%s keeps a time of this machine", e.Path)
		}
		if e.Origin == "" {
			t.Errorf("%s does not say where it came from", e.Path)
		}
	}
	b, err := tree.Get("usr/local/bin/tool").Content(100)
	if err != nil || string(b) != "content of bin/tool" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestFromHostTargets tests the resulting paths of a file and of a folder's content.
func TestFromHostTargets(t *testing.T) {
	t.Parallel()
	dir := hostTree(t)
	for _, tc := range []struct{ source, target, want string }{
		{"etc", "/", "motd secret"},
		{"etc", "/opt/x", "opt/x/motd opt/x/secret"},
		{"etc", "/opt/x/", "opt/x/motd opt/x/secret"},
		{"etc/motd", "/etc/issue", "etc/issue"},
		{"etc/motd", "/etc/", "etc/motd"},
		{"etc/motd", "/", "motd"},
		{"bin/alias", "/tool", "tool"}, // a link that is named itself means its file
		{"bin/dir", "/x", "x/motd x/secret"},
	} {
		tree, err := FromHost(filepath.Join(dir, tc.source), tc.target, 0, 0)
		if err != nil {
			t.Errorf("%s at %s: %v", tc.source, tc.target, err)
			continue
		}
		var got []string
		for _, e := range tree.Entries() {
			got = append(got, e.Path)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s at %s: %q, want %q", tc.source, tc.target, got, tc.want)
		}
	}
}

func TestFromHostErrors(t *testing.T) {
	t.Parallel()
	dir := hostTree(t)
	if _, err := FromHost(filepath.Join(dir, "nowhere"), "/", 0, 0); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a source that is not there: %v", err)
	}
	if _, err := FromHost(dir, "/a/../../b", 0, 0); !errors.Is(err, ErrPath) {
		t.Errorf("a target that leads out: %v", err)
	}
	sock := filepath.Join(dir, "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Skipf("no sockets here: %v", err)
	}
	defer l.Close()
	for _, source := range []string{dir, sock} {
		if _, err := FromHost(source, "/", 0, 0); err == nil || !strings.Contains(err.Error(), sock) || !strings.Contains(err.Error(), "neither a file") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// TestFromHostFileThatChanges: contents are read when the image is written. A file that has become shorter or
// longer is an error, not a broken archive.
func TestFromHostFileThatChanges(t *testing.T) {
	t.Parallel()
	dir := hostTree(t)
	tree, err := FromHost(dir, "/", 0, 0)
	testkit.Must(t, err)
	for name, now := range map[string]string{"etc/motd": "short", "bin/tool": strings.Repeat("long", 100)} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(now), 0o600))
		if _, err := tree.Get(name).Content(1 << 20); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	testkit.Must(t, os.Remove(filepath.Join(dir, "etc/secret")))
	if _, err := tree.Get("etc/secret").Content(1 << 20); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}
