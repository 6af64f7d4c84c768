package signing

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

// pair makes a key with this package.
func pair(t *testing.T, password string) (secret, public string) {
	t.Helper()
	secret, public, err := NewKey(filepath.Join(t.TempDir(), "k"), []byte(password))
	testkit.Must(t, err)
	return secret, public
}

func open(t *testing.T, secret, password string) *Signer {
	t.Helper()
	s, err := Secret{Name: secret, Password: func() ([]byte, error) { return []byte(password), nil }, Warn: func(w string) { t.Error(w) }}.Open()
	testkit.Must(t, err)
	return s
}

// TestMinisignReadsOurs: Debian's minisign verifies our signature, and signs with our key.
func TestMinisignReadsOurs(t *testing.T) {
	testkit.Tool(t, "minisign")
	secret, public := pair(t, "")
	file := filepath.Join(t.TempDir(), "file")
	testkit.Put(t, file, []byte("content"))
	sig, err := open(t, secret, "").Minisign(t.Context(), strings.NewReader("content"), "made by a test")
	testkit.Must(t, err)
	testkit.Put(t, file+".minisig", sig)
	testkit.Contains(t, testkit.Run(t, "minisign", "-V", "-p", public, "-m", file), "Trusted comment: made by a test")
	testkit.Run(t, "minisign", "-S", "-s", secret, "-m", file, "-t", "made by minisign")
	verifies(t, public, file, "made by minisign")
}

// TestWeReadMinisign verifies signatures of Debian's minisign, with its own keys and with our key with a password.
func TestWeReadMinisign(t *testing.T) {
	testkit.Tool(t, "minisign")
	dir := t.TempDir()
	file, secret, public := filepath.Join(dir, "file"), filepath.Join(dir, "deb.key"), filepath.Join(dir, "deb.pub")
	testkit.Put(t, file, []byte("content"))
	testkit.Run(t, "minisign", "-G", "-W", "-p", public, "-s", secret)
	testkit.Run(t, "minisign", "-S", "-s", secret, "-m", file, "-t", "theirs")
	verifies(t, public, file, "theirs")
	sig, err := open(t, secret, "").Minisign(t.Context(), strings.NewReader("content"), "ours")
	testkit.Must(t, err)
	testkit.Put(t, file+".minisig", sig)
	verifies(t, public, file, "ours")

	ours, ourPublic := pair(t, "open sesame")
	c := exec.CommandContext(t.Context(), "minisign", "-S", "-s", ours, "-m", file, "-t", "with a password")
	c.Stdin = strings.NewReader("open sesame\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("minisign cannot use our encrypted key: %v\n%s", err, out)
	}
	verifies(t, ourPublic, file, "with a password")
	_, err = Secret{Name: ours, Password: func() ([]byte, error) { return []byte("wrong"), nil }}.Open()
	refused(t, err, "the password is wrong")
	_, err = Secret{Name: ours}.Open()
	refused(t, err, "there is no terminal to ask for the password")
}

func verifies(t *testing.T, public, file, comment string) {
	t.Helper()
	keys, err := ReadKeys("--key", public)
	testkit.Must(t, err)
	sig, err := ParseSignature(testkit.Read(t, file+".minisig"))
	testkit.Must(t, err)
	got, err := keys.Verify(bytes.NewReader(testkit.Read(t, file)), sig)
	if err != nil || got != comment {
		t.Errorf("verified %q, %v; want %q", got, err, comment)
	}
}

// refused requires a usage error of one sentence, with a hint.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || fail.ClassOf(err) != fail.Usage || fail.HintOf(err) == "" {
		t.Errorf("got %v (class %d, hint %q), want a usage error about %q", err, fail.ClassOf(err), fail.HintOf(err), want)
	}
}

func TestWrongKeyFiles(t *testing.T) {
	secret, public := pair(t, "")
	dir := t.TempDir()
	put := func(name, text string) string {
		testkit.Put(t, filepath.Join(dir, name), []byte(text))
		return filepath.Join(dir, name)
	}
	sig, err := open(t, secret, "").Minisign(t.Context(), strings.NewReader(""), "x")
	testkit.Must(t, err)
	text := string(testkit.Read(t, secret))
	silent := func(string) {}
	for name, want := range map[string]string{
		public: "it is a public key", put("empty", ""): "not a minisign secret key", put("cut", text[:len(text)-9]): "not a minisign secret key",
		put("sig", string(sig)): "not a minisign secret key", put("big", strings.Repeat("x", MaxText+1)): "over the limit", filepath.Join(dir, "none"): "no such file",
		dir: "it is a folder",
	} {
		_, err := Secret{Name: name, Warn: silent}.Open()
		refused(t, err, want)
	}
	for name, want := range map[string]string{
		secret: "it is a secret key", put("sig2", string(sig)): "it is a signature", put("none2", "\n"): "no public key",
		put("other", "ssh-ed25519 AAAA"): "not a public key", "RWx": "no such file", put("two", string(testkit.Read(t, public))+"RWQ="): "not a public key",
	} {
		_, err := ReadKeys("--key", name)
		refused(t, err, want)
	}
}

func TestReadableSecretIsWarnedOf(t *testing.T) {
	secret, _ := pair(t, "")
	testkit.Must(t, os.Chmod(secret, 0o640))
	said := ""
	_, err := Secret{Name: secret, Warn: func(w string) { said = w }}.Open()
	if err != nil || !strings.Contains(said, "chmod 600") {
		t.Errorf("said %q, %v", said, err)
	}
}

