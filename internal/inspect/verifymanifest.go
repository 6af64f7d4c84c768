package inspect

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// checkManifest holds everything that the manifest says against the image.
func checkManifest(j *judge) error {
	if j.ManifestError != nil {
		j.add(ruleManifestText, isoPrefix+j.manifestName(), "%v", j.ManifestError)
	}
	m := j.Manifest
	if m == nil {
		return nil
	}
	if got := m.PlanDigest(); got != m.Plan {
		j.add(ruleManifestPlan, isoPrefix+j.manifestName(), "it says %s, its own content gives %s", m.Plan, got)
	}
	if err := j.checkMedium(m); err != nil {
		return err
	}
	if err := j.checkSegments(m); err != nil {
		return err
	}
	return j.checkFiles(m)
}

func (j *judge) checkMedium(m *manifest.Manifest) error {
	known := map[string]bool{j.manifestName(): true, j.ISO.CatalogPath: true, medium.PXESums: j.Kind == KindPXE}
	for _, want := range m.Boot {
		known[want.Path] = true
		f := j.Medium.Files.Get(want.Path)
		if f == nil || !f.IsRegular() {
			j.add(ruleManifestMedium, isoPrefix+want.Path, "it is missing")
			continue
		}
		sum, err := j.mediumSum(f)
		if err != nil {
			return err
		}
		if sum != want.SHA256 {
			j.add(ruleManifestMedium, isoPrefix+want.Path, "its sha256 is %s, the manifest says %s", sum, want.SHA256)
		}
	}
	for _, f := range j.Medium.Files.Entries() {
		if f.IsRegular() && !known[f.Path] {
			j.add(ruleManifestMedium, isoPrefix+f.Path, "the manifest does not know it")
		}
	}
	return nil
}

// checkSegments reads the parts of the initrd that mkbuild made.
func (j *judge) checkSegments(m *manifest.Manifest) error {
	rds := m.ByRole(manifest.RoleInitrd)
	if len(rds) == 0 || len(m.Segments) == 0 {
		return nil
	}
	f := j.Medium.Files.Get(j.remade(rds))
	if f == nil || f.Open == nil {
		return nil // told by checkMedium
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	var at int64
	for _, s := range m.Segments {
		if s.Offset+s.Size > f.Size {
			j.add(ruleManifestSegment, isoPrefix+f.Path, "segment %s ends at %d, the file at %d", s.Name, s.Offset+s.Size, f.Size)
			return nil
		}
		if _, err := io.CopyN(io.Discard, r, s.Offset-at); err != nil {
			return err
		}
		sum, err := sumOf(io.LimitReader(r, s.Size))
		if err != nil {
			return err
		}
		if at = s.Offset + s.Size; sum != s.SHA256 {
			j.add(ruleManifestSegment, isoPrefix+f.Path, "segment %s at %d has the sha256 %s, the manifest says %s", s.Name, s.Offset, sum, s.SHA256)
		}
	}
	if at != f.Size {
		j.add(ruleManifestSegment, isoPrefix+f.Path, "%d bytes behind the last segment that the manifest knows", f.Size-at)
	}
	return nil
}

// remade is the initrd that the segments are of: the last that the menu loads, which is the one
// that mkbuild adds to.
func (j *judge) remade(rds []manifest.BootFile) string {
	if n := len(j.Medium.Initrds); n > 0 {
		last := j.Medium.Initrds[n-1]
		if slices.ContainsFunc(rds, func(f manifest.BootFile) bool { return f.Path == last }) {
			return last
		}
	}
	return rds[len(rds)-1].Path
}

func (j *judge) checkFiles(m *manifest.Manifest) error {
	if j.Tree == nil {
		return nil // told by the medium
	}
	known := make(map[string]bool, len(m.Files))
	for i := range m.Files {
		want := &m.Files[i]
		known[string(want.Path)] = true
		e := j.Tree.Get(string(want.Path))
		if e == nil {
			j.add(ruleManifestFile, string(want.Path), "it is missing")
			continue
		}
		diff, err := againstRecord(e, want)
		if err != nil {
			return err
		}
		if diff != "" {
			j.add(ruleManifestFile, e.Path, "%s", diff)
		}
	}
	for _, e := range j.Tree.Entries() {
		if !known[e.Path] {
			j.add(ruleManifestFile, e.Path, "the manifest does not know it")
		}
	}
	return nil
}

// againstRecord tells how an entry differs from what the manifest says of it.
func againstRecord(e *overlay.Entry, want *manifest.File) (string, error) {
	sum := ""
	if e.IsRegular() && !want.Secret {
		var err error
		if sum, err = sumEntry(e); err != nil {
			return "", err
		}
	}
	got := manifest.Describe(e, sum)
	var out []string
	for _, d := range differ(
		[3]string{"mode", want.Mode, got.Mode}, [3]string{"owner", fmt.Sprintf("%d:%d", want.UID, want.GID), fmt.Sprintf("%d:%d", got.UID, got.GID)},
		[3]string{"size", fmt.Sprint(want.Size), fmt.Sprint(got.Size)}, [3]string{"sha256", want.SHA256, got.SHA256},
		[3]string{"link", string(want.Link), string(got.Link)}, [3]string{"device", want.Device, got.Device},
	) {
		out = append(out, fmt.Sprintf("its %s is %s, the manifest says %s", d.Property, named(d.To, "(none)"), named(d.From, "(none)")))
	}
	return strings.Join(out, "; "), nil
}
