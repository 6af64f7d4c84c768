package extension

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/e2e/testkit/signkit"
	"mkbuild/internal/signing"
)

// sealed is a signed archive that contains a stored archive, like an archive in a fact.
func sealed(t testing.TB, s *signing.Signer, sequence int64) []byte {
	t.Helper()
	inner := ext.Zip(t, ext.Item("x", "", ext.File|0o644))
	b, err := Sign(t.Context(), ext.Zip(t, ext.Item("facts.d/a.txt", "a=1\n", ext.File|0o644), ext.Item("share/inner.zip", string(inner), ext.File|0o644)), s, "site", sequence)
	testkit.Must(t, err)
	return b
}

func verify(b []byte, keys ...*signing.Signer) (Seal, int64, error) {
	var k signing.Keys
	for _, s := range keys {
		k = append(k, s.Public)
	}
	return Verify(bytes.NewReader(b), int64(len(b)), k)
}

// TestSealIsReadByOthers reads a signed archive with common tools, and verifies it with minisign.
func TestSealIsReadByOthers(t *testing.T) {
	s, _, public := signkit.Key(t)
	b := sealed(t, s, 7)
	seal, bare, err := verify(b, s)
	if err != nil || seal.Name != "site" || seal.Sequence != 7 {
		t.Fatalf("%+v, %v", seal, err)
	}
	name := filepath.Join(t.TempDir(), "x.zip")
	testkit.Put(t, name, b)
	testkit.Contains(t, testkit.Run(t, "unzip", "-p", name, "facts.d/a.txt"), "a=1")
	testkit.Contains(t, testkit.Run(t, "busybox", "unzip", "-p", name, "facts.d/a.txt"), "a=1")
	testkit.Contains(t, testkit.Run(t, "bsdtar", "-xOf", name, "facts.d/a.txt"), "a=1")
	testkit.Put(t, name, append(bytes.Clone(b[:bare-2]), 0, 0))
	testkit.Put(t, name+".minisig", b[bare:])
	testkit.Contains(t, testkit.Run(t, "minisign", "-V", "-p", public, "-m", name), "mk-extension name:site sequence:7")
}

// TestSealByMinisignAlone signs without mkbuild: with minisign, and a comment written by Info-ZIP's zip.
func TestSealByMinisignAlone(t *testing.T) {
	s, secret, _ := signkit.Key(t)
	dir := t.TempDir()
	testkit.Put(t, filepath.Join(dir, "a.txt"), []byte("a=1\n"))
	for _, tool := range []string{"minisign", "zip"} {
		testkit.Tool(t, tool)
	}
	c := exec.CommandContext(t.Context(), "sh", "-ec", `zip -qX x.zip a.txt
minisign -S -s `+secret+` -m x.zip -t 'mk-extension name:site sequence:1700000000'
zip -qz x.zip <x.zip.minisig`)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if seal, _, err := verify(testkit.Read(t, filepath.Join(dir, "x.zip")), s); err != nil || seal.Sequence != 1700000000 {
		t.Errorf("%+v, %v", seal, err)
	}
}

// TestEveryFlippedBitIsRefused flips a bit of every byte of a signed archive, and cuts it at every length. Only the
// untrusted comment is not signed: it may have any content.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	s, _, _ := signkit.Key(t)
	b := sealed(t, s, 7)
	_, bare, err := verify(b, s)
	testkit.Must(t, err)
	from := int(bare) + len("untrusted comment: ")
	to := int(bare) + bytes.IndexByte(b[bare:], '\n')
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if _, _, err := verify(c, s); err == nil && (i < from || i >= to) {
			t.Errorf("a flipped bit in byte %d of %d passes", i, len(b))
		}
		if _, _, err := verify(b[:i], s); err == nil {
			t.Errorf("cut at %d of %d, it passes", i, len(b))
		}
	}
}

