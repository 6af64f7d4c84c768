package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/signkit"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/signing"
)

// TestPAE is the example of the DSSE specification (protocol.md).
func TestPAE(t *testing.T) {
	if got := string(PAE("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Error(got)
	}
}

// statements has one of each kind.
func statements(t *testing.T) map[string]*Statement {
	t.Helper()
	sum := strings.Repeat("0123456789abcdef", 4)
	m := &manifest.Manifest{
		Mkbuild: "1", Plan: sum, SourceDate: 7, Config: json.RawMessage(`{"profile":"prod","a":"<b>"}`),
		Inputs: []lock.Input{{Kind: "tcz", Name: "a.tcz", SHA256: sum}},
	}
	built, err := Built(m, &Parts{sum, sum, []manifest.Segment{{Name: "s", SHA256: sum}}}, sum, []Descriptor{SHA256("x.iso", sum)})
	testkit.Must(t, err)
	overlay, err := Built(m, nil, "", []Descriptor{SHA256("x.tar.gz", sum)})
	testkit.Must(t, err)
	rebuilt, err := Rebuilt(SHA256("x.iso", sum), "1")
	testkit.Must(t, err)
	booted, err := Booted(SHA256("x.iso", sum), map[string]any{"expect": "MK loaded"})
	testkit.Must(t, err)
	return map[string]*Statement{"provenance": built, "provenance ": overlay, "reproduced": rebuilt, "test-result": booted}
}

// TestSchemas compares our output with the published forms: see testdata/README.
func TestSchemas(t *testing.T) {
	key, _, _ := signkit.Key(t)
	c := jsonschema.NewCompiler()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(testkit.Read(t, "testdata/schemas.json")))
	testkit.Must(t, err)
	testkit.Must(t, c.AddResource("schemas.json", doc))
	valid := func(form string, text []byte) {
		t.Helper()
		s, err := c.Compile("schemas.json#/definitions/" + form)
		testkit.Must(t, err)
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", form, err, text)
		}
	}
	for form, st := range statements(t) {
		line, err := Sign(t.Context(), st, key)
		testkit.Must(t, err)
		valid("envelope", line)
		var e envelope
		testkit.Must(t, json.Unmarshal(line, &e))
		payload, err := base64.StdEncoding.DecodeString(e.Payload)
		testkit.Must(t, err)
		valid("statement", payload)
		valid(strings.TrimSpace(form), st.Predicate)
	}
}

// TestOpenSSLVerifies verifies an envelope over its PAE with another implementation of Ed25519.
func TestOpenSSLVerifies(t *testing.T) {
	testkit.Tool(t, "openssl")
	key, _, _ := signkit.Key(t)
	line, err := Sign(t.Context(), statements(t)["provenance"], key)
	testkit.Must(t, err)
	var e envelope
	testkit.Must(t, json.Unmarshal(line, &e))
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	testkit.Must(t, err)
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	testkit.Must(t, err)
	public, err := base64.StdEncoding.DecodeString(key.Public.String())
	testkit.Must(t, err)
	dir := t.TempDir()
	testkit.Put(t, filepath.Join(dir, "k"), append([]byte("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"), public[10:]...)) // RFC 8410, section 4
	testkit.Put(t, filepath.Join(dir, "sig"), sig)
	testkit.Put(t, filepath.Join(dir, "pae"), PAE(e.PayloadType, payload))
	out := testkit.Run(t, "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", filepath.Join(dir, "k"), "-keyform", "DER", "-rawin", "-in", filepath.Join(dir, "pae"), "-sigfile", filepath.Join(dir, "sig"))
	testkit.Contains(t, out, "Signature Verified Successfully")
}

func TestAppend(t *testing.T) {
	key, _, _ := signkit.Key(t)
	image := filepath.Join(t.TempDir(), "x.iso")
	var want []byte
	for _, st := range []string{"provenance", "reproduced", "provenance", "test-result"} {
		line, err := Sign(t.Context(), statements(t)[st], key)
		testkit.Must(t, err)
		testkit.Must(t, Append(image, line))
		if !bytes.Contains(want, line) {
			want = append(want, line...)
		}
	}
	if got := testkit.Read(t, FileName(image)); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	testkit.Must(t, os.WriteFile(FileName(image), bytes.TrimSpace(want), 0o600)) // a file without its last newline
	line, err := Sign(t.Context(), statements(t)["provenance "], key)
	testkit.Must(t, err)
	testkit.Must(t, Append(image, line))
	all, err := Read(FileName(image), signing.Keys{key.Public})
	if err != nil || len(all) != 4 {
		t.Errorf("%d statements, %v", len(all), err)
	}
}

func FuzzOpen(f *testing.F) {
	key, _, _ := signkit.Key(f)
	f.Add([]byte(`{"payloadType":"x","payload":"e30=","signatures":[{"keyid":"1","sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := open(b, signing.Keys{key.Public}); st != nil && err == nil {
			t.Errorf("%q was signed by nobody", b)
		}
	})
}
