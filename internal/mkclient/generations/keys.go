package generations

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/mkclient/facts"
)

// trustOf reads the keys of an image, nil for one without any. A file that cannot be read trusts nobody.
func trustOf(root facts.Root) (*extension.Trust, error) {
	b, err := os.ReadFile(root.Path(extension.KeysFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no keys is a normal answer
	}
	t := &extension.Trust{}
	if err == nil {
		err = json.Unmarshal(b, t)
	}
	if err == nil && len(t.Keys) == 0 {
		err = errors.New("it holds no keys")
	}
	if err != nil {
		return t, fail.New(fail.Verification, fmt.Sprintf("no extension is taken: read /%s: %v", extension.KeysFile, err), "")
	}
	return t, nil
}

// unseal checks the signature of a downloaded archive before anything parses it, and takes it off: what is
// unpacked are the bytes that were signed. highest is the highest sequence number so far. An image without keys
// takes every archive as it is.
func unseal(f *os.File, g *generation, root facts.Root, highest int64) error {
	t, err := trustOf(root)
	if t == nil || err != nil {
		return err
	}
	seal, bare, err := extension.Verify(f, g.Size, t.Keys)
	if err != nil {
		return err
	}
	older := func(floor int64, whose string) error {
		return &extension.Error{Kind: extension.Signature, Reason: fmt.Sprintf("it is older than %s: its sequence number is %d, after %d", whose, seal.Sequence, floor)}
	}
	switch {
	case seal.Sequence < t.Floor:
		return older(t.Floor, "the image")
	case seal.Sequence < highest:
		return older(highest, "the newest one so far")
	}
	if err := errors.Join(f.Truncate(bare), zeroEnd(f, bare)); err != nil {
		return fmt.Errorf("store extension: %w", err)
	}
	g.Sequence, g.bare = seal.Sequence, bare
	return nil
}

// zeroEnd makes the archive's comment empty, as it was signed.
func zeroEnd(f *os.File, size int64) error {
	_, err := f.WriteAt([]byte{0, 0}, size-2)
	return err
}
