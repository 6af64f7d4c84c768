package remaster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/events"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/initrd"
	"mkbuild/internal/inputs"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

const rsaKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQClVzJ0W09R7/CXlUlXBLKJgIMGdLubx+xZnBO7fWA9Rb0oVwgDT0J8XyvNtJTzbrNGvMYr3zoc52YhJQ982Pz6wWiv8ck8a1VQKt7D8DMt3zmzVJUcUkTogWKSe18kZeK3ax6f1O7I2V8srs+EdrfQmCT+sXmGYOTw1GDFi4b5CQ== a@b"

// isoPath and tczDir are paths in the miniature mirror.
const (
	isoPath = "4.x/x86/archive/4.5.2/Core-4.5.2.iso"
	tczDir  = "4.x/x86/tcz"
)

// pristine is a mirror that no test changes, warm a cache that no test inspects: most tests need no separate ones,
// and each of their files costs a sync to disk.
var pristine, warm string // made by TestMain

func TestMain(m *testing.M) { os.Exit(tinymirror.Main(m, &pristine, &warm)) }

// plan is the plan of the mirror's own mkbuild.yaml, changed by edits.
func plan(t testing.TB, dir string, edits ...func(*config.Config)) *inputs.Plan {
	t.Helper()
	return planOf(t, filepath.Join(dir, "mkbuild.yaml"), tinymirror.Config, edits...)
}

func planOf(t testing.TB, name, text string, edits ...func(*config.Config)) *inputs.Plan {
	t.Helper()
	c, err := config.Parse(name, []byte(text))
	testkit.Must(t, err)
	for _, edit := range edits {
		edit(&c)
	}
	p, err := inputs.NewPlan(c)
	testkit.Must(t, err)
	return p
}

// profileOf sets the profile.
func profileOf(name string) func(*config.Config) {
	return func(c *config.Config) { c.Profile = name }
}

// builder returns a builder with a separate cache that gives up quickly.
func builder(t testing.TB, cache string) (*Builder, *events.Recorder) {
	t.Helper()
	rec := &events.Recorder{}
	kept := &store.Store{Dir: cache, Warn: func(kind, text string) { rec.Event(ui.Event{Level: ui.Warning, Item: kind, Text: text}) }}
	return &Builder{
		Inputs:  inputs.Options{Fetch: &fetch.Client{Store: kept, Sink: rec, HTTP: fetch.Options{Backoff: time.Millisecond, Attempts: 2, Idle: 2 * time.Second}}, Sink: rec},
		Keys:    []string{rsaKey},
		Secrets: config.Sources{ReadFile: os.ReadFile, Getenv: func(string) string { return "" }},
		Client:  func(arch string) (*io.SectionReader, error) { return testkit.Section("mk-client for " + arch), nil },
	}, rec
}

// staged stages a plan, which must succeed.
func staged(t testing.TB, p *inputs.Plan) (*Builder, *Staged, *events.Recorder) {
	t.Helper()
	b, rec := builder(t, warm)
	s, err := b.Stage(t.Context(), p)
	testkit.Must(t, err)
	return b, s, rec
}

// few reduces the extensions: each file costs a sync to disk.
func few(c *config.Config) { c.Extensions = []string{"ruby", "bash"} }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func ofClass(c fail.Class) func(error) bool {
	return func(err error) bool { return fail.ClassOf(err) == c }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// build makes the ISO of a plan, which must succeed, and returns its name.
func build(t testing.TB, b *Builder, p *inputs.Plan) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out.iso")
	testkit.Must(t, try(t, b, p, name))
	return name
}

// try stages and writes a plan that may fail, to name.
func try(t testing.TB, b *Builder, p *inputs.Plan, name string) error {
	t.Helper()
	s, err := b.Stage(t.Context(), p)
	if err != nil {
		return err
	}
	return b.WriteISO(t.Context(), s, name)
}

func publishTCZ(t testing.TB, dir, name string, files ...sqfs.File) {
	t.Helper()
	tinymirror.Publish(t, dir, tczDir+"/"+name+".tcz", sqfs.Image(files))
}

// isoFiles returns the files of the miniature's source image.
func isoFiles(t testing.TB) map[string][]byte {
	t.Helper()
	b, err := tinymirror.ISO()
	testkit.Must(t, err)
	img, err := iso9660.Open(bytes.NewReader(b), int64(len(b)))
	testkit.Must(t, err)
	out := map[string][]byte{}
	for _, f := range img.Files.Entries() {
		if f.IsRegular() && f.Path != img.CatalogPath {
			out[f.Path] = content(t, f)
		}
	}
	return out
}

// publishISO replaces the mirror's source image with one of the given files.
func publishISO(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	b, err := tinymirror.ISOWith(files)
	testkit.Must(t, err)
	tinymirror.Publish(t, dir, isoPath, b)
}

// openISO reads an image back.
func openISO(t testing.TB, name string) *iso9660.Image {
	t.Helper()
	b := testkit.Read(t, name)
	img, err := iso9660.Open(bytes.NewReader(b), int64(len(b)))
	testkit.Must(t, err)
	return img
}

func content(t testing.TB, f *overlay.Entry) []byte {
	t.Helper()
	b, err := f.Content(1 << 26)
	testkit.Must(t, err)
	return b
}

// initrdOf returns the initrd of an image and the kernel's tree of it.
func initrdOf(t testing.TB, img *iso9660.Image) ([]byte, *overlay.Tree) {
	t.Helper()
	b := content(t, img.Files.Get("boot/core.gz"))
	tree, err := initrd.Read(bytes.NewReader(b), "core.gz", 0)
	testkit.Must(t, err)
	return b, tree
}

// text returns the content of a file in a tree.
func text(t testing.TB, tree *overlay.Tree, name string) string {
	t.Helper()
	e := tree.Get(name)
	if e == nil {
		t.Fatalf("/%s is missing", name)
	}
	b, err := e.Content(1 << 20)
	testkit.Must(t, err)
	return string(b)
}

// describe returns a line for an entry: type, mode, owner, device number or link.
func describe(e *overlay.Entry) string {
	switch {
	case e == nil:
		return "missing"
	case e.IsLink():
		return "l -> " + e.Link
	}
	kinds := map[uint32]string{overlay.TypeDir: "d", overlay.TypeRegular: "f", overlay.TypeChar: "c", overlay.TypeBlock: "b"}
	s := fmt.Sprintf("%s %04o %d:%d", kinds[e.Mode&overlay.TypeMask], e.Perm(), e.UID, e.GID)
	if e.Major != 0 {
		s += fmt.Sprintf(" %d,%d", e.Major, e.Minor)
	}
	return s
}

// checkEmpty checks that a folder has no files, including hidden files.
func checkEmpty(t testing.TB, dir string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	testkit.Must(t, err)
	for _, e := range es {
		t.Errorf("left in %s: %s", dir, e.Name())
	}
}

// tgz returns an archive of small files with one time.
func tgz(t testing.TB, mtime int64, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, n := range names {
		h := &tar.Header{Name: n, Mode: 0o644, Uid: 501, Gid: 20, Size: 2, Typeflag: tar.TypeReg, ModTime: time.Unix(mtime, 0)}
		testkit.Must(t, w.WriteHeader(h))
		if _, err := w.Write([]byte("#\n")); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Must(t, errors.Join(w.Close(), z.Close()))
	return out.Bytes()
}
