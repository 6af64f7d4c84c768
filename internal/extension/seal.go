package extension

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"

	"mkbuild/internal/fail"
	"mkbuild/internal/signing"
)

// KeysFile is the path, below the root, of the keys for runtime extensions. Neither the kernel's command line nor
// the server can name another path. Without the file, unsigned extensions are accepted.
const KeysFile = "usr/lib/mk-client/extension-keys.json"

// Trust is the content of [KeysFile].
type Trust struct {
	Keys signing.Keys `json:"keys"`
	// Floor is the lowest accepted sequence number: the image's own time.
	Floor int64 `json:"floor"`
}

// Seal is the content of an archive's signature: a minisign signature of the archive without its comment, in that
// comment, which unzip, busybox and the reference client skip.
type Seal struct {
	Name string
	// Sequence says which of two archives is newer: by default the seconds since 1970.
	Sequence  int64
	signature signing.Signature
}

// Key is the number of the key that signed it.
func (s *Seal) Key() string { return signing.KeyID(s.signature.KeyID) }

// SealName matches the valid names of a seal.
var SealName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// sealForm is the trusted comment of an archive. Its first word keeps signatures of other files out.
var sealForm = regexp.MustCompile(`^mk-extension name:([A-Za-z0-9][A-Za-z0-9._-]{0,63}) sequence:([0-9]{1,15})$`)

// The end record of a zip archive (APPNOTE.TXT 4.3.16) is followed by the comment alone.
const (
	endRecord    = "PK\x05\x06"
	endSize      = 22
	end64Locator = "PK\x06\x07" // 4.3.15
	end64Size    = 20
	maxSeal      = 2 << 10
)

// Sign returns the archive with a signature in its comment. It replaces an existing signature.
func Sign(ctx context.Context, zip []byte, signer *signing.Signer, name string, sequence int64) ([]byte, error) {
	n, comment, err := splitComment(bytes.NewReader(zip), int64(len(zip)))
	if err != nil {
		return nil, err
	}
	if len(comment) > 0 && !bytes.HasPrefix(comment, []byte("untrusted comment:")) {
		return nil, &Error{Kind: Format, Reason: "it already has a comment, which the signature would replace"}
	}
	if !SealName.MatchString(name) || sequence < 0 {
		return nil, fail.New(fail.Usage, fmt.Sprintf("sign: %q is not a name of letters, digits, . _ and -", name), "name the extension with --name NAME")
	}
	bare := append(bytes.Clone(zip[:n-2]), 0, 0)
	sig, err := signer.Minisign(ctx, bytes.NewReader(bare), fmt.Sprintf("mk-extension name:%s sequence:%d", name, sequence))
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint16(bare[n-2:], uint16(len(sig))) //nolint:gosec // some 400 bytes
	return append(bare, sig...), nil
}

// Verify checks the signature of an archive of size bytes before anything in it is parsed: one of the keys must
// have signed all its bytes. bare is its length without the comment; the caller then sets its last two bytes, the
// comment's length, to zero. A failure is an [*Error] of kind [Signature].
func Verify(r io.ReaderAt, size int64, keys signing.Keys) (seal Seal, bare int64, err error) {
	seal, bare, err = readSeal(r, size)
	if err != nil {
		return seal, 0, err
	}
	signed := io.MultiReader(io.NewSectionReader(r, 0, bare-2), bytes.NewReader([]byte{0, 0}))
	trusted, err := keys.Verify(signed, seal.signature)
	if err != nil {
		return seal, 0, &Error{Kind: Signature, Reason: err.Error()}
	}
	m := sealForm.FindStringSubmatch(trusted)
	if m == nil {
		return seal, 0, &Error{Kind: Signature, Reason: "it is not the signature of a runtime extension: the trusted comment is not `mk-extension name:NAME sequence:NUMBER`"}
	}
	seal.Name = m[1]
	seal.Sequence, err = strconv.ParseInt(m[2], 10, 64)
	return seal, bare, err
}

// readSeal finds the signature.
func readSeal(r io.ReaderAt, size int64) (Seal, int64, error) {
	n, comment, err := splitComment(r, size)
	switch {
	case err != nil:
		return Seal{}, 0, err
	case len(comment) == 0:
		return Seal{}, 0, &Error{Kind: Signature, Reason: "it is not signed"}
	case len(comment) > maxSeal:
		return Seal{}, 0, &Error{Kind: Signature, Reason: fmt.Sprintf("it is not signed: a comment of %d bytes is not a signature", len(comment))}
	}
	s, err := signing.ParseSignature(comment)
	if err != nil {
		return Seal{}, 0, &Error{Kind: Signature, Reason: err.Error()}
	}
	return Seal{signature: s}, n, nil
}

// splitComment returns the length of an archive up to its comment, and the comment. The last end record counts,
// as in every unzip program. Its comment ends the file, and the end belongs to no other record's comment.
func splitComment(r io.ReaderAt, size int64) (int64, []byte, error) {
	from := max(0, size-endSize-math.MaxUint16-end64Size)
	tail := make([]byte, size-from)
	if _, err := io.ReadFull(io.NewSectionReader(r, from, int64(len(tail))), tail); err != nil {
		return 0, nil, err
	}
	at := bytes.LastIndex(tail, []byte(endRecord))
	if at < 0 || at+endSize > len(tail) {
		return 0, nil, &Error{Kind: Signature, Reason: "it is not a zip archive, or is cut off"}
	}
	if at+endSize+commentLength(tail[at:]) != len(tail) {
		return 0, nil, &Error{Kind: Signature, Reason: "it is cut off, or has extra bytes at its end"}
	}
	if at >= end64Size && bytes.HasPrefix(tail[at-end64Size:], []byte(end64Locator)) {
		return 0, nil, &Error{Kind: Signature, Reason: "it is a zip64 archive, which mkbuild does not sign: extensions are far smaller"}
	}
	for rest := tail[:at]; ; {
		i := bytes.LastIndex(rest, []byte(endRecord))
		if i < 0 {
			break
		}
		if i+endSize+commentLength(tail[i:]) == len(tail) {
			return 0, nil, &Error{Kind: Signature, Reason: "it has two end records"}
		}
		rest = rest[:i]
	}
	return from + int64(at) + endSize, tail[at+endSize:], nil
}

// commentLength reads the comment's length from an end record.
func commentLength(record []byte) int { return int(binary.LittleEndian.Uint16(record[endSize-2:])) }
