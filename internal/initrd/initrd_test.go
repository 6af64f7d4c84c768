package initrd

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/cpio"
	"mkbuild/internal/overlay"
)

// describe renders a tree, one entry a line.
func describe(t testing.TB, tree *overlay.Tree) string {
	t.Helper()
	var sb strings.Builder
	groups := map[string]int{}
	for _, e := range tree.Entries() {
		fmt.Fprintf(&sb, "%s %o %d:%d", e.Path, e.Mode, e.UID, e.GID)
		switch {
		case e.IsRegular():
			b, err := e.Content(64 << 20)
			testkit.Must(t, err)
			fmt.Fprintf(&sb, " %.20q %d", b, len(b))
		case e.IsLink():
			fmt.Fprintf(&sb, " -> %s", e.Link)
		case e.Major+e.Minor > 0:
			fmt.Fprintf(&sb, " dev %d,%d", e.Major, e.Minor)
		}
		if e.HardLink != "" {
			if groups[e.HardLink] == 0 {
				groups[e.HardLink] = len(groups) + 1
			}
			fmt.Fprintf(&sb, " group %d", groups[e.HardLink])
		}
		sb.WriteByte('\n')
	}
	return sb.String()
}

// member is a cpio entry with its content.
type member struct {
	cpio.Header
	data string
}

func dir(name string, mode uint32) member {
	return member{cpio.Header{Name: name, Mode: overlay.TypeDir | mode}, ""}
}

func file(name string, mode uint32, data string) member {
	return member{cpio.Header{Name: name, Mode: overlay.TypeRegular | mode}, data}
}

func symlink(name, target string) member {
	return member{cpio.Header{Name: name, Mode: overlay.TypeLink | 0o777}, target}
}

func device(name string, major, minor uint32) member {
	return member{cpio.Header{Name: name, Mode: overlay.TypeChar | 0o600, RMajor: major, RMinor: minor}, ""}
}

// linked makes m one of n names of an inode.
func linked(ino, n uint32, m member) member {
	m.Ino, m.NLink = ino, n
	return m
}

// archive packs members into a newc archive.
func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := cpio.NewWriter(&buf)
	for _, m := range members {
		m.Size = int64(len(m.data))
		testkit.Must(t, w.WriteHeader(&m.Header))
		_, err := io.WriteString(w, m.data)
		testkit.Must(t, err)
	}
	testkit.Must(t, w.Close())
	return buf.Bytes()
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, err := z.Write(b)
	testkit.Must(t, err)
	testkit.Must(t, z.Close())
	return buf.Bytes()
}

func zst(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	testkit.Must(t, err)
	return z.EncodeAll(b, nil)
}

func lz4legacy(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := lz4.NewWriter(&buf)
	testkit.Must(t, z.Apply(lz4.LegacyOption(true)))
	_, err := z.Write(b)
	testkit.Must(t, err)
	testkit.Must(t, z.Close())
	return buf.Bytes()
}

// filter pipes b through a program.
func filter(t testing.TB, b []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, name), args...)
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return out
}

// mixed returns moderately compressible bytes, with repeats and noise.
func mixed(n int) string {
	rnd := rand.New(rand.NewSource(int64(n)))
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte(rnd.Intn(40)); i > 1000 && i%5000 < 2500 {
			b[i] = b[i-1000]
		}
	}
	return string(b)
}
