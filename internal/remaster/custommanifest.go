package remaster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"mkbuild/internal/config"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// customManifest brings the manifest of an ISO up to date.
func customManifest(ctx context.Context, m *manifest.Manifest, img *iso9660.Image, rd *customized) ([]byte, error) {
	for i := range m.Boot {
		f := img.Files.Get(m.Boot[i].Path)
		if f == nil || m.Boot[i].InfoTable {
			continue
		}
		sum, err := digest(ctx, f.CopyTo)
		if err != nil {
			return nil, err
		}
		m.Boot[i].Size, m.Boot[i].SHA256 = f.Size, sum
	}
	return rd.describe(ctx, m)
}

// describe records the customization in a manifest whose boot files are up to date.
func (c *customized) describe(ctx context.Context, m *manifest.Manifest) ([]byte, error) {
	c.restore(m)
	if c.record == nil {
		return m.Render()
	}
	about := *c.record
	about.Append = config.RedactArguments(about.Append)
	for _, e := range c.added.Entries() {
		at := slices.IndexFunc(m.Files, func(f manifest.File) bool { return string(f.Path) == e.Path })
		if at >= 0 && e.IsDir() {
			continue
		}
		if at >= 0 {
			about.Replaced = append(about.Replaced, m.Files[at])
			m.Files = slices.Delete(m.Files, at, at+1)
		} else {
			about.Added = append(about.Added, manifest.Text(e.Path))
		}
		f, err := c.fileRecord(ctx, e)
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, f)
	}
	sortFiles(m.Files)
	sum := sha256.Sum256(c.segment)
	m.Segments = append(m.Segments, manifest.Segment{Name: customOrigin, Offset: c.length() - int64(len(c.segment)), Size: int64(len(c.segment)), SHA256: hex.EncodeToString(sum[:])})
	m.Customization = &about
	return m.Render()
}

// restore takes the record of an earlier run out of a manifest.
func (c *customized) restore(m *manifest.Manifest) {
	if m.Customization == nil {
		return
	}
	gone := map[manifest.Text]bool{}
	for _, p := range m.Customization.Added {
		gone[p] = true
	}
	for _, f := range m.Customization.Replaced {
		gone[f.Path] = true
	}
	m.Files = slices.DeleteFunc(m.Files, func(f manifest.File) bool { return gone[f.Path] })
	m.Files = append(m.Files, m.Customization.Replaced...)
	sortFiles(m.Files)
	m.Segments = slices.DeleteFunc(m.Segments, func(s manifest.Segment) bool { return s.Name == customOrigin })
	m.Customization = nil
}

// fileRecord describes a file of the segment, without a digest when it holds secrets.
func (c *customized) fileRecord(ctx context.Context, e *overlay.Entry) (manifest.File, error) {
	shown := *e
	shown.Origin = customOrigin
	if !e.IsRegular() || c.secret && e.Path == clientConfig {
		return manifest.Describe(&shown, ""), nil
	}
	sum, err := digest(ctx, e.CopyTo)
	return manifest.Describe(&shown, sum), err
}

// sortFiles puts records into the order of overlay.Tree.Entries.
func sortFiles(files []manifest.File) {
	slices.SortFunc(files, func(a, b manifest.File) int {
		switch {
		case a.Path == b.Path:
			return 0
		case a.Path == ".":
			return -1
		case b.Path == ".":
			return 1
		}
		return cmp.Compare(a.Path, b.Path)
	})
}
