package rubygems

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"go.yaml.in/yaml/v3"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// Limits of one gem. The largest likely gem without native code, facter, has 300 KiB and 600 files.
const (
	maxGem       = 64 << 20  // bytes of the .gem file
	maxMetadata  = 8 << 20   // bytes of the unpacked metadata
	maxChecksums = 1 << 20   // bytes of the unpacked checksums
	maxGemData   = 256 << 20 // bytes of the unpacked files
	maxGemFiles  = 50_000
	maxMembers   = 100 // members of the .gem file; real ones have up to 6
)

// ErrChecksum is returned when a member of a gem differs from the gem's own checksums.
var ErrChecksum = fail.New(fail.Verification, "wrong checksum", "")

// Gem is the content of a .gem file.
type Gem struct {
	Spec
	// File is the gem's file name, for errors and as origin of its entries.
	File string
	// Metadata is the rest of the specification.
	Metadata Metadata
	// Files are the gem's unpacked files: only directories, regular files, and symlinks that stay inside.
	Files *overlay.Tree
	// MTime is the gem's build time in seconds since 1970, or 0 if the gem has none.
	MTime int64
	// raw is the .gem file itself.
	raw []byte
}

// ReadGem reads a .gem file of RubyGems 1.x to 4.x: a tar archive of metadata.gz, data.tar.gz and, since RubyGems
// 2.0, checksums.yaml.gz, which is verified if present. file names the gem in errors.
//
// It fails with [ErrNotGem], [ErrChecksum], [overlay.ErrPath] or [overlay.ErrLimit], and with an error of class
// [fail.Usage] for a gem of native code or for another platform.
func ReadGem(r io.Reader, file string) (*Gem, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxGem+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(raw) > maxGem {
		return nil, fmt.Errorf("read %s: %w: a gem of more than %d bytes", file, overlay.ErrLimit, maxGem)
	}
	m, err := readMembers(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	spec, meta, err := m.specification()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if err := installable(file, spec, &meta); err != nil {
		return nil, err
	}
	files, err := readFiles(m.data, file)
	if err != nil {
		return nil, err
	}
	return &Gem{Spec: spec, File: file, Metadata: meta, Files: files, MTime: m.mtime, raw: raw}, nil
}

// installable refuses gems with native code and gems for another platform.
func installable(file string, spec Spec, m *Metadata) error {
	if len(m.Extensions) > 0 {
		return fail.New(fail.Usage,
			fmt.Sprintf("read %s: gem %s has a native extension (%s), which needs a compiler inside the image", file, spec, strings.Join(m.Extensions, ", ")),
			"install a pure Ruby gem instead (json_pure for json), or bring the compiled library as an extension")
	}
	if m.Platform != "ruby" {
		return fail.New(fail.Usage,
			fmt.Sprintf("read %s: gem %s is built for platform %q, the image takes platform \"ruby\" only", file, spec, m.Platform),
			"use the gem's file without a platform in its name")
	}
	return nil
}

// Match returns an error of class [fail.Verification] unless g has the given name and version.
func (g *Gem) Match(name, version string) error {
	v, err := ParseVersion(version)
	if err == nil && g.Name == name && g.Version.String() == v.String() {
		return nil
	}
	wanted := name + "-" + version
	return fail.New(fail.Verification, fmt.Sprintf("read %s: it holds the gem %s, wanted %s", g.File, g, wanted),
		"correct name, version or url of "+wanted+" under gems.install")
}

// members are the relevant parts of a .gem file.
type members struct {
	metadata, data, checksums []byte
	mtime                     int64
}

// readMembers splits the outer tar archive. Duplicate names are refused, as in RubyGems: otherwise the checked part
// could differ from the used part.
func readMembers(raw []byte) (*members, error) {
	if overlay.LooksLikeHTML(raw[:min(len(raw), 512)]) {
		return nil, fmt.Errorf("%w: it is a web page", ErrNotGem)
	}
	if bytes.Contains(raw[:min(len(raw), 20)], []byte("MD5SUM =")) {
		return nil, fmt.Errorf("%w: it has the format before RubyGems 0.8.11", ErrNotGem)
	}
	m := &members{}
	seen := make(map[string]bool)
	for tr := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotGem, err)
		}
		if seen[h.Name] || len(seen) == maxMembers {
			return nil, fmt.Errorf("%w: member %.64q occurs twice, or there are too many", ErrNotGem, h.Name)
		}
		seen[h.Name] = true
		if err := m.take(h, tr); err != nil {
			return nil, err
		}
	}
	if m.metadata == nil || m.data == nil {
		return nil, fmt.Errorf("%w: no metadata.gz and data.tar.gz in it", ErrNotGem)
	}
	return m, nil
}

