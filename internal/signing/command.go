package signing

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os/exec"
	"strings"

	"aead.dev/minisign"

	"mkbuild/internal/fail"
)

// Command returns a signer that runs a program for each signature: an HSM's, a KMS's, an agent's. The program
// reads the message on stdin (a digest of 64 bytes, a digest's signature with a comment, or a statement of some
// kB) and prints the plain Ed25519 signature, raw or in base64. command is split at blanks and runs without a
// shell.
func Command(command string, public minisign.PublicKey) (*Signer, error) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil, fail.New(fail.Usage, "--sign-command names no program", "for example: --sign-command ./sign.sh")
	}
	return &Signer{Public: public, sign: func(ctx context.Context, message []byte) ([]byte, error) {
		var out, said bytes.Buffer
		c := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the user's own choice
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(message), &bounded{&out}, &bounded{&said}
		err := c.Run()
		sig := []byte(nil)
		if err == nil {
			sig, err = signatureOf(out.Bytes())
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			if text := strings.Join(strings.Fields(said.String()), " "); text != "" {
				err = fmt.Errorf("%w: %s", err, text)
			}
			return nil, &fail.Error{Class: fail.Usage, What: "run --sign-command " + words[0], Err: err, Hint: "the program reads the bytes to sign on stdin and prints the Ed25519 signature, 64 bytes or their base64"}
		}
		return sig, nil
	}}, nil
}

// bounded keeps the beginning of a program's output.
type bounded struct{ b *bytes.Buffer }

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	b.b.Write(p[:min(len(p), max(0, MaxText-b.b.Len()))])
	return len(p), nil
}

// signatureOf finds a plain Ed25519 signature in a command's output: 64 bytes, or their base64.
func signatureOf(out []byte) ([]byte, error) {
	if len(out) == ed25519.SignatureSize {
		return out, nil
	}
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(out)))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("it printed %d bytes: a signature is 64 bytes, or their base64", len(out))
	}
	return sig, nil
}
