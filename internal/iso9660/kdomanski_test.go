package iso9660

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	kdomanski "github.com/kdomanski/iso9660"

	"mkbuild/e2e/testkit"
)

// kdomanski/iso9660 is an independent check for small trees. These tests document why it is not used: when one of
// its defects is fixed, the test of that name fails.
const fixed = "kdomanski/iso9660 is fixed: %s. Reconsider it, and change docs/design.md §6 and docs/dependencies.md"

// kdTree lists all files of an image with that package.
func kdTree(t *testing.T, b []byte) map[string]*kdomanski.File {
	t.Helper()
	img, err := kdomanski.OpenImage(bytes.NewReader(b))
	testkit.Must(t, err)
	root, err := img.RootDir()
	testkit.Must(t, err)
	tree := make(map[string]*kdomanski.File)
	var walk func(dir string, f *kdomanski.File)
	walk = func(dir string, f *kdomanski.File) {
		kids, err := f.GetChildren()
		testkit.Must(t, err)
		for _, k := range kids {
			tree[dir+k.Name()] = k
			if k.IsDir() {
				walk(dir+k.Name()+"/", k)
			}
		}
	}
	walk("", root)
	return tree
}

func TestKdomanskiAgreesOnSmallTrees(t *testing.T) {
	img := bootableImage()
	img.Files.Remove("long") // it ignores the end of a long symlink
	img.Files.Put(regular("sub/scsi-3.0.21-tinycore.tcz.md5.txt", "name"))
	b := writeBytes(t, img)
	tree := kdTree(t, b)
	var got, want []string
	for p, f := range tree {
		got = append(got, fmt.Sprintf("%s %v", p, f.IsDir()))
	}
	back := openBytes(t, b)
	for _, f := range back.Files.Entries() {
		if f.Path == "." {
			continue
		}
		want = append(want, fmt.Sprintf("%s %v", f.Path, f.IsDir()))
		if kd := tree[f.Path]; kd != nil && f.IsRegular() {
			data, err := io.ReadAll(kd.Reader())
			if err != nil || string(data) != contents(t, f) || uint32(kd.Mode().Perm()) != f.Mode&0o777 {
				t.Errorf("%s: mode %v, %d bytes, %v", f.Path, kd.Mode(), len(data), err)
			}
		}
	}
	sort.Strings(got)
	sort.Strings(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it lists\n%s\nwe list\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestKdomanskiReadsWrongNames: in a directory of more than one sector its Rock Ridge data alias a reused buffer,
// so most names of cde/optional are wrong.
func TestKdomanskiReadsWrongNames(t *testing.T) {
	img := &Image{}
	for i := range 200 {
		img.Files.Put(regular(fmt.Sprintf("cde/optional/package-%03d-5.15.10-tinycore.tcz", i), "x"))
	}
	b := writeBytes(t, img)
	if _, err := Open(bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
	tree := kdTree(t, b)
	right := 0
	for _, f := range img.Files.Entries() {
		if tree[f.Path] != nil {
			right++
		}
	}
	if right == img.Files.Len() {
		t.Errorf(fixed, "it reads all names of a directory of more than one sector")
	}
	t.Logf("%d of %d names are right", right, img.Files.Len())
}

// TestKdomanskiWritesNoBootMedium: no El Torito, no Rock Ridge, names folded to lower case and
// cut.
func TestKdomanskiWritesNoBootMedium(t *testing.T) {
	w, err := kdomanski.NewWriter()
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, w.Cleanup()) })
	const name = "scsi-3.0.21-tinycore-long.tcz.md5.txt"
	testkit.Must(t, w.AddFile(strings.NewReader("x"), name))
	var b bytes.Buffer
	testkit.Must(t, w.WriteTo(&b, "VOLUME"))
	img := openBytes(t, b.Bytes())
	if img.Boot != nil || strings.Contains(b.String(), elTorito) {
		t.Errorf(fixed, "it writes El Torito")
	}
	if img.RockRidge {
		t.Errorf(fixed, "it writes Rock Ridge")
	}
	if img.Files.Get(name) != nil {
		t.Errorf(fixed, "it keeps long names")
	}
}
