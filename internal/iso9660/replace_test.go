package iso9660

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// replaced returns a copy of an image with other contents, or fails the test.
func replaced(t *testing.T, src []byte, contents map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	testkit.Must(t, Replace(&out, bytes.NewReader(src), int64(len(src)), contents))
	return out.Bytes()
}

// TestReplaceLeavesEverythingElse compares a copy with its image: the requested content differs, and everything
// else is in place, byte for byte.
func TestReplaceLeavesEverythingElse(t *testing.T) {
	src := writeBytes(t, everything())
	long := strings.Repeat("other ", 1000)
	got := replaced(t, src, map[string][]byte{"sub/implied/deep": []byte(long), "suid": []byte("x")})
	img, old := openBytes(t, got), openBytes(t, src)
	for _, f := range old.Files.Entries() {
		want := summary(t, f)
		switch f.Path {
		case "sub/implied/deep":
			want = strings.Replace(want, `19 "implied directories"`, `6000 "`+long+`"`, 1)
		case "suid":
			want = strings.Replace(want, `3 "abc"`, `1 "x"`, 1)
		}
		if got := summary(t, img.Files.Get(f.Path)); got != want {
			t.Errorf("\n got %.200s\nwant %.200s", got, want)
		}
	}
	changed := 0
	for i := range src {
		if src[i] != got[i] {
			changed++
		}
	}
	if changed == 0 || changed > 2*2*16 {
		t.Errorf("%d bytes of the image itself differ, want those of four directory records at most", changed)
	}
}

func TestReplaceRefuses(t *testing.T) {
	src := writeBytes(t, everything())
	for name, want := range map[string]string{"nowhere": "0 of 1", "empty": "0 of 1", "dev/null": "0 of 1"} {
		var out bytes.Buffer
		err := Replace(&out, bytes.NewReader(src), int64(len(src)), map[string][]byte{name: []byte("x")})
		if err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: %v, %d bytes written", name, err, out.Len())
		}
	}
	if err := Replace(&bytes.Buffer{}, strings.NewReader("no image"), 8, nil); err == nil {
		t.Error("no image was taken for one")
	}
}

// TestReplaceReadsAsBefore reads a replaced file with isoinfo through Rock Ridge, Joliet and plain names, in a disc
// of genisoimage.
func TestReplaceReadsAsBefore(t *testing.T) {
	src, err := os.ReadFile(mkisofs(t, "genisoimage", coreTree(t)))
	testkit.Must(t, err)
	copied := filepath.Join(t.TempDir(), "copy.iso")
	text := []byte("other content\n")
	testkit.Must(t, os.WriteFile(copied, replaced(t, src, map[string][]byte{"boot/isolinux/isolinux.cfg": text}), 0o600))
	for _, args := range [][]string{
		{"-R", "-x", "/boot/isolinux/isolinux.cfg"}, {"-J", "-x", "/boot/isolinux/isolinux.cfg"}, {"-x", "/BOOT/ISOLINUX/ISOLINUX.CFG;1"},
	} {
		if out := testkit.Run(t, "isoinfo", append([]string{"-i", copied}, args...)...); out != string(text) {
			t.Errorf("%q: %q", args, out)
		}
	}
}