// take stores a known member and skips others, such as signatures.
func (m *members) take(h *tar.Header, r io.Reader) error {
	var into *[]byte
	switch h.Name {
	case "metadata.gz":
		into = &m.metadata
		m.mtime = max(h.ModTime.Unix(), 0)
	case "data.tar.gz":
		into = &m.data
	case "checksums.yaml.gz":
		into = &m.checksums
	default:
		return nil
	}
	b, err := io.ReadAll(r) // at most the rest of the gem, which is already in memory
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNotGem, h.Name, err)
	}
	*into = b
	return nil
}

// specification checks the members and decodes the metadata.
func (m *members) specification() (spec Spec, meta Metadata, err error) {
	if err := m.verify(); err != nil {
		return spec, meta, err
	}
	b, err := gunzip(m.metadata, maxMetadata)
	if err != nil {
		return spec, meta, fmt.Errorf("metadata.gz: %w", err)
	}
	if spec, meta, err = parseMetadata(b); err != nil {
		err = fmt.Errorf("metadata: %w", err)
	}
	return spec, meta, err
}

// verify checks the members against the gem's checksums, if it has any.
func (m *members) verify() error {
	if m.checksums == nil {
		return nil
	}
	b, err := gunzip(m.checksums, maxChecksums)
	if err != nil {
		return fmt.Errorf("checksums.yaml.gz: %w", err)
	}
	doc, err := parseYAML(b)
	if err != nil {
		return fmt.Errorf("checksums.yaml: %w", err)
	}
	if err := verifyMember(doc, "metadata.gz", m.metadata); err != nil {
		return err
	}
	return verifyMember(doc, "data.tar.gz", m.data)
}

// verifyMember checks content against SHA256 and SHA512, of which at least one is required. RubyGems 2.0 wrote SHA1
// and SHA512; SHA1 proves nothing and is ignored.
func verifyMember(doc *yaml.Node, name string, content []byte) error {
	s256, s512 := sha256.Sum256(content), sha512.Sum512(content)
	compared := false
	for _, sum := range []struct{ algorithm, got string }{
		{"SHA256", hex.EncodeToString(s256[:])},
		{"SHA512", hex.EncodeToString(s512[:])},
	} {
		want := textOf(child(child(doc, sum.algorithm), name))
		if want == "" {
			continue
		}
		if !strings.EqualFold(want, sum.got) {
			return fmt.Errorf("%w: %s of %s", ErrChecksum, sum.algorithm, name)
		}
		compared = true
	}
	if !compared {
		return fmt.Errorf("%w: checksums.yaml has neither SHA256 nor SHA512 of %s", ErrChecksum, name)
	}
	return nil
}

// gunzip unpacks at most limit bytes.
func gunzip(b []byte, limit int64) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotGem, err)
	}
	out, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotGem, err)
	}
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", overlay.ErrLimit, limit)
	}
	return out, nil
}

// readFiles unpacks data.tar.gz like `gem install`, but writes nothing outside the gem's own directory.
func readFiles(data []byte, file string) (*overlay.Tree, error) {
	t, err := overlay.ReadTar(bytes.NewReader(data), file, overlay.Limits{Total: maxGemData, Entries: maxGemFiles})
	if err != nil {
		return nil, fmt.Errorf("%w: data.tar.gz: %w", ErrNotGem, err)
	}
	out, err := t.Installed()
	if err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	return out, nil
}
