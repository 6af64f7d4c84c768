package profile

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/extension"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// serverName matches the base names of servers that let somebody in, with the makers' suffixes ("sshd-session",
// "telnetd.netkit"). inetd, tcpsvd and udpsvd start any program.
var serverName = regexp.MustCompile(`^(in\.[a-z0-9]+d|[a-z]*telnetd|[a-z]*sshd|tinyssh|dropbear(multi)?|k?r(login|sh|exec)d|x?inetd|(tc|ud)psvd|ttyd|gotty|shellinaboxd|mosh-server|lshd|rexd|gdbserver|x11vnc|Xvnc|x0vncserver|xrdp)[0-9]*([-.].*)?$`)

// isServerName leaves out scripts and texts named after a server.
func isServerName(base string) bool {
	return serverName.MatchString(base) && !slices.Contains([]string{".sh", ".rb", ".py", ".pl", ".txt", ".conf", ".json", ".yaml", ".example"}, path.Ext(base))
}

// masked is the target of a link that masks a program: it cannot be run.
const masked = "/dev/null"

// maskServers masks the servers of the base's busybox in prod images.
func maskServers(e *edit) error {
	box := func(f *overlay.Entry) bool {
		return slices.Contains([]string{"bin/busybox", "bin/busybox.suid"}, f.Path)
	}
	for _, f := range e.tree.Entries() {
		if e.Profile != "prod" || strings.HasPrefix(f.Path, "usr/local/") || !isServerName(path.Base(f.Path)) {
			continue
		}
		at, err := e.tree.Lookup(f.Path)
		if err == nil && (box(at) || at.HardLink != "" && slices.ContainsFunc(e.tree.Entries(), func(x *overlay.Entry) bool { return box(x) && x.HardLink == at.HardLink })) {
			if err := e.out.Put(overlay.Symlink(f.Path, masked)); err != nil {
				return err
			}
		}
	}
	return nil
}

// HasServer reports whether an image has an ssh server or another server.
func HasServer(t *overlay.Tree) bool { return slices.ContainsFunc(t.Entries(), isServer) }

// isServer judges a program by its name, if it is executable or lies in a folder of programs.
func isServer(e *overlay.Entry) bool {
	if e.IsDir() || e.Link == masked {
		return false
	}
	program := e.IsRegular() && e.Perm()&0o111 != 0
	for part := range strings.SplitSeq(path.Dir(e.Path), "/") {
		if slices.Contains([]string{"share", "doc", "init.d", "tce.installed"}, part) {
			return false
		}
		program = program || strings.HasSuffix(part, "bin") || part == "libexec"
	}
	return program && isServerName(path.Base(e.Path))
}

// maxArchives bounds the bytes opened of nested archives in an image. Each archive counts at least minArchive, so
// that one that holds itself, or thousands, comes to an end.
const maxArchives, minArchive = 1 << 30, 1 << 20

// programs finds servers by name, in the tree and in the archives that Tiny Core and mk-client unpack.
func (j *judge) programs() {
	builtin, _ := j.tree.Resolve("tmp/builtin")      // a circle of links is not a folder
	client, _ := j.tree.Resolve("usr/lib/mk-client") // mk-client's path
	for _, e := range j.tree.Entries() {
		if slices.Contains(j.Services, "/"+e.Path) {
			continue
		}
		inside, what := (*overlay.Tree)(nil), ""
		var err error
		switch dir := path.Dir(e.Path); {
		case isServer(e):
			what = "by its name it is a server that lets people in"
		case e.IsDir():
		case path.Base(e.Path) == "mydata.tgz", dir == builtin && strings.HasSuffix(e.Path, "gz"):
			what = "Tiny Core unpacks it over everything while booting, and mkbuild does not judge it"
		case strings.HasSuffix(e.Path, ".tcz") && e.IsLink():
			continue // its target is another extension, which is judged, or missing
		case strings.HasSuffix(e.Path, ".tcz"):
			inside, err = j.openTCZ(e)
		case dir == client && strings.HasSuffix(e.Path, ".zip"):
			inside, err = j.openZip(e)
		}
		if err != nil {
			what = "it cannot be opened to be judged: " + err.Error()
		}
		if what == "" && inside != nil {
			what = j.inside(inside)
		}
		if what != "" {
			j.ways = append(j.ways, Way{e.Path, what + ": leave it out, or name /" + e.Path + " in `services: {allow: [...]}`", true, e.Origin})
		}
	}
}

// inside names the first way in inside an archive.
func (j *judge) inside(t *overlay.Tree) string {
	in := &judge{Allow: j.Allow, tree: t, left: j.left}
	in.programs()
	in.startup()
	if len(in.ways) == 0 {
		return ""
	}
	return "in it, /" + in.ways[0].Path + " would let people in"
}

// content reads an archive within the rest of the bound.
func (j *judge) content(e *overlay.Entry) ([]byte, error) {
	if *j.left -= max(e.Size, minArchive); *j.left < 0 {
		return nil, fmt.Errorf("the archives of the image hold more than %d bytes", maxArchives)
	}
	return e.Content(e.Size)
}

func (j *judge) openTCZ(e *overlay.Entry) (*overlay.Tree, error) {
	b, err := j.content(e)
	if err != nil {
		return nil, err
	}
	t, _, err := tcz.ReadTree(bytes.NewReader(b), int64(len(b)), path.Base(e.Path))
	return t, err
}

// openZip lists a runtime extension. It does not read contents: lint does.
func (j *judge) openZip(e *overlay.Entry) (*overlay.Tree, error) {
	b, err := j.content(e)
	if err != nil {
		return nil, err
	}
	s, err := extension.ReadZip(path.Base(e.Path), bytes.NewReader(b), int64(len(b)), extension.DefaultLimits())
	if err != nil {
		return nil, err
	}
	t := &overlay.Tree{}
	for _, f := range s.Files {
		if f.IsDir() || f.Refused != "" {
			continue // mk-client refuses such a zip
		}
		entry := overlay.File(f.Path, uint32(f.Mode.Perm()), nil)
		if f.IsLink() {
			entry = overlay.Symlink(f.Path, f.Link)
		}
		if err := t.Put(entry); err != nil {
			return nil, err
		}
	}
	return t, nil
}
