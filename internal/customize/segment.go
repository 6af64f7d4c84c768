package customize

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"mkbuild/internal/config"
	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
)

// Paths in the booted system. The record identifies a segment of this package.
const (
	recordPath    = "etc/mkbuild/customization.json"
	extensionPath = "usr/lib/mk-client/mk-extension.zip" // mk-client's path
	maxText       = 1 << 20
)

// builtInitrd is the build's part of an image's last initrd.
type builtInitrd struct {
	segment initrd.Segment
	record  *manifest.Customization // an earlier run's record after it, or nil
}

// asBuilt finds the start of an initrd's customization: the last member, which has a record. In a folder of blobs
// it is a separate blob.
func asBuilt(f *overlay.Entry) (*builtInitrd, error) {
	out := &builtInitrd{segment: initrd.Segment{Name: f.Path, Size: f.Size, Open: f.Open}}
	if f.Open == nil {
		out.segment.Open = overlay.Bytes(nil)
	}
	tree, members, err := readFrom(out.segment, 0)
	if err != nil || tree.Get(recordPath) == nil || len(members) < 2 && medium.BlobDigest(f.Path) == "" {
		return out, err
	}
	last := members[len(members)-1].Offset
	added, _, err := readFrom(out.segment, last)
	if err != nil {
		return nil, err
	}
	if out.record = recordIn(added); out.record != nil {
		out.segment.Size, out.segment.Open = last, limited(out.segment.Open, last)
	}
	return out, nil
}

// readFrom reads an initrd from an offset on.
func readFrom(s initrd.Segment, offset int64) (*overlay.Tree, []initrd.Member, error) {
	r, err := s.Open()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		return nil, nil, err
	}
	return initrd.ReadMembers(r, s.Name, medium.MaxInitrd, nil)
}

// limited opens the first n bytes of a file.
func limited(open func() (io.ReadCloser, error), n int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r, n), r}, nil
	}
}

// recordIn reads the record of a segment. It returns nil without a valid record, or if the segment has files that
// no customization has: then somebody built an image from a customized image's files.
func recordIn(t *overlay.Tree) *manifest.Customization {
	for _, e := range t.Entries() {
		if !e.IsDir() && !slices.Contains([]string{profile.ClientConfig, profile.KeyFile, extensionPath, recordPath}, e.Path) {
			return nil
		}
	}
	e := t.Get(recordPath)
	if e == nil || !e.IsRegular() {
		return nil
	}
	text, err := e.Content(maxText)
	var m manifest.Customization
	if err != nil || json.Unmarshal(text, &m) != nil {
		return nil
	}
	return &m
}

// site is the content of a site's changes in the booted system.
type site struct {
	record  manifest.Customization
	files   overlay.Tree
	secret  bool          // mk-client's settings hold secrets
	added   *overlay.Tree // files, and the directories above them
	tree    *overlay.Tree // the booted system with them
	segment []byte
}

// newSite makes the segment for an image whose booted system is tree, or returns nil without changes.
func newSite(tree *overlay.Tree, c Changes, date int64) (*site, error) {
	if c.IsZero() {
		return nil, nil //nolint:nilnil // the image as built
	}
	s := &site{record: manifest.Customization{Append: strings.TrimSpace(c.Append)}}
	for _, step := range []func() error{
		func() error { return s.settings(tree, c.Settings) },
		func() error { return s.keys(tree, c.Keys) },
		func() error { return s.extension(tree, c.Extension) },
		s.note,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	layers := overlay.NewLayers(tree)
	if err := layers.AddLastWins(&s.files); err != nil {
		return nil, fmt.Errorf("place the customization: %w", err)
	}
	s.added, s.tree = layers.Added(), layers.Merged()
	var segment bytes.Buffer
	err := initrd.WriteSegment(&segment, s.added, initrd.SegmentOptions{Level: 9, ModTime: date})
	s.segment = segment.Bytes()
	return s, err
}

// needClient refuses settings for mk-client in an image without it.
func needClient(tree *overlay.Tree, flag string) error {
	if tree.Get(profile.ClientPath) == nil {
		return fail.New(fail.Usage, flag+": the image has no mk-client to read it", "customize an image with mk-client, as mkbuild iso builds it")
	}
	return nil
}

// settings applies the given settings over the build's.
func (s *site) settings(tree *overlay.Tree, want map[string]string) error {
	if len(want) == 0 {
		return nil
	}
	if err := needClient(tree, "--client-setting"); err != nil {
		return err
	}
	all := map[string]string{}
	if e := tree.Get(profile.ClientConfig); e != nil {
		text, err := e.Content(maxText)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &all); err != nil {
			return fmt.Errorf("read /%s of the image: %w", profile.ClientConfig, err)
		}
	}
	maps.Copy(all, want)
	s.record.Settings = slices.Sorted(maps.Keys(want))
	s.secret = (&config.Client{Settings: all}).HasSecrets()
	text, err := json.MarshalIndent(all, "", "  ") // map keys are sorted
	if err != nil {
		return err
	}
	return s.files.Put(overlay.File(profile.ClientConfig, 0o644, append(text, '\n')))
}

// keys adds authorized keys, only to an image with an ssh server.
func (s *site) keys(tree *overlay.Tree, want []string) error {
	if len(want) == 0 {
		return nil
	}
	e := tree.Get(profile.KeyFile)
	if e == nil || !profile.HasServer(tree) {
		return fail.New(fail.Usage, "--authorized-key: the image has no ssh server", "customize a dev or debug image: mkbuild iso --profile dev")
	}
	text, err := e.Content(maxText)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for _, k := range want {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k))
		if err != nil {
			return fmt.Errorf("read an authorized key: %w", err)
		}
		s.record.AuthorizedKeys = append(s.record.AuthorizedKeys, ssh.FingerprintSHA256(key))
		if !slices.Contains(lines, k) {
			lines = append(lines, k)
		}
	}
	return s.files.Put(overlay.File(profile.KeyFile, 0o644, []byte(strings.Join(lines, "\n")+"\n")))
}

// extension adds the archive at mk-client's path.
func (s *site) extension(tree *overlay.Tree, zip []byte) error {
	if zip == nil {
		return nil
	}
	if err := needClient(tree, "--extension"); err != nil {
		return err
	}
	if _, err := extension.Open(bytes.NewReader(zip), int64(len(zip)), extension.DefaultLimits()); err != nil {
		return fail.New(fail.Usage, "--extension: "+err.Error(), "`mkbuild extension lint` says what is wrong; `mkbuild extension pack` packs one that mk-client takes")
	}
	sum := sha256.Sum256(zip)
	s.record.Extension = hex.EncodeToString(sum[:])
	return errors.Join(s.files.Put(overlay.Dir("usr/lib/mk-client", 0o755)), s.files.Put(overlay.File(extensionPath, 0o644, zip)))
}

// note adds the record.
func (s *site) note() error {
	text, err := json.MarshalIndent(&s.record, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(s.files.Put(overlay.Dir("etc/mkbuild", 0o755)), s.files.Put(overlay.File(recordPath, 0o644, append(text, '\n'))))
}