func TestSealRefusals(t *testing.T) {
	s, _, _ := signkit.Key(t)
	other, _, _ := signkit.Key(t)
	good := sealed(t, s, 7)
	_, bare, err := verify(good, s)
	testkit.Must(t, err)
	plain := append(bytes.Clone(good[:bare-2]), 0, 0)
	sig := func(comment string) []byte {
		text, err := s.Minisign(t.Context(), bytes.NewReader(plain), comment)
		testkit.Must(t, err)
		return text
	}
	with := func(comment []byte) []byte {
		return append(append(bytes.Clone(plain[:len(plain)-2]), byte(len(comment)), byte(len(comment)>>8)), comment...)
	}
	zip64 := append(append(bytes.Clone(plain[:len(plain)-endSize]), append([]byte(end64Locator), make([]byte, 16)...)...), plain[len(plain)-endSize:]...)
	inComment := bytes.Replace(sig("mk-extension name:site sequence:9"), []byte("signature by"), append([]byte(endRecord), make([]byte, 18)...), 1)
	for name, tt := range map[string]struct {
		b    []byte
		want string
	}{
		"unsigned":                  {plain, "it is not signed"},
		"another key":               {sealed(t, other, 7), "signed by key "},
		"appended":                  {append(bytes.Clone(good), 'x'), "extra bytes at its end"},
		"an archive behind it":      {append(bytes.Clone(good), plain...), "its bytes were changed"},
		"an archive before it":      {append(bytes.Clone(plain), good...), "its bytes were changed"},
		"empty":                     {nil, "not a zip archive"},
		"zip64":                     {zip64, "zip64"},
		"another comment":           {with([]byte("hello")), "not a minisign signature"},
		"a long comment":            {with(bytes.Repeat([]byte("untrusted comment: x\n"), 200)), "a comment of"},
		"the longest comment":       {with(bytes.Repeat([]byte("untrusted comment: x\n"), 200)[:maxSeal]), "more than four lines"},
		"more than the longest":     {with(bytes.Repeat([]byte("x"), maxSeal+1)), "a comment of 2049"},
		"zip64 alone":               {append(append([]byte(end64Locator), make([]byte, 16)...), append([]byte(endRecord), make([]byte, 18)...)...), "zip64"},
		"a record from the start":   {append(append([]byte(endRecord), append(make([]byte, 16), endSize, 0)...), append([]byte(endRecord), make([]byte, 18)...)...), "two end records"},
		"two comments":              {with(append(sig("mk-extension name:a sequence:1"), sig("mk-extension name:a sequence:2")...)), "more than four lines"},
		"a signature of an image":   {with(sig("mk-image x.iso")), "not the signature of a runtime extension"},
		"no sequence":               {with(sig("mk-extension name:site")), "not the signature of a runtime extension"},
		"a negative sequence":       {with(sig("mk-extension name:site sequence:-1")), "not the signature of a runtime extension"},
		"words behind":              {with(sig("mk-extension name:site sequence:1 sequence:2")), "not the signature of a runtime extension"},
		"a record in the comment":   {with(inComment), "extra bytes at its end"},
		"a record around the other": {append(append(bytes.Clone(plain[:len(plain)-2]), endSize, 0), append([]byte(endRecord), make([]byte, 18)...)...), "two end records"},
	} {
		if name == "an archive behind it" {
			tt.want = "it is not signed"
		}
		_, _, err := verify(tt.b, s)
		why, ok := errors.AsType[*Error](err)
		if !ok || why.Kind != Signature || !strings.Contains(why.Reason, tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestSignAgain(t *testing.T) {
	s, _, _ := signkit.Key(t)
	again, err := Sign(t.Context(), sealed(t, s, 7), s, "other", 8)
	testkit.Must(t, err)
	if seal, _, err := verify(again, s); err != nil || seal.Name != "other" || seal.Sequence != 8 {
		t.Errorf("%+v, %v", seal, err)
	}
	foreign := append(bytes.Clone(ext.Zip(t)), "hello"...)
	foreign[len(foreign)-7] = 5
	if _, err := Sign(t.Context(), foreign, s, "site", 1); err == nil || !strings.Contains(err.Error(), "already has a comment") {
		t.Errorf("an archive with a comment of its own: %v", err)
	}
	if _, err := Sign(t.Context(), ext.Zip(t), s, "a b", 1); err == nil {
		t.Error("a name with a blank is signed")
	}
	for sequence, ok := range map[int64]bool{-1: false, 0: true} {
		if _, err := Sign(t.Context(), ext.Zip(t), s, "site", sequence); (err == nil) != ok {
			t.Errorf("sequence %d: %v", sequence, err)
		}
	}
	long := append(ext.Zip(t, ext.Item("x", strings.Repeat("x", 100), ext.File|0o644)), make([]byte, 65535)...)
	long[len(long)-65536], long[len(long)-65537] = 0xff, 0xff
	if _, err := Sign(t.Context(), long, s, "site", 1); err == nil || !strings.Contains(err.Error(), "already has a comment") {
		t.Errorf("the longest comment of a zip: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	s, _, _ := signkit.Key(f)
	f.Add(sealed(f, s, 1))
	f.Add([]byte(endRecord))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, bare, err := verify(b, s); err == nil && (bare < endSize || bare > int64(len(b))) {
			t.Errorf("%d of %d bytes", bare, len(b))
		}
	})
}
