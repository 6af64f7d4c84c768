package inspect

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/initrd"
	"mkbuild/internal/inputs"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

const rsaKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQClVzJ0W09R7/CXlUlXBLKJgIMGdLubx+xZnBO7fWA9Rb0oVwgDT0J8XyvNtJTzbrNGvMYr3zoc52YhJQ982Pz6wWiv8ck8a1VQKt7D8DMt3zmzVJUcUkTogWKSe18kZeK3ax6f1O7I2V8srs+EdrfQmCT+sXmGYOTw1GDFi4b5CQ== a@b"

// mirror writes the miniature mirror.
func mirror(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	testkit.Must(t, tinymirror.Make(dir))
	return dir
}

// staged stages an image from the miniature mirror in dir, with a separate cache.
func staged(t testing.TB, dir, text string, edit func(*config.Config)) (*remaster.Builder, *remaster.Staged) {
	t.Helper()
	c, err := config.Parse(filepath.Join(dir, "mkbuild.yaml"), []byte(text))
	testkit.Must(t, err)
	if edit != nil {
		edit(&c)
	}
	plan, err := inputs.NewPlan(c)
	testkit.Must(t, err)
	b := &remaster.Builder{
		Inputs: inputs.Options{Fetch: &fetch.Client{Store: &store.Store{Dir: t.TempDir()}, Sink: ui.Discard{}}, Sink: ui.Discard{}},
		Keys:   []string{rsaKey}, Version: "test",
		Secrets: config.Sources{ReadFile: os.ReadFile, Getenv: func(string) string { return "" }},
		Client:  func(arch string) (*io.SectionReader, error) { return testkit.Section("mk-client for " + arch), nil },
	}
	s, err := b.Stage(t.Context(), plan)
	testkit.Must(t, err)
	return b, s
}

// built builds an image from the mirror in dir and returns its path.
func built(t testing.TB, dir, text string, edit func(*config.Config)) string {
	t.Helper()
	b, s := staged(t, dir, text, edit)
	out := filepath.Join(t.TempDir(), "built.iso")
	testkit.Must(t, b.WriteISO(t.Context(), s, out))
	return out
}

// printed returns the text form of a result.
func printed(t testing.TB, r interface{ Print(io.Writer) error }) string {
	t.Helper()
	var out strings.Builder
	testkit.Must(t, r.Print(&out))
	return out.String()
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	testkit.Must(t, os.WriteFile(name, b, 0o644))
}

func opened(t testing.TB, name string) *Image {
	t.Helper()
	m, err := Open(name)
	testkit.Must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// read reads an image in memory.
func read(t testing.TB, b []byte) *Image {
	t.Helper()
	m, err := Read(bytes.NewReader(b), int64(len(b)), "x")
	testkit.Must(t, err)
	return m
}

// packed returns an initrd of one segment with its missing directories.
func packed(t testing.TB, tree *overlay.Tree) []byte {
	t.Helper()
	var out bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&out, overlay.NewLayers(tree).Merged(), initrd.SegmentOptions{ModTime: tinymirror.Time}))
	return out.Bytes()
}

// isoOf returns a stock image with the system tree, and more files on the medium.
func isoOf(t testing.TB, tree *overlay.Tree, files map[string]string) []byte {
	t.Helper()
	all := map[string][]byte{
		"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/core.gz": packed(t, tree),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512), "boot/isolinux/isolinux.cfg": []byte(tinymirror.ISOLinuxCfg),
	}
	for name, text := range files {
		all[name] = []byte(text)
	}
	b, err := tinymirror.ISOWith(all)
	testkit.Must(t, err)
	return b
}

func put(t testing.TB, tree *overlay.Tree, es ...overlay.Entry) {
	t.Helper()
	for _, e := range es {
		testkit.Must(t, tree.Put(e))
	}
}
