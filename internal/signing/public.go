// Package signing makes and checks signatures in minisign's format (Ed25519 over a BLAKE2b digest), which
// Debian's minisign reads and writes, and plain Ed25519 signatures by the same keys for package attest.
//
// A signature counts if one of the given public keys made it. Only prehashed signatures count, minisign's default
// since 0.10: the older kind needs the whole file in memory. The trusted comment is signed; the untrusted one is
// not, and is ignored. Start reading at [Keys] and [Signer].
package signing

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"aead.dev/minisign"
	"golang.org/x/crypto/blake2b"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
)

// MaxText bounds a key or a signature: minisign's own have some 300 bytes.
const MaxText = 16 << 10

// Keys are the public keys whose signatures count. Their JSON form is a list of texts.
type Keys []minisign.PublicKey

// keyText is a public key as minisign prints it: base64 of "Ed", its ID and 32 bytes.
var keyText = regexp.MustCompile(`^RW[A-Za-z0-9+/]{54}$`)

// IsKey reports whether s is the text of a public key, and not the name of a file.
func IsKey(s string) bool { return keyText.MatchString(s) }

// ParseKeys reads the text of one or more .pub files.
func ParseKeys(text []byte) (Keys, error) {
	var keys Keys
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "untrusted comment:") {
			continue
		}
		var k minisign.PublicKey
		if !IsKey(line) || k.UnmarshalText([]byte(line)) != nil {
			return nil, errors.New(notKey(text))
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no public key")
	}
	return keys, nil
}

func notKey(text []byte) string {
	var sig minisign.Signature
	switch {
	case sig.UnmarshalText(text) == nil:
		return "it is a signature, not a public key"
	case bytes.Contains(text, []byte("secret key")):
		return "it is a secret key, not a public one"
	}
	return "it is not a public key of minisign"
}

// ReadKeys reads each name as the text of a public key, or as a file of public keys. what is the origin of the
// names, for the error: "--key".
func ReadKeys(what string, names ...string) (Keys, error) {
	var keys Keys
	for _, name := range names {
		text := []byte(name)
		if !IsKey(name) {
			var err error
			if text, err = hostfile.Read(name, MaxText); err != nil {
				return nil, &fail.Error{Class: fail.Usage, What: what + ": read public key", Err: err, Hint: pubHint}
			}
		}
		more, err := ParseKeys(text)
		if err != nil {
			return nil, &fail.Error{Class: fail.Usage, What: fmt.Sprintf("%s: read public key %s", what, name), Err: err, Hint: pubHint}
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

const pubHint = "name a .pub file of `mkbuild key new` or of minisign, or its line that begins with RW"

// KeyID is a key's number as minisign shows it.
func KeyID(id uint64) string { return fmt.Sprintf("%X", id) }

// IDs names the keys.
func (k Keys) IDs() string {
	var ids []string
	for _, x := range k {
		ids = append(ids, KeyID(x.ID()))
	}
	return strings.Join(ids, ", ")
}

// MarshalJSON returns the keys as a list of texts.
func (k Keys) MarshalJSON() ([]byte, error) {
	texts := make([]string, len(k))
	for i, x := range k {
		texts[i] = x.String()
	}
	return json.Marshal(texts)
}

// UnmarshalJSON reads the result of [Keys.MarshalJSON].
func (k *Keys) UnmarshalJSON(b []byte) error {
	var texts []string
	err := json.Unmarshal(b, &texts)
	if err == nil {
		*k, err = ParseKeys([]byte(strings.Join(texts, "\n")))
	}
	return err
}

// Signature is a well-formed minisign signature; it is not verified.
type Signature struct{ minisign.Signature }

// ParseSignature reads the text of a .minisig file: exactly four lines.
func ParseSignature(text []byte) (Signature, error) {
	var s Signature
	plain := strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") + "\n" // zip -z makes CRLF
	switch {
	case !strings.HasPrefix(plain, "untrusted comment:"):
		return s, errors.New("it is not a minisign signature")
	case strings.Count(plain, "\n") > 4:
		return s, errors.New("more than four lines: a signature has one comment of each kind")
	case s.UnmarshalText([]byte(plain)) != nil, s.String() != plain: // base64 has several texts for some bytes
		return s, errors.New("the signature is damaged or cut off")
	case s.Algorithm != minisign.HashEdDSA:
		return s, errors.New("the signature is of minisign's legacy kind, and mkbuild accepts only prehashed ones: sign with minisign 0.10 or newer, or with its -H")
	}
	return s, nil
}

// Verify reports whether one of the keys signed the content of r, and returns the trusted comment.
func (k Keys) Verify(r io.Reader, s Signature) (trusted string, err error) {
	sum, err := blake2b.New512(nil)
	if err == nil {
		_, err = io.Copy(sum, r)
	}
	if err != nil {
		return "", err
	}
	keys := slices.DeleteFunc(slices.Clone(k), func(x minisign.PublicKey) bool { return x.ID() != s.KeyID })
	if len(keys) == 0 {
		return "", fmt.Errorf("signed by key %s, not by %s", KeyID(s.KeyID), k.IDs())
	}
	for _, x := range keys {
		if !ed25519.Verify(raw(x), sum.Sum(nil), s.Signature.Signature[:]) {
			continue
		}
		if !ed25519.Verify(raw(x), slices.Concat(s.Signature.Signature[:], []byte(s.TrustedComment)), s.CommentSignature[:]) {
			return "", errors.New("its trusted comment was changed after signing")
		}
		return s.TrustedComment, nil
	}
	return "", fmt.Errorf("its bytes were changed after key %s signed them", KeyID(s.KeyID))
}

// VerifyRaw reports whether, and which, one of the keys made the plain Ed25519 signature of a message.
func (k Keys) VerifyRaw(message, sig []byte) (by *minisign.PublicKey) {
	for i := range k {
		if ed25519.Verify(raw(k[i]), message, sig) {
			return &k[i]
		}
	}
	return nil
}

// raw is the key without its ID.
func raw(k minisign.PublicKey) ed25519.PublicKey {
	b, _ := base64.StdEncoding.DecodeString(k.String()) // which has just been encoded
	return b[len(b)-ed25519.PublicKeySize:]
}
