package profile

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"mkbuild/internal/fail"
)

// keyError never shows the line: it may be a private key, named by mistake. where is the file and line.
func keyError(where, why string) error {
	return fail.New(fail.Usage, "read authorized keys "+where+": "+why,
		"name public keys, such as ~/.ssh/id_rsa.pub, in `openssh: {authorized_keys: [...]}`")
}

// IsKeyText distinguishes the text of public keys, with options or without, from the name of a file of keys.
// Damaged and private keys count as text, so that [ParseKeys] names the mistake.
func IsKeyText(s string) bool {
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s)); err == nil || strings.ContainsAny(s, "\r\n") {
		return true
	}
	return damagedKey.MatchString(s)
}

// damagedKey matches text that begins like a key and is not a file name.
var damagedKey = regexp.MustCompile(`^((ssh|ecdsa|sk)-.* |-----BEGIN )`)

// ParseKeys checks the text of an authorized_keys file and returns its key lines.
func ParseKeys(text []byte, where string) ([]string, error) {
	if bytes.Contains(text, []byte("PRIVATE KEY")) {
		return nil, keyError(where, "this is a private key: it must never go into an image")
	}
	var out []string
	for i, l := range strings.Split(string(text), "\n") {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l)); err != nil {
			return nil, keyError(where+":"+strconv.Itoa(i+1), "not a public key")
		}
		out = append(out, l)
	}
	return out, nil
}

// UnknownToOldServer returns a warning if no key can work: OpenSSH 5.8, in Tiny Core 4.x, supports neither
// ed25519 nor hardware-backed keys.
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
	return fmt.Sprintf("none of the %d authorized keys works with the OpenSSH 5.8 of Tiny Core %s, which does not support ed25519: add an RSA key", len(keys), release)
}
