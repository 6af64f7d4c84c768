package remaster

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"path"

	"github.com/klauspost/compress/gzip"

	"mkbuild/internal/config"
	"mkbuild/internal/extension"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/signing"
)

// profile changes the base's own files and adds mk-client.
func (l *layering) profile(context.Context) error {
	c := l.out.Plan.Config
	if l.client != nil {
		if err := l.placeClient(l.client); err != nil {
			return err
		}
	}
	changed, err := profile.Apply(l.out.layers.Merged(), profile.Options{
		Profile: c.Profile, Version: c.Image.Version, Release: c.Release,
		Keys: l.b.Keys, BootGems: l.bootGems, Client: l.client != nil,
	})
	if err != nil {
		return err
	}
	return l.out.layers.AddLastWins(changed)
}

// placeClient places the program and its configuration as two layers: many images share the program.
func (l *layering) placeClient(all *overlay.Tree) error {
	program, settings := &overlay.Tree{}, all.Clone()
	if err := program.Put(*all.Get(profile.ClientPath)); err != nil {
		return err
	}
	settings.Remove(profile.ClientPath)
	if len(l.keys) > 0 {
		if err := l.putKeys(settings); err != nil {
			return err
		}
	}
	if err := l.place("mk-client", true, program); err != nil {
		return err
	}
	return l.out.layers.AddLastWins(settings)
}

// putKeys adds the public keys for runtime extensions. The image's time is the lowest sequence number.
func (l *layering) putKeys(onto *overlay.Tree) error {
	text, err := json.Marshal(extension.Trust{Keys: l.keys, Floor: l.out.Epoch})
	if err != nil {
		return err
	}
	return putAll(onto, overlay.Dir(path.Dir(extension.KeysFile), 0o755), overlay.File(extension.KeysFile, 0o644, append(text, '\n')))
}

// readClient gets mk-client and its configuration, unless the image goes without. A mkbuild without the program
// refuses: the machines would never report.
func (l *layering) readClient() error {
	c := l.out.Plan.Config
	if c.Client.Disabled || l.b.Client == nil {
		return nil
	}
	program, err := l.b.Client(c.Arch)
	if err != nil {
		return err
	}
	if l.keys, err = signing.ReadKeys("extension_keys", c.ExtensionKeys...); err != nil {
		return err
	}
	l.client, err = clientTree(program, c)
	return err
}

// Paths of mk-client's actions and of its CA.
const (
	clientCA      = "etc/mkbuild/ca.pem"
	clientActions = "usr/lib/razor"
)

// clientProgram is the entry of mk-client, gzip'd or not. It is unpacked only when its content is read: an image
// whose segments are all in the cache does not read it.
func clientProgram(program *io.SectionReader) (overlay.Entry, error) {
	e := overlay.File(profile.ClientPath, 0o755, nil)
	e.Size, e.Open = program.Size(), sectionOf(program, 0, program.Size())
	magic, size := make([]byte, 2), make([]byte, 4)
	if _, err := program.ReadAt(magic, 0); err != nil || string(magic) != "\x1f\x8b" {
		return e, nil //nolint:nilerr // too short for a gzip header
	}
	if e.Size < gzipTrailer {
		return e, fmt.Errorf("unpack mk-client: %w", io.ErrUnexpectedEOF)
	}
	_, err := program.ReadAt(size, e.Size-4)
	sum := sha256.New()
	if err == nil {
		err = e.CopyTo(sum)
	}
	if err != nil {
		return e, fmt.Errorf("read mk-client: %w", err)
	}
	e.ID = "gzip:" + hex.EncodeToString(sum.Sum(nil))
	e.Size = int64(binary.LittleEndian.Uint32(size)) // RFC 1952 section 2.3.1, ISIZE
	e.Open = func() (io.ReadCloser, error) {
		z, err := gzip.NewReader(io.NewSectionReader(program, 0, program.Size()))
		if err != nil {
			return nil, fmt.Errorf("unpack mk-client: %w", err)
		}
		return z, nil
	}
	return e, nil
}

// gzipTrailer is the length of a CRC-32 and of the unpacked size.
const gzipTrailer = 8

// clientTree is mk-client with its configuration from mkbuild.yaml.
func clientTree(packed *io.SectionReader, c config.Config) (*overlay.Tree, error) {
	out := &overlay.Tree{}
	program, err := clientProgram(packed)
	if err != nil {
		return nil, err
	}
	settings := maps.Clone(c.Client.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	if _, given := settings["debug"]; c.Profile == "debug" && !given {
		settings["debug"] = "on"
	}
	if c.MCollective != nil && c.MCollective.AllowSampleSecrets {
		settings["mcollective.allow_sample_secrets"] = "on"
	}
	if c.Client.CA != "" {
		text, err := readCA(c.Client.CA)
		if err != nil {
			return nil, err
		}
		settings["ca"] = "/" + clientCA
		if err := putAll(out, overlay.Dir("etc/mkbuild", 0o755), overlay.File(clientCA, 0o644, text)); err != nil {
			return nil, err
		}
	}
	text, err := json.MarshalIndent(settings, "", "  ") // map keys come out sorted
	if err != nil {
		return nil, err
	}
	return out, putAll(out,
		program,
		overlay.File(profile.ClientConfig, 0o644, append(text, '\n')),
		overlay.Dir(clientActions, 0o755),
		overlay.Symlink(clientActions+"/reboot", "/sbin/reboot"),
	)
}

// readCA reads a PEM file that may hold only certificates.
func readCA(name string) ([]byte, error) {
	text, err := hostfile.Read(name, hostfile.MaxText)
	if err != nil {
		return nil, fmt.Errorf("read client.ca: %w", err)
	}
	n := 0
	for rest := text; ; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return nil, config.Mistake("client.ca", fmt.Sprintf("%s holds a %s: only certificates may go into an image", name, b.Type), "")
		}
	}
	if n == 0 {
		return nil, config.Mistake("client.ca", name+" holds no PEM certificate", "")
	}
	return text, nil
}
