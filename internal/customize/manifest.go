package customize

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/wholefile"
)

// origin is the manifest's origin of the segment and its files.
const origin = "customization"

// describe returns the manifest of a changed image. s is nil for an image as built.
func describe(ctx context.Context, m *manifest.Manifest, made *medium.Medium, s *site) ([]byte, error) {
	followBlobs(m, made)
	for i := range m.Boot {
		f := made.Files.Get(m.Boot[i].Path)
		if f == nil || m.Boot[i].InfoTable {
			continue
		}
		sum, err := digest(ctx, f)
		if err != nil {
			return nil, err
		}
		m.Boot[i].Size, m.Boot[i].SHA256 = f.Size, sum
	}
	restore(m)
	if s != nil {
		if err := s.addTo(ctx, m, made.Made(len(m.Segments)+1).Size()); err != nil {
			return nil, err
		}
	}
	return m.Render()
}

// followBlobs adds the record of a customization in a blob after the build's records, and replaces an earlier
// run's.
func followBlobs(m *manifest.Manifest, made *medium.Medium) {
	m.Boot = slices.DeleteFunc(m.Boot, func(b manifest.BootFile) bool {
		return medium.BlobDigest(b.Path) != "" && made.Files.Get(b.Path) == nil
	})
	last := made.LastInitrd()
	if !slices.ContainsFunc(m.Boot, func(b manifest.BootFile) bool { return b.Path == last }) && medium.BlobDigest(last) != "" {
		m.Boot = slices.Insert(m.Boot, min(len(made.Initrds), len(m.Boot)), manifest.BootFile{Path: last, Role: manifest.RoleInitrd})
	}
}

// restore removes the record of an earlier run from a manifest.
func restore(m *manifest.Manifest) {
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
	m.Segments = slices.DeleteFunc(m.Segments, func(s manifest.Segment) bool { return s.Name == origin })
	m.Customization = nil
}

// addTo records the site's changes in the manifest of the image as built. size is the initrd's size.
func (s *site) addTo(ctx context.Context, m *manifest.Manifest, size int64) error {
	about := s.record
	about.Append = config.RedactArguments(about.Append)
	for _, e := range s.added.Entries() {
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
		f, err := s.fileRecord(ctx, e)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, f)
	}
	sortFiles(m.Files)
	sum, n := sha256.Sum256(s.segment), int64(len(s.segment))
	m.Segments = append(m.Segments, manifest.Segment{Name: origin, Offset: size - n, Size: n, SHA256: hex.EncodeToString(sum[:])})
	m.Customization = &about
	return nil
}

// fileRecord describes a file of the segment, without a digest if it holds secrets.
func (s *site) fileRecord(ctx context.Context, e *overlay.Entry) (manifest.File, error) {
	shown := *e
	shown.Origin = origin
	if !e.IsRegular() || s.secret && e.Path == profile.ClientConfig {
		return manifest.Describe(&shown, ""), nil
	}
	sum, err := digest(ctx, e)
	return manifest.Describe(&shown, sum), err
}

func digest(ctx context.Context, e *overlay.Entry) (string, error) {
	sum := sha256.New()
	err := e.CopyTo(wholefile.Interruptible(ctx, sum))
	return hex.EncodeToString(sum.Sum(nil)), err
}

// sortFiles sorts records like overlay.Tree.Entries.
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
		return strings.Compare(string(a.Path), string(b.Path))
	})
}
