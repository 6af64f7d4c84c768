package remaster

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
	mkext "mkbuild/internal/extension"
	"mkbuild/internal/initrd"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
)

// Custom is what [Customize] changes in an image. What an earlier run has changed does not stay: the
// result is always the image as built, with this.
type Custom struct {
	// Append are kernel arguments, put behind those of the build.
	Append string
	// Settings of mk-client, without "razor."; they win over those of the build.
	Settings map[string]string
	// Keys are checked lines of authorized_keys, put behind those of the build.
	Keys []string
	// Extension is a zip archive that mk-client uses as long as its server gives it none.
	Extension []byte
}

// IsZero reports whether nothing is asked for, so that the image is as built.
func (c *Custom) IsZero() bool {
	return strings.TrimSpace(c.Append) == "" && len(c.Settings) == 0 && len(c.Keys) == 0 && c.Extension == nil
}

// allowed refuses kernel arguments that make a way into a prod image.
func (c *Custom) allowed(m *manifest.Manifest) error {
	if m == nil || m.Profile != "prod" {
		return nil
	}
	if open := profile.OpenArguments(c.Append); len(open) > 0 {
		return &OpenError{"it would have a way in: " + strings.Join(open, ", ")}
	}
	return nil
}

// Places in the booted system. The record makes a segment known as one that Customize has written.
const (
	customRecord    = "etc/mkbuild/customization.json"
	customExtension = "usr/lib/mk-client/mk-extension.zip" // where mk-client looks for it
	customOrigin    = "customization"
)

// opener opens a file from its beginning, any number of times.
type opener func() (io.ReadCloser, error)

// builtInitrd is an initrd as it was built: what an image's last initrd holds in front of the segment
// that an earlier run has appended.
type builtInitrd struct {
	open opener
	size int64                   // of the initrd as built, without padding
	old  *manifest.Customization // what the earlier run has recorded; nil when there was none
}

// asBuilt finds out where the customization of an initrd begins. It is the last member, and says so.
func asBuilt(open opener, size int64, name string) (*builtInitrd, error) {
	out := &builtInitrd{open: open, size: size}
	r, err := open()
	if err != nil {
		return nil, err
	}
	tree, members, err := initrd.ReadMembers(r, name, medium.MaxInitrd)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if tree.Get(customRecord) == nil || len(members) < 2 {
		return out, nil
	}
	last := members[len(members)-1].Offset
	if r, err = open(); err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	if _, err := io.CopyN(io.Discard, r, last); err != nil {
		return nil, err
	}
	segment, err := initrd.Read(r, name, medium.MaxInitrd)
	if err != nil {
		return nil, err
	}
	if out.old = recordIn(segment); out.old != nil {
		out.size = last
	}
	return out, nil
}

// recordIn reads the record of a segment; nil when it has none that is right, or holds files that no
// customization does: those of somebody who has built an image out of a customized one's files.
func recordIn(t *overlay.Tree) *manifest.Customization {
	for _, e := range t.Entries() {
		if !e.IsDir() && !slices.Contains([]string{clientConfig, profile.KeyFile, customExtension, customRecord}, e.Path) {
			return nil
		}
	}
	e := t.Get(customRecord)
	if e == nil || !e.IsRegular() {
		return nil
	}
	text, err := e.Content(1 << 20)
	var m manifest.Customization
	if err != nil || json.Unmarshal(text, &m) != nil {
		return nil
	}
	return &m
}

// reader reads the initrd as built, padded to a multiple of four bytes.
func (b *builtInitrd) reader() (io.ReadCloser, error) {
	return b.whole().Padded().Open()
}

// whole is the initrd as built.
func (b *builtInitrd) whole() initrd.Segment {
	return initrd.Segment{Size: b.size, Open: func() (io.ReadCloser, error) {
		r, err := b.open()
		return limited{io.LimitReader(r, b.size), r}, err
	}}
}

type limited struct {
	io.Reader
	io.Closer
}

// customized is an initrd with its new segment, which is empty for an image as built.
type customized struct {
	*builtInitrd
	segment []byte
	record  *manifest.Customization
	added   *overlay.Tree // what the segment holds
	secret  bool          // mk-client's settings hold secrets
}

// reader reads the initrd with its segment.
func (c *customized) reader() (io.ReadCloser, error) {
	if len(c.segment) == 0 {
		return c.whole().Open()
	}
	return initrd.Segments{c.whole().Padded(), {Size: int64(len(c.segment)), Open: overlay.Bytes(c.segment)}}.Open()
}

