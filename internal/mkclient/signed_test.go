package mkclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/signkit"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/extension"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/generations"
	"mkbuild/internal/signing"
)

// Images with keys: accepted and refused extensions, and the other rules that still apply.

// trusts puts keys into the machine's image.
func (m *machine) trusts(floor int64, signers ...*signing.Signer) {
	m.t.Helper()
	trust := extension.Trust{Floor: floor}
	for _, s := range signers {
		trust.Keys = append(trust.Keys, s.Public)
	}
	text, err := json.Marshal(trust)
	testkit.Must(m.t, err)
	m.write("root/"+extension.KeysFile, string(text))
}

// signed is an extension with one fact, signed.
func signed(t testing.TB, s *signing.Signer, value string, sequence int64) []byte {
	t.Helper()
	b, err := extension.Sign(t.Context(), textFact(t, "ext_x", value), s, "site", sequence)
	testkit.Must(t, err)
	return b
}

// refuses runs a cycle in which an extension is refused: the old one stays, and log and server get the reason.
func (m *machine) refuses(srv *standrazor.Server, stays any, why string) {
	m.t.Helper()
	got := m.wants(srv, facts.Facts{"ext_x": stays})
	if text := fmt.Sprint(got["mk_extension_error"]); !strings.Contains(text, why) {
		m.t.Errorf("mk_extension_error %q, want %q", text, why)
	}
	if logged := strings.Join(srv.Logs, "\n"); !strings.Contains(logged, why) {
		m.t.Errorf("the node's log %q, want %q", logged, why)
	}
}

func TestSignedExtensions(t *testing.T) {
	for _, kind := range standrazor.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			srv, m := bootOn(t, kind, facters.Shell)
			a, _, _ := signkit.Key(t)
			b, _, _ := signkit.Key(t)
			m.trusts(100, a)
			at := t0
			publish := func(zip []byte) { at = at.Add(time.Minute); srv.Publish(zip, at) }

			publish(textFact(t, "ext_x", "evil"))
			m.refuses(srv, nil, "it is not signed")
			publish(signed(t, a, "old", 99))
			m.refuses(srv, nil, "older than the image: its sequence number is 99, below 100")
			publish(signed(t, a, "1", 200))
			m.wants(srv, facts.Facts{"ext_x": "1", "mk_extension_status": "active", "mk_extension_error": ""})

			good := signed(t, a, "2", 300)
			flipped := bytes.Clone(good)
			flipped[40] ^= 1
			for _, bad := range []struct {
				zip []byte
				why string
			}{
				{textFact(t, "ext_x", "evil"), "it is not signed"},
				{signed(t, b, "evil", 300), "signed by key "},
				{flipped, "its bytes were changed"},
				{good[:len(good)-1], "cut off"},
				{append(bytes.Clone(good), 0), "extra bytes at its end"},
				{signed(t, a, "old", 199), "older than the newest one so far: its sequence number is 199, below 200"},
				{[]byte("this is no zip"), "not a zip archive"},
			} {
				publish(bad.zip)
				m.refuses(srv, "1", bad.why)
				m.wants(srv, facts.Facts{"ext_x": "1", "mk_extension_status": "fallback"}) // and again
			}
			publish(good)
			m.wants(srv, facts.Facts{"ext_x": "2", "mk_extension_status": "active", "mk_extension_error": ""})
		})
	}
}

// TestNothingOfAnUnsignedArchiveIsParsed publishes an archive that would cause a parser error.
func TestNothingOfAnUnsignedArchiveIsParsed(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	a, _, _ := signkit.Key(t)
	m.trusts(0, a)
	srv.Publish(pack(t, member{"../evil", "x", 0o755}), t0)
	m.refuses(srv, nil, "it is not signed")
	b, err := extension.Sign(t.Context(), pack(t, member{"../evil", "x", 0o755}), a, "site", 1)
	testkit.Must(t, err)
	srv.Publish(b, t0.Add(time.Minute))
	m.refuses(srv, nil, "path is not clean") // a signature does not replace the other checks
}

// TestTimestampsDoNotDecide moves the server's clock back and forth: the signed number decides.
func TestTimestampsDoNotDecide(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	a, _, _ := signkit.Key(t)
	m.trusts(0, a)
	srv.Publish(signed(t, a, "1", 1), t0.AddDate(24, 0, 0)) // an answer with a date far in the future
	m.wants(srv, facts.Facts{"ext_x": "1"})
	srv.Publish(signed(t, a, "2", 2), t0)
	m.wants(srv, facts.Facts{"ext_x": "2"})
	gets := len(m.generations())
	m.wants(srv, facts.Facts{"ext_x": "2"})
	if n := len(m.generations()); n != gets {
		t.Errorf("the same extension was unpacked again: %d generations, then %d", gets, n)
	}
	m.set.AnyChange = true
	srv.Publish(signed(t, a, "1", 1), t0.Add(time.Minute))
	m.refuses(srv, "2", "older than the newest one so far")
}

