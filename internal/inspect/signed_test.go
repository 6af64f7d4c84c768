package inspect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/signkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/attest"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/signing"
)

// signedImage is an image and the files next to it, as texts.
type signedImage struct {
	dir               string
	iso, sig, prov    []byte
	key, other        *signing.Signer
	statement         attest.Statement
	beside            []byte
	anotherISO        []byte
	anotherStatements []byte
}

// resigned returns the changed provenance, signed by the image's own key.
func (s *signedImage) resigned(t *testing.T, change func(*attest.Statement)) []byte {
	t.Helper()
	st := s.statement
	st.Subject = append([]attest.Descriptor{}, st.Subject...)
	change(&st)
	line, err := attest.Sign(t.Context(), &st, s.key)
	testkit.Must(t, err)
	return line
}

// predicate replaces a text in the predicate.
func predicate(t *testing.T, old, now string) func(*attest.Statement) {
	return func(st *attest.Statement) {
		if !bytes.Contains(st.Predicate, []byte(old)) {
			t.Errorf("no %q in the predicate", old)
		}
		st.Predicate = bytes.ReplaceAll(st.Predicate, []byte(old), []byte(now))
	}
}

func newSignedImage(t *testing.T) *signedImage {
	t.Helper()
	s := &signedImage{dir: t.TempDir()}
	s.key, _, _ = signkit.Key(t)
	s.other, _, _ = signkit.Key(t)
	make := func(version string) (iso, statements, sig, beside []byte) {
		name := built(t, mirror(t), tinymirror.Config, func(c *config.Config) { c.Image.Version = version })
		m := opened(t, name)
		parts, err := partsOf(m)
		testkit.Must(t, err)
		subject, err := Subject(m)
		testkit.Must(t, err)
		st, err := attest.Built(m.Manifest, parts, "", []attest.Descriptor{subject})
		testkit.Must(t, err)
		statements, err = attest.Sign(t.Context(), st, s.key)
		testkit.Must(t, err)
		if version == "1" {
			s.statement = *st
		}
		iso = testkit.Read(t, name)
		sig, err = s.key.Minisign(t.Context(), bytes.NewReader(iso), attest.ImageComment+"x.iso")
		testkit.Must(t, err)
		return iso, statements, sig, testkit.Read(t, manifest.Beside(name))
	}
	s.iso, s.prov, s.sig, s.beside = make("1")
	s.anotherISO, s.anotherStatements, _, _ = make("2")
	return s
}

// otherDigit replaces the digit of base64 at a place.
func otherDigit(b []byte, at int) []byte {
	out := bytes.Clone(b)
	if out[at] = 'A'; b[at] == 'A' {
		out[at] = 'B'
	}
	return out
}