func TestNewKeyKeepsWhatIsThere(t *testing.T) {
	secret, public := pair(t, "")
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	before := testkit.Read(t, secret)
	_, _, err := NewKey(strings.TrimSuffix(secret, ".key"), nil)
	refused(t, err, "file exists")
	testkit.Must(t, os.Remove(public))
	_, _, err = NewKey(strings.TrimSuffix(secret, ".key"), nil)
	refused(t, err, "file exists")
	if !bytes.Equal(before, testkit.Read(t, secret)) {
		t.Error("the key has changed")
	}
	if _, err := os.Stat(public); err == nil {
		t.Error("a public key of no secret key is left")
	}
}

// TestWrongSignatures has one case for each kind of invalid signature of a file.
func TestWrongSignatures(t *testing.T) {
	secret, public := pair(t, "")
	other, otherPublic := pair(t, "")
	s := open(t, secret, "")
	keys, err := ReadKeys("--key", public)
	testkit.Must(t, err)
	good, err := s.Minisign(t.Context(), strings.NewReader("content"), "comment")
	testkit.Must(t, err)
	foreign, err := open(t, other, "").Minisign(t.Context(), strings.NewReader("content"), "comment")
	testkit.Must(t, err)
	var key minisign.PrivateKey
	testkit.Must(t, key.UnmarshalText(testkit.Read(t, secret)))
	legacy := minisign.SignWithComments(key, []byte("content"), "comment", "")
	lines := strings.SplitAfter(string(good), "\n")
	for name, tt := range map[string]struct{ sig, content, want string }{
		"another file":         {string(good), "contenT", "its bytes were changed"},
		"another key":          {string(foreign), "content", "key " + KeyID(mustKeys(t, otherPublic)[0].ID())},
		"legacy":               {string(legacy), "content", "legacy kind"},
		"another comment":      {strings.Replace(string(good), "trusted comment: comment", "trusted comment: else", 1), "content", "trusted comment"},
		"two trusted comments": {string(good) + "trusted comment: else\n" + lines[3], "content", "more than four lines"},
		"two untrusted":        {lines[0] + string(good), "content", "more than four lines"},
		"cut":                  {string(good[:len(good)-20]), "content", "damaged or cut off"},
		"three lines":          {strings.Join(lines[:3], ""), "content", "damaged or cut off"},
		"garbage":              {"PK", "content", "not a minisign signature"},
		"empty":                {"", "content", "not a minisign signature"},
	} {
		sig, err := ParseSignature([]byte(tt.sig))
		if err == nil {
			_, err = keys.Verify(strings.NewReader(tt.content), sig)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	sig, err := ParseSignature(good)
	testkit.Must(t, err)
	for i := range sig.Signature.Signature {
		bad := sig
		bad.Signature.Signature[i] ^= 1
		if _, err := keys.Verify(strings.NewReader("content"), bad); err == nil {
			t.Fatalf("a flipped bit in byte %d of the signature passes", i)
		}
	}
	if _, err := append(mustKeys(t, otherPublic), keys...).Verify(strings.NewReader("content"), sig); err != nil {
		t.Errorf("of two keys the second: %v", err)
	}
}

func mustKeys(t *testing.T, names ...string) Keys {
	t.Helper()
	k, err := ReadKeys("--key", names...)
	testkit.Must(t, err)
	return k
}

// TestSignCommand signs through a program: openssl with the same key, like an HSM.
func TestSignCommand(t *testing.T) {
	testkit.Tool(t, "openssl")
	secret, public := pair(t, "")
	dir := t.TempDir()
	var key minisign.PrivateKey
	testkit.Must(t, key.UnmarshalText(testkit.Read(t, secret)))
	seed := seedOf(t, key)
	testkit.Put(t, filepath.Join(dir, "k.der"), append([]byte("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"), seed...)) // RFC 8410, section 7
	script := filepath.Join(dir, "sign.sh")
	testkit.WriteFile(t, script, fmt.Sprintf("#!/bin/sh\ncat >%[1]s/in\nopenssl pkeyutl -sign -inkey %[1]s/k.der -keyform DER -rawin -in %[1]s/in\n", dir), 0o755)
	for _, command := range []string{script, "sh\t " + script} {
		s, err := Command(command, mustKeys(t, public)[0])
		testkit.Must(t, err)
		sig, err := s.Minisign(t.Context(), strings.NewReader("content"), "by a program")
		testkit.Must(t, err)
		parsed, err := ParseSignature(sig)
		testkit.Must(t, err)
		if _, err := mustKeys(t, public).Verify(strings.NewReader("content"), parsed); err != nil {
			t.Error(err)
		}
	}
	_, other := pair(t, "")
	for command, want := range map[string]string{
		script: "no signature of key", "false": "exit status 1", "true": "printed 0 bytes", "yes": "", filepath.Join(dir, "none"): "no such file",
		"head -c 64 /dev/zero": "no signature of key", "sh -c exit": "printed 0 bytes",
	} {
		s, err := Command(command, mustKeys(t, other)[0])
		testkit.Must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		if command == "yes" {
			cancel()
		}
		_, err = s.Minisign(ctx, strings.NewReader("content"), "x")
		cancel()
		if command == "yes" {
			if err == nil {
				t.Error("a program that never ends has signed")
			}
			continue
		}
		refused(t, err, want)
	}
	_, err := Command(" ", mustKeys(t, other)[0])
	refused(t, err, "names no program")
}

// seedOf extracts the Ed25519 seed of an unencrypted key.
func seedOf(t *testing.T, key minisign.PrivateKey) []byte {
	t.Helper()
	text, err := key.MarshalText()
	testkit.Must(t, err)
	b, err := base64.StdEncoding.DecodeString(strings.Split(string(text), "\n")[1])
	testkit.Must(t, err)
	return b[62 : 62+32]
}