// length is how many bytes reader reads.
func (c *customized) length() int64 {
	if len(c.segment) == 0 {
		return c.size
	}
	return c.size + -c.size&3 + int64(len(c.segment))
}

// customize makes the segment. tree is the booted system as built.
func (b *builtInitrd) customize(tree *overlay.Tree, c Custom, mtime int64) (*customized, error) {
	out := &customized{builtInitrd: b}
	if c.IsZero() {
		return out, nil
	}
	files := &overlay.Tree{}
	out.record = &manifest.Customization{Append: strings.TrimSpace(c.Append)}
	for _, step := range []func(*overlay.Tree, *overlay.Tree, Custom) error{out.settings, out.keys, out.extension, out.note} {
		if err := step(tree, files, c); err != nil {
			return nil, err
		}
	}
	layers := overlay.NewLayers(tree)
	if err := layers.AddLastWins(files); err != nil {
		return nil, fmt.Errorf("place the customization: %w", err)
	}
	out.added = layers.Added()
	var segment bytes.Buffer
	if err := initrd.WriteSegment(&segment, out.added, initrd.SegmentOptions{Level: 9, ModTime: mtime}); err != nil {
		return nil, err
	}
	out.segment = segment.Bytes()
	return out, nil
}

// needClient refuses what only mk-client reads.
func needClient(tree *overlay.Tree, flag string) error {
	if tree.Get(profile.ClientPath) == nil {
		return config.Mistake(flag, "the image has no mk-client, which alone would read it", "take an image that mkbuild iso has built with mk-client")
	}
	return nil
}

// settings puts the given settings over those of the build.
func (c *customized) settings(tree, files *overlay.Tree, want Custom) error {
	if len(want.Settings) == 0 {
		return nil
	}
	if err := needClient(tree, "client settings"); err != nil {
		return err
	}
	all := map[string]string{}
	if e := tree.Get(clientConfig); e != nil {
		text, err := e.Content(1 << 20)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &all); err != nil {
			return fmt.Errorf("read /%s of the image: %w", clientConfig, err)
		}
	}
	maps.Copy(all, want.Settings)
	c.record.Settings = slices.Sorted(maps.Keys(want.Settings))
	c.secret = (&config.Client{Settings: all}).HasSecrets()
	text, err := json.MarshalIndent(all, "", "  ") // map keys come out sorted
	if err != nil {
		return err
	}
	return files.Put(overlay.File(clientConfig, 0o644, append(text, '\n')))
}

// keys adds authorized keys, to an image that has an ssh server alone.
func (c *customized) keys(tree, files *overlay.Tree, want Custom) error {
	if len(want.Keys) == 0 {
		return nil
	}
	e := tree.Get(profile.KeyFile)
	if e == nil || len(profile.ServerPaths(tree)) == 0 {
		return config.Mistake("authorized keys", "the image has no ssh server: a prod image has no way in", "build an image with --profile dev, and customize that")
	}
	text, err := e.Content(1 << 20)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for _, k := range want.Keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k))
		if err != nil {
			return fmt.Errorf("read an authorized key: %w", err)
		}
		c.record.AuthorizedKeys = append(c.record.AuthorizedKeys, ssh.FingerprintSHA256(key))
		if !slices.Contains(lines, k) {
			lines = append(lines, k)
		}
	}
	return files.Put(overlay.File(profile.KeyFile, 0o644, []byte(strings.Join(lines, "\n")+"\n")))
}

// extension places the archive where mk-client looks for one.
func (c *customized) extension(tree, files *overlay.Tree, want Custom) error {
	if want.Extension == nil {
		return nil
	}
	if err := needClient(tree, "extension"); err != nil {
		return err
	}
	if _, err := mkext.Open(bytes.NewReader(want.Extension), int64(len(want.Extension)), mkext.DefaultLimits()); err != nil {
		return config.Mistake("extension", err.Error(), "mkbuild extension lint says what is wrong with it; mkbuild extension pack makes a right one")
	}
	sum := sha256.Sum256(want.Extension)
	c.record.Extension = hex.EncodeToString(sum[:])
	return putAll(files, overlay.Dir("usr/lib/mk-client", 0o755), overlay.File(customExtension, 0o644, want.Extension))
}

// note places the record.
func (c *customized) note(_, files *overlay.Tree, _ Custom) error {
	text, err := json.MarshalIndent(c.record, "", "  ")
	if err != nil {
		return err
	}
	return putAll(files, overlay.Dir("etc/mkbuild", 0o755), overlay.File(customRecord, 0o644, append(text, '\n')))
}
