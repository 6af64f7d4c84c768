package rubygems

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// gemFile is one member of a test gem.
type gemFile struct {
	name, content, link string
	mode                int64
	kind                byte
}

// member is one part of the outer archive.
type member struct {
	name    string
	content []byte
}

func tarOf(t testing.TB, files []gemFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if f.mode == 0 {
			f.mode = 0o644
		}
		if f.kind == 0 {
			f.kind = tar.TypeReg
		}
		h := &tar.Header{Name: f.name, Mode: f.mode, Typeflag: f.kind, Size: int64(len(f.content)), Linkname: f.link,
			Uid: 1000, Gid: 1000, ModTime: time.Unix(1386115200, 0)}
		testkit.Must(t, w.WriteHeader(h))
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Must(t, w.Close())
	return b.Bytes()
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	testkit.Must(t, w.Close())
	return out.Bytes()
}

func outer(t testing.TB, members ...member) []byte {
	t.Helper()
	var files []gemFile
	for _, m := range members {
		files = append(files, gemFile{name: m.name, content: string(m.content), mode: 0o444})
	}
	return tarOf(t, files)
}

// gemBytes makes a .gem file with checksums.
func gemBytes(t testing.TB, metadata string, files []gemFile) []byte {
	t.Helper()
	meta, data := gz(t, []byte(metadata)), gz(t, tarOf(t, files))
	sums := fmt.Sprintf("---\nSHA256:\n  metadata.gz: %x\n  data.tar.gz: %x\n", sha256.Sum256(meta), sha256.Sum256(data))
	return outer(t, member{"metadata.gz", meta}, member{"data.tar.gz", data}, member{"checksums.yaml.gz", gz(t, []byte(sums))})
}

// meta is the minimum metadata of a gem, plus extra lines.
func meta(name, version string, extra ...string) string {
	return "--- !ruby/object:Gem::Specification\nname: " + name + "\nversion: !ruby/object:Gem::Version\n  version: '" +
		version + "'\nplatform: ruby\nauthors:\n- A. Thor\ndate: 2013-12-04 00:00:00.000000000 Z\nsummary: S\n" +
		"require_paths:\n- lib\nspecification_version: 3\n" + strings.Join(extra, "\n") + "\n"
}

// dep is a runtime dependency in metadata.
func dep(name, op, version string) string {
	return "dependencies:\n- !ruby/object:Gem::Dependency\n  name: " + name +
		"\n  requirement: !ruby/object:Gem::Requirement\n    requirements:\n    - - \"" + op +
		"\"\n      - !ruby/object:Gem::Version\n        version: \"" + version + "\"\n  type: :runtime\n  prerelease: false\n"
}

func mustGem(t testing.TB, metadata string, files ...gemFile) *Gem {
	t.Helper()
	g, err := ReadGem(bytes.NewReader(gemBytes(t, metadata, files)), "test.gem")
	testkit.Must(t, err)
	return g
}

// write writes a tree to disk for a real Ruby. Only tests do that.
func write(t testing.TB, tree *overlay.Tree, dir string) {
	t.Helper()
	for _, e := range tree.Entries() {
		p := filepath.Join(dir, filepath.FromSlash(e.Path))
		testkit.Must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		var err error
		switch {
		case e.IsDir():
			err = os.MkdirAll(p, 0o755)
		case e.IsLink():
			err = os.Symlink(e.Link, p)
		default:
			var b []byte
			if b, err = e.Content(1 << 20); err == nil {
				err = os.WriteFile(p, b, os.FileMode(e.Perm()))
			}
		}
		testkit.Must(t, err)
	}
}

// listing returns the content of a tree as "0644 path" lines, for comparing.
func listing(tree *overlay.Tree) string {
	var b strings.Builder
	for _, e := range tree.Entries() {
		kind := "f"
		switch {
		case e.IsDir():
			kind = "d"
		case e.IsLink():
			kind = "l"
		}
		fmt.Fprintf(&b, "%s %04o %d:%d %s\n", kind, e.Perm(), e.UID, e.GID, e.Path)
	}
	return b.String()
}

// ruby18 is the Ruby of Tiny Core 4.x.
func ruby18() *Ruby {
	return &Ruby{
		Bin: "/usr/local/bin/ruby", Version: "1.8", Release: "1.8.7", RubyLibPrefix: "/usr/local/lib/ruby",
		SiteLib: "/usr/local/lib/ruby/site_ruby/1.8", GemDir: "/usr/local/lib/ruby/gems/1.8", RubyGems: "1.8.15",
	}
}
