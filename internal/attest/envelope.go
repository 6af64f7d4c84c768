// Package attest writes statements about an image: its builder and inputs, a rebuild with the same bytes, a
// successful boot. They are in-toto statements in DSSE envelopes, one a line, next to the image. They hold no
// time and no path of a machine: the same image gives the same statements.
//
// It reads no image. Start reading at [Statement].
package attest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/signing"
	"mkbuild/internal/wholefile"
)

// Types of signed content.
const (
	payloadType   = "application/vnd.in-toto+json"                    // in-toto, Envelope layer
	statementType = "https://in-toto.io/Statement/v1"                 // in-toto, Statement v1
	Provenance    = "https://slsa.dev/provenance/v1"                  // SLSA provenance v1
	Tested        = "https://in-toto.io/attestation/test-result/v0.1" // in-toto, test-result v0.1
	Reproduced    = "mkbuild:reproduced/v1"                           // docs/trust.md
)

// FileName is the path of an image's statements, next to it.
func FileName(image string) string { return image + ".intoto.jsonl" }

// SignatureName is the path of an image's minisign signature, next to it.
func SignatureName(image string) string { return image + ".minisig" }

// ImageComment begins the trusted comment of an image's signature, and keeps signatures of other files out.
const ImageComment = "mk-image "

// Statement is an in-toto Statement v1 about files, by their digests.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Descriptor    `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Descriptor is in-toto's ResourceDescriptor: a file, by name and digests.
type Descriptor struct {
	Name      string            `json:"name"`
	Digest    map[string]string `json:"digest,omitempty"`
	Content   []byte            `json:"content,omitempty"`
	MediaType string            `json:"mediaType,omitempty"`
}

// SHA256 describes a file by that digest.
func SHA256(name, sum string) Descriptor {
	return Descriptor{Name: name, Digest: map[string]string{"sha256": sum}}
}

// Says returns a statement on subjects.
func Says(predicateType string, predicate any, subjects ...Descriptor) (*Statement, error) {
	text, err := json.Marshal(predicate)
	return &Statement{statementType, subjects, predicateType, text}, err
}

// About reports whether a file with a SHA-256 is among the subjects.
func (s *Statement) About(sum string) bool {
	return slices.ContainsFunc(s.Subject, func(d Descriptor) bool { return sum != "" && d.Digest["sha256"] == sum })
}

// subject returns the digest of the one subject of a name.
func (s *Statement) subject(name string) (string, error) {
	sum := ""
	for _, d := range s.Subject {
		if d.Name == name && sum != "" {
			return "", fmt.Errorf("it names the subject %q twice", name)
		} else if d.Name == name {
			sum = d.Digest["sha256"]
		}
	}
	return sum, nil
}

// envelope is a DSSE envelope (github.com/secure-systems-lab/dsse, envelope.md).
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// PAE is DSSE's pre-authentication encoding: the bytes that are signed.
func PAE(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// Sign returns the line of a statement.
func Sign(ctx context.Context, st *Statement, by *signing.Signer) ([]byte, error) {
	var payload bytes.Buffer
	e := json.NewEncoder(&payload)
	e.SetEscapeHTML(false)
	if err := e.Encode(st); err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(payload.Bytes())
	sig, err := by.Raw(ctx, PAE(payloadType, text))
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(envelope{payloadType, base64.StdEncoding.EncodeToString(text), []signature{{
		KeyID: signing.KeyID(by.Public.ID()), Sig: base64.StdEncoding.EncodeToString(sig),
	}}})
	return append(line, '\n'), err
}

// maxFile bounds a file of statements: a provenance has some 50 kB.
const maxFile = 16 << 20

// Read returns the statements in a file that one of the keys signed. It skips statements of other keys. An
// unreadable line, or a wrong signature of a known key, is an error.
func Read(name string, keys signing.Keys) ([]Statement, error) {
	text, err := hostfile.Read(name, maxFile)
	if err != nil {
		return nil, fail.Wrap(fail.Verification, err, "fetch the file next to the image, or have the image signed: mkbuild iso --sign KEY")
	}
	var out []Statement
	n := 0
	for line := range bytes.Lines(text) {
		n++
		st, err := open(line, keys)
		if err != nil {
			return nil, fail.New(fail.Verification, fmt.Sprintf("read %s: line %d: %v", name, n, err), "fetch the file again from where the image was built")
		}
		if st != nil {
			out = append(out, *st)
		}
	}
	return out, nil
}

// Append adds a line to an image's statements, unless it exists.
func Append(image string, line []byte) error {
	name := FileName(image)
	text, err := hostfile.Read(name, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	if bytes.Contains(append([]byte("\n"), text...), append([]byte("\n"), line...)) {
		return nil
	}
	return wholefile.Write(name, func(w io.Writer) error {
		_, err := w.Write(append(text, line...))
		return err
	})
}

// open verifies a line; it returns nil for a line without a signature of the keys.
func open(line []byte, keys signing.Keys) (*Statement, error) {
	var e envelope
	if err := strict(line, &e); err != nil {
		return nil, fmt.Errorf("it is not a DSSE envelope: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || len(e.Signatures) == 0 {
		return nil, errors.New("it is not a DSSE envelope: no payload, or no signature")
	}
	verified, known := false, ""
	for _, s := range e.Signatures {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			return nil, errors.New("it is not a DSSE envelope: a signature is not base64")
		}
		verified = verified || keys.VerifyRaw(PAE(e.PayloadType, payload), sig) != nil
		if strings.Contains(", "+keys.IDs()+", ", ", "+s.KeyID+", ") {
			known = s.KeyID
		}
	}
	switch {
	case !verified && known != "":
		return nil, fmt.Errorf("it was changed after key %s signed it", known)
	case !verified:
		return nil, nil //nolint:nilnil // somebody else's
	case e.PayloadType != payloadType:
		return nil, fmt.Errorf("its payload is %q, and not a statement of in-toto", e.PayloadType)
	}
	st := &Statement{}
	if err := json.Unmarshal(payload, st); err != nil || st.Type != statementType {
		return nil, errors.New("its payload is not an in-toto Statement v1")
	}
	return st, nil
}

// strict reads one JSON value with known members only.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after it")
	}
	return nil
}
