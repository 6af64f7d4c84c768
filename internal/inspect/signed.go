package inspect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/attest"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/signing"
)

// Trust says which signatures and statements [CheckSigned] requires.
type Trust struct {
	Keys signing.Keys
	// Lock, if set, has every input of the image.
	Lock *lock.Lock
	// Require are the required attestations: "reproduced", "tested".
	Require []string
}

// Requirements are the names for [Trust.Require], with the types of their statements.
func Requirements() map[string]string {
	return map[string]string{"reproduced": attest.Reproduced, "tested": attest.Tested}
}

func requirementHint(want string) string {
	command := "mkbuild verify --rebuild IMAGE"
	if want == "tested" {
		command = "mkbuild test IMAGE"
	}
	return "`" + command + " --attest KEY` adds the statement; name that key with another --key PUB"
}

// CheckSigned checks an image's signature, provenance and required attestations: each must be signed by one of
// the keys, and be about this image.
func CheckSigned(m *Image, t Trust) error {
	if m.Kind != KindISO && m.Kind != KindPXE {
		return fail.New(fail.Usage, "verify "+m.Name+": only an ISO or a PXE folder has a signature to check", "for other forms: minisign -V -p NAME.pub -m FILE")
	}
	for _, check := range []func(*Image, Trust) error{checkSignature, checkManifestBeside, checkStatements} {
		if err := check(m, t); err != nil {
			return &fail.Error{Class: fail.Verification, What: "verify " + m.Name, Err: err, Hint: fail.HintOf(err)}
		}
	}
	return nil
}

// checkSignature verifies the minisign signature of an ISO, or of a folder's SHA256SUMS.
func checkSignature(m *Image, t Trust) error {
	name := attest.SignatureName(filepath.Clean(m.Name))
	text, err := hostfile.Read(name, signing.MaxText)
	if err != nil {
		return &fail.Error{Err: err, Hint: "fetch the file next to the image, or have the image signed: mkbuild iso --sign KEY"}
	}
	sig, err := signing.ParseSignature(text)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	signed, err := signedOf(m)
	if err != nil {
		return err
	}
	comment, err := t.Keys.Verify(signed, sig)
	if err != nil {
		return &fail.Error{Err: err, Hint: "name the builder's public key with --key PUB; if it is the right key, do not use the image"}
	}
	if !strings.HasPrefix(comment, attest.ImageComment) {
		return fmt.Errorf("read %s: the signature is not of an image: its trusted comment is %.80q", name, comment)
	}
	return nil
}

// checkManifestBeside compares the copy of the manifest next to an ISO with the one in it.
func checkManifestBeside(m *Image, _ Trust) error {
	if m.Manifest == nil {
		return ErrNoManifest
	}
	name := manifest.Beside(m.Name)
	if _, err := os.Stat(name); err != nil || m.Kind != KindISO {
		return nil
	}
	text, err := hostfile.Read(name, manifest.MaxSize)
	if err != nil {
		return err
	}
	own, err := m.Medium.Files.Get(m.Medium.ManifestPath()).Content(manifest.MaxSize)
	if err == nil && !bytes.Equal(text, own) {
		err = fmt.Errorf("%s differs from the manifest in the image", name)
	}
	return err
}

func checkStatements(m *Image, t Trust) error {
	name := attest.FileName(filepath.Clean(m.Name))
	all, err := attest.Read(name, t.Keys)
	if err != nil {
		return err
	}
	subject, err := Subject(m)
	if err != nil {
		return err
	}
	about := slices.DeleteFunc(slices.Clone(all), func(s attest.Statement) bool { return !s.About(subject.Digest["sha256"]) })
	if len(about) == 0 && len(all) > 0 {
		return fmt.Errorf("read %s: its statements are about another image", name)
	}
	built := ofType(about, attest.Provenance)
	if len(built) == 0 {
		return fmt.Errorf("read %s: it has no provenance signed by one of the keys: %s", name, t.Keys.IDs())
	}
	parts, err := partsOf(m)
	if err != nil {
		return err
	}
	for i := range built {
		err := built[i].Holds(m.Manifest, parts)
		if err == nil && t.Lock != nil {
			err = built[i].LockedBy(t.Lock)
		}
		if err != nil {
			return fmt.Errorf("read %s: the provenance does not match: %w", name, err)
		}
	}
	for _, want := range t.Require {
		got := ofType(about, Requirements()[want])
		if want == "tested" {
			got = slices.DeleteFunc(got, func(s attest.Statement) bool { return !s.Passed() })
		}
		if len(got) == 0 {
			return fail.New(fail.Verification, "no statement by a key of --key says that the image is "+want, requirementHint(want))
		}
	}
	return nil
}

func ofType(all []attest.Statement, predicate string) []attest.Statement {
	return slices.DeleteFunc(slices.Clone(all), func(s attest.Statement) bool { return s.PredicateType != predicate })
}

// signedOf is the signed file of an image: an ISO itself, or a folder's SHA256SUMS, which it checks.
func signedOf(m *Image) (io.Reader, error) {
	if m.Kind == KindISO {
		return m.whole(), nil
	}
	f := m.Medium.Files.Get(medium.PXESums)
	if f == nil {
		return nil, fmt.Errorf("it has no %s, the signed file", medium.PXESums)
	}
	if wrong := m.Medium.WrongSums(); len(wrong) > 0 {
		return nil, fmt.Errorf("%s is missing, or differs from %s", wrong[0], medium.PXESums)
	}
	list, err := f.Content(hostfile.MaxText)
	return bytes.NewReader(list), err
}

// Subject is the image as the subject of a statement.
func Subject(m *Image) (attest.Descriptor, error) {
	name := filepath.Base(filepath.Clean(m.Name))
	if m.Kind == KindPXE {
		name += "/" + medium.PXESums
	}
	r, err := signedOf(m)
	if err != nil {
		return attest.Descriptor{}, fmt.Errorf("read %s: %w", m.Name, err)
	}
	sum, err := sumOf(r)
	return attest.SHA256(name, sum), err
}

// partsOf are the digests of an image's boot files.
func partsOf(m *Image) (*attest.Parts, error) {
	if m.Medium.Kernel == "" {
		return nil, fmt.Errorf("nothing boots")
	}
	kernel, err := m.Medium.Sum(m.Medium.Kernel)
	if err != nil {
		return nil, err
	}
	made := m.Medium.Made(len(m.Manifest.Segments))
	r, err := made.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	all := sha256.New()
	p, read := &attest.Parts{Kernel: kernel}, &sections{r: io.TeeReader(r, all)}
	for _, s := range m.Manifest.Segments { // in their order, without gaps
		sum, err := read.sum(s.Offset, s.Size)
		if err != nil {
			return nil, err
		}
		p.Segments = append(p.Segments, manifest.Segment{Name: s.Name, SHA256: sum})
	}
	_, err = io.Copy(io.Discard, read.r) // the bytes after them count, too
	p.Initrd = hex.EncodeToString(all.Sum(nil))
	return p, err
}
