package signing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"aead.dev/minisign"
	"golang.org/x/crypto/blake2b"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/wholefile"
)

// Signer makes signatures by one key.
type Signer struct {
	Public minisign.PublicKey
	// sign makes a plain Ed25519 signature.
	sign func(ctx context.Context, message []byte) ([]byte, error)
}

// Raw returns the plain Ed25519 signature of a message, after verifying it.
func (s *Signer) Raw(ctx context.Context, message []byte) ([]byte, error) {
	sig, err := s.sign(ctx, message)
	if err == nil && (Keys{s.Public}).VerifyRaw(message, sig) == nil {
		err = fail.New(fail.Usage, fmt.Sprintf("sign: --sign-command printed no signature of key %s", KeyID(s.Public.ID())), "name the public key of the signing key")
	}
	return sig, err
}

// Minisign returns the text of a signature of r's content. trusted is signed with it.
func (s *Signer) Minisign(ctx context.Context, r io.Reader, trusted string) ([]byte, error) {
	sum, err := blake2b.New512(nil)
	if err == nil {
		_, err = io.Copy(wholefile.Interruptible(ctx, sum), r)
	}
	if err != nil {
		return nil, err
	}
	sig := minisign.Signature{
		Algorithm: minisign.HashEdDSA, KeyID: s.Public.ID(), TrustedComment: trusted,
		UntrustedComment: "signature by key " + KeyID(s.Public.ID()),
	}
	one, err := s.Raw(ctx, sum.Sum(nil))
	if err != nil {
		return nil, err
	}
	two, err := s.Raw(ctx, slices.Concat(one, []byte(trusted)))
	if err != nil {
		return nil, err
	}
	copy(sig.Signature[:], one)
	copy(sig.CommentSignature[:], two)
	return sig.MarshalText()
}

// Secret is a secret key's file.
type Secret struct {
	Name string
	// Password returns the password of an encrypted key; without it such a key is an error.
	Password func() ([]byte, error)
	// Warn is called if other users can read the file.
	Warn func(string)
}

const keyHint = "name a .key file of `mkbuild key new` or of minisign"

// Open reads the key.
func (s Secret) Open() (*Signer, error) {
	text, err := hostfile.Read(s.Name, MaxText)
	if err != nil {
		return nil, &fail.Error{Class: fail.Usage, What: "read secret key", Err: err, Hint: keyHint}
	}
	key, err := s.decode(text)
	if err != nil {
		return nil, &fail.Error{Class: fail.Usage, What: "read secret key " + s.Name, Err: err, Hint: cmp.Or(fail.HintOf(err), keyHint)}
	}
	if info, err := os.Stat(s.Name); err == nil && exposed(info.Mode()) {
		s.Warn(fmt.Sprintf("other users can read the secret key %s: chmod 600 %s", s.Name, s.Name))
	}
	return newSigner(key), nil
}

func newSigner(key minisign.PrivateKey) *Signer {
	return &Signer{Public: key.Public().(minisign.PublicKey), sign: func(_ context.Context, message []byte) ([]byte, error) {
		var sig minisign.Signature
		err := sig.UnmarshalText(minisign.SignWithComments(key, message, "", ""))
		return sig.Signature[:], err
	}}
}

func (s Secret) decode(text []byte) (key minisign.PrivateKey, err error) {
	if _, err := ParseKeys(text); err == nil {
		return key, errors.New("it is a public key")
	}
	if !minisign.IsEncrypted(text) {
		if err = key.UnmarshalText(text); err != nil {
			return key, errors.New("it is not a minisign secret key")
		}
		return key, nil
	}
	if s.Password == nil {
		return key, fail.New(fail.Usage, "it is encrypted, and there is no terminal to ask for the password", "put the password into a file: --password-file FILE")
	}
	password, err := s.Password()
	if err != nil {
		return key, err
	}
	if key, err = minisign.DecryptKey(string(password), text); err != nil {
		return key, fail.New(fail.Usage, "the password is wrong, or the key is damaged", "run the command again with the right password")
	}
	return key, nil
}

// NewKey writes a new key pair: NAME.key, readable only by its owner, and NAME.pub. It never overwrites files. An
// empty password leaves the secret key unencrypted.
func NewKey(name string, password []byte) (secret, public string, err error) {
	pub, key, err := minisign.GenerateKey(nil)
	if err != nil {
		return "", "", err
	}
	text, err := key.MarshalText()
	if len(password) > 0 {
		text, err = minisign.EncryptKey(string(password), key)
	}
	if err != nil {
		return "", "", err
	}
	secret, public = name+".key", name+".pub"
	if _, err := os.Lstat(public); !errors.Is(err, fs.ErrNotExist) {
		return "", "", taken(public)
	}
	if err := create(secret, append(text, '\n'), 0o600); err != nil {
		return "", "", err
	}
	if err := create(public, PublicText(pub), 0o644); err != nil {
		return "", "", errors.Join(err, os.Remove(secret))
	}
	return secret, public, nil
}

// PublicText is the text of a .pub file.
func PublicText(k minisign.PublicKey) []byte {
	return fmt.Appendf(nil, "untrusted comment: minisign public key %s\n%s\n", KeyID(k.ID()), k)
}

func taken(name string) error {
	return fail.New(fail.Usage, "write "+name+": file exists", "choose another name: mkbuild never overwrites a key")
}

// create writes a new file.
func create(name string, text []byte, perm os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, os.ErrExist) {
		return taken(name)
	}
	if err != nil {
		return fail.Wrap(fail.Usage, err, "choose a writable place for the key")
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// FirstLine returns the password in a file's text: its first line.
func FirstLine(text []byte) []byte {
	line, _, _ := strings.Cut(string(text), "\n")
	return []byte(strings.TrimSuffix(line, "\r"))
}

// exposed reports whether other users can read a file. Windows has no such bits.
func exposed(m fs.FileMode) bool { return runtime.GOOS != "windows" && m&0o077 != 0 }
