package profile

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// KeyError is a line that is no public key. It never shows the line: a user may have named a
// private key by mistake.
type KeyError struct {
	Where string // file and line
	Why   string
}

func (e *KeyError) Error() string { return "read authorized keys " + e.Where + ": " + e.Why }

// Hint says what is wanted.
func (*KeyError) Hint() string {
	return "give public keys, as in ~/.ssh/id_rsa.pub, in `openssh: {authorized_keys: [...]}`"
}

// IsKeyText tells the text of public keys, with options or without, from the name of a file that
// holds some. Damaged keys and private ones count as text, for [ParseKeys] to say what is wrong.
func IsKeyText(s string) bool {
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s)); err == nil || strings.ContainsAny(s, "\r\n") {
		return true
	}
	for _, p := range []string{"ssh-", "ecdsa-", "sk-"} {
		if strings.HasPrefix(s, p) && strings.Contains(s, " ") {
			return true
		}
	}
	return strings.HasPrefix(s, "-----BEGIN ")
}

// ParseKeys checks the text of an authorized_keys file and returns its key lines.
func ParseKeys(text []byte, where string) ([]string, error) {
	if bytes.Contains(text, []byte("PRIVATE KEY")) {
		return nil, &KeyError{where, "this is a private key: it must never go into an image"}
	}
	var out []string
	for i, l := range strings.Split(string(text), "\n") {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l)); err != nil {
			return nil, &KeyError{where + ":" + strconv.Itoa(i+1), "not a public key"}
		}
		out = append(out, l)
	}
	return out, nil
}

// UnknownToOldServer warns when no key can work: OpenSSH 5.8, in Tiny Core 4.x, knows neither
// ed25519 nor hardware-backed keys. It returns "" when there is nothing to warn of.
func UnknownToOldServer(release string, keys []string) string {
	if !strings.HasPrefix(release, "4.") || len(keys) == 0 {
		return ""
	}
	for _, k := range keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k))
		if err == nil && key.Type() != ssh.KeyAlgoED25519 && !strings.HasPrefix(key.Type(), "sk-") {
			return ""
		}
	}
	return fmt.Sprintf("none of the %d authorized keys works with the OpenSSH 5.8 of Tiny Core %s, which does not know ed25519: add an RSA key", len(keys), release)
}