// TestTamperMatrix makes every possible change to a signed image, also as the owner of another key, and expects a
// refusal with its reason.
func TestTamperMatrix(t *testing.T) {
	s := newSignedImage(t)
	flip := func(b []byte, at int) []byte {
		c := bytes.Clone(b)
		c[(at+len(c))%len(c)] ^= 1
		return c
	}
	sign := func(st *attest.Statement, by *signing.Signer) []byte {
		line, err := attest.Sign(t.Context(), st, by)
		testkit.Must(t, err)
		return line
	}
	foreignSig, err := s.other.Minisign(t.Context(), bytes.NewReader(s.iso), attest.ImageComment+"x.iso")
	testkit.Must(t, err)
	extensionSig, err := s.key.Minisign(t.Context(), bytes.NewReader(s.iso), "mk-extension name:x sequence:1")
	testkit.Must(t, err)
	payload := func(change func([]byte) []byte) []byte {
		var e map[string]any
		testkit.Must(t, json.Unmarshal(s.prov, &e))
		text, err := base64.StdEncoding.DecodeString(e["payload"].(string))
		testkit.Must(t, err)
		e["payload"] = base64.StdEncoding.EncodeToString(change(text))
		line, err := json.Marshal(e)
		testkit.Must(t, err)
		return append(line, '\n')
	}
	rebuilt, err := attest.Rebuilt(attest.SHA256("x.iso", s.statement.Subject[0].Digest["sha256"]), "x")
	testkit.Must(t, err)
	failed, err := attest.Says(attest.Tested, map[string]any{"result": "FAILED"}, s.statement.Subject[0])
	testkit.Must(t, err)
	swap := func(st *attest.Statement) {
		st.Subject[1].Digest, st.Subject[2].Digest = st.Subject[2].Digest, st.Subject[1].Digest
	}
	anotherLock := &lock.Lock{Inputs: []lock.Input{{Kind: "iso", Name: "Core-4.5.2.iso", SHA256: strings.Repeat("0", 64)}}}
	for name, tt := range map[string]struct {
		change func(*signedImage)
		trust  Trust
		want   string // "" is a whole image
	}{
		"nothing":                             {func(*signedImage) {}, Trust{}, ""},
		"without the manifest next to it":     {func(s *signedImage) { s.beside = nil }, Trust{}, ""},
		"a stranger's line more":              {func(s *signedImage) { s.prov = append(s.prov, sign(rebuilt, s.other)...) }, Trust{}, ""},
		"one byte of the ISO":                 {func(s *signedImage) { s.iso = flip(s.iso, -5000) }, Trust{}, "its bytes were changed"},
		"a byte behind the ISO":               {func(s *signedImage) { s.iso = append(s.iso, 0) }, Trust{}, "its bytes were changed"},
		"another ISO":                         {func(s *signedImage) { s.iso, s.beside = s.anotherISO, nil }, Trust{}, "its bytes were changed"},
		"one byte of the manifest next to it": {func(s *signedImage) { s.beside = flip(s.beside, 100) }, Trust{}, "differs from the manifest in the image"},
		"one byte of the signature":           {func(s *signedImage) { s.sig = otherDigit(s.sig, 80) }, Trust{}, "its bytes were changed"},
		"one byte of the trusted comment":     {func(s *signedImage) { s.sig = bytes.Replace(s.sig, []byte("x.iso"), []byte("y.iso"), 1) }, Trust{}, "trusted comment was changed"},
		"a cut signature":                     {func(s *signedImage) { s.sig = s.sig[:len(s.sig)-30] }, Trust{}, "damaged or cut off"},
		"no signature":                        {func(s *signedImage) { s.sig = nil }, Trust{}, "no such file"},
		"a signature of another key":          {func(s *signedImage) { s.sig = foreignSig }, Trust{}, "signed by key "},
		"a signature of an extension":         {func(s *signedImage) { s.sig = extensionSig }, Trust{}, "not of an image"},
		"no provenance":                       {func(s *signedImage) { s.prov = nil }, Trust{}, "no such file"},
		"an empty provenance":                 {func(s *signedImage) { s.prov = []byte{} }, Trust{}, "it has no provenance"},
		"one byte of the provenance": {func(s *signedImage) {
			s.prov = payload(func(b []byte) []byte { return bytes.Replace(b, []byte("prod"), []byte("dev "), 1) })
		}, Trust{}, "line 1: it was changed after key"},
		"another payload type": {func(s *signedImage) {
			s.prov = bytes.Replace(s.prov, []byte("in-toto+json"), []byte("in-toto+jsom"), 1)
		}, Trust{}, "it was changed after key"},
		"a cut envelope":               {func(s *signedImage) { s.prov = s.prov[:len(s.prov)/2] }, Trust{}, "not a DSSE envelope"},
		"no signature in the envelope": {func(s *signedImage) { s.prov = []byte(`{"payloadType":"x","payload":"e30=","signatures":[]}`) }, Trust{}, "no payload, or no signature"},
		"text behind the envelope":     {func(s *signedImage) { s.prov = append(bytes.TrimSpace(s.prov), "x\n"...) }, Trust{}, "not a DSSE envelope"},
		"a swapped subject": {func(s *signedImage) {
			s.prov = payload(func(b []byte) []byte { return bytes.Replace(b, []byte("#kernel"), []byte("#initrd"), 1) })
		}, Trust{}, "it was changed after key"},
		"a swapped subject, signed": {func(s *signedImage) { s.prov = s.resigned(t, swap) }, Trust{}, "its subject #kernel differs from the image"},
		"a subject twice, signed": {func(s *signedImage) {
			s.prov = s.resigned(t, func(st *attest.Statement) { st.Subject = append(st.Subject, st.Subject[1]) })
		}, Trust{}, "twice"},
		"a segment less, signed": {func(s *signedImage) {
			s.prov = s.resigned(t, func(st *attest.Statement) { st.Subject = st.Subject[:4] })
		}, Trust{}, "its subject #segment/"},
		"another configuration, signed": {func(s *signedImage) { s.prov = s.resigned(t, predicate(t, `"profile":"prod"`, `"profile":"dev"`)) }, Trust{}, "of another configuration"},
		"another input, signed":         {func(s *signedImage) { s.prov = s.resigned(t, predicate(t, "tcz/bash.tcz", "tcz/bush.tcz")) }, Trust{}, "it names another input"},
		"another time, signed":          {func(s *signedImage) { s.prov = s.resigned(t, predicate(t, `"sourceDate":`, `"sourceDate":1`)) }, Trust{}, "of another build"},
		"a provenance of another image": {func(s *signedImage) { s.prov = s.anotherStatements }, Trust{}, "about another image"},
		"a provenance of a stranger":    {func(s *signedImage) { s.prov = sign(&s.statement, s.other) }, Trust{}, "it has no provenance signed by one of the keys"},
		"another type, signed": {func(s *signedImage) {
			s.prov = s.resigned(t, func(st *attest.Statement) { st.Type = "https://in-toto.io/Statement/v0.1" })
		}, Trust{}, "not an in-toto Statement v1"},
		"another lock":          {func(*signedImage) {}, Trust{Lock: anotherLock}, "than the lock"},
		"nobody has rebuilt it": {func(*signedImage) {}, Trust{Require: []string{"reproduced"}}, "says that the image is reproduced"},
		"somebody has":          {func(s *signedImage) { s.prov = append(s.prov, sign(rebuilt, s.key)...) }, Trust{Require: []string{"reproduced"}}, ""},
		"a stranger has":        {func(s *signedImage) { s.prov = append(s.prov, sign(rebuilt, s.other)...) }, Trust{Require: []string{"reproduced"}}, "says that the image is reproduced"},
		"a test that failed":    {func(s *signedImage) { s.prov = append(s.prov, sign(failed, s.key)...) }, Trust{Require: []string{"tested"}}, "says that the image is tested"},
	} {
		t.Run(name, func(t *testing.T) {
			c := *s
			c.iso, c.sig, c.prov, c.beside = bytes.Clone(s.iso), bytes.Clone(s.sig), bytes.Clone(s.prov), bytes.Clone(s.beside)
			tt.change(&c)
			image := filepath.Join(t.TempDir(), "x.iso")
			for file, text := range map[string][]byte{image: c.iso, attest.SignatureName(image): c.sig, attest.FileName(image): c.prov, manifest.Beside(image): c.beside} {
				if text != nil {
					testkit.Must(t, os.WriteFile(file, text, 0o600))
				}
			}
			m, err := Open(image)
			testkit.Must(t, err)
			defer m.Close()
			tt.trust.Keys = signing.Keys{s.key.Public}
			err = CheckSigned(m, tt.trust)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || fail.ClassOf(err) != fail.Verification):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