// TestRotation tests A, then A and B, then only B, each with a new image.
func TestRotation(t *testing.T) {
	a, _, _ := signkit.Key(t)
	b, _, _ := signkit.Key(t)
	for _, tt := range []struct {
		name     string
		keys     []*signing.Signer
		a, b     any
		whyA, by string
	}{
		{"old", []*signing.Signer{a}, "1", nil, "", "signed by key"},
		{"both", []*signing.Signer{a, b}, "1", "2", "", ""},
		{"new", []*signing.Signer{b}, nil, "2", "signed by key", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv, m := boot(t, facters.Shell)
			m.trusts(0, tt.keys...)
			srv.Publish(signed(t, a, "1", 1), t0)
			if got := m.wants(srv, facts.Facts{"ext_x": tt.a})["mk_extension_error"]; !strings.Contains(got.(string), tt.whyA) {
				t.Errorf("error of A: %q", got)
			}
			srv.Publish(signed(t, b, "2", 2), t0.Add(time.Minute))
			stays := tt.b
			if stays == nil {
				stays = tt.a
			}
			if got := m.wants(srv, facts.Facts{"ext_x": stays})["mk_extension_error"]; !strings.Contains(got.(string), tt.by) {
				t.Errorf("error of B: %q", got)
			}
		})
	}
}

// TestSignedAndPinned requires both: a signature, and the digest of razor.extend_sha256.
func TestSignedAndPinned(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	a, _, _ := signkit.Key(t)
	m.trusts(0, a)
	srv.Publish(signed(t, a, "1", 1), t0)
	sum := m.wants(srv, facts.Facts{"ext_x": "1"})["mk_extension_sha256"].(string)
	m.set.ExtendSHA256 = strings.Repeat("0", 64)
	m.refuses(srv, nil, "razor.extend_sha256 is")
	m.set.ExtendSHA256 = sum
	m.wants(srv, facts.Facts{"ext_x": "1"})
}

// TestAWithdrawalBringsNoOlderOne withdraws an extension, which needs no signature, and offers an older one.
func TestAWithdrawalBringsNoOlderOne(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	a, _, _ := signkit.Key(t)
	m.trusts(0, a)
	srv.Publish(signed(t, a, "2", 2), t0)
	m.wants(srv, facts.Facts{"ext_x": "2"})
	srv.Publish(nil, t0)
	for _, want := range []any{"2", "2", nil} {
		m.wants(srv, facts.Facts{"ext_x": want})
	}
	srv.Publish(signed(t, a, "1", 1), t0.Add(time.Hour))
	m.refuses(srv, nil, "older than the newest one so far")
	srv.Publish(signed(t, a, "2", 2), t0.Add(2*time.Hour))
	m.wants(srv, facts.Facts{"ext_x": "2"})
}

// TestTheImagesOwnNeedsNoSignature: it came with the keys. If facts fail, the previous extension is still used.
func TestTheImagesOwnNeedsNoSignature(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	a, _, _ := signkit.Key(t)
	m.trusts(0, a)
	m.write("root/"+generations.Baked, string(textFact(t, "ext_x", "own")))
	m.wants(srv, facts.Facts{"ext_x": "own", "mk_extension_status": "active"})
	srv.Publish(textFact(t, "ext_x", "evil"), t0)
	m.refuses(srv, "own", "it is not signed")
	srv.Publish(signed(t, a, "1", 1), t0.Add(time.Minute))
	m.wants(srv, facts.Facts{"ext_x": "1"})
}

// TestDamagedKeysTrustNobody damages the keys in the image in several ways.
func TestDamagedKeysTrustNobody(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	a, _, _ := signkit.Key(t)
	at := t0
	for _, text := range []string{"", "{}", `{"keys":[]}`, `{"keys":["RWx"]}`, "not json", `{"keys":[""],"floor":1}`} {
		m.write("root/"+extension.KeysFile, text)
		at = at.Add(time.Minute)
		srv.Publish(signed(t, a, "1", 1), at)
		m.refuses(srv, nil, "extensions are off: read /usr/lib/mk-client/extension-keys.json")
	}
}
