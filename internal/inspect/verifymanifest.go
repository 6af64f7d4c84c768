package inspect

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// checkManifest checks the image against everything in its manifest.
func checkManifest(ctx context.Context, m *Image, f findings) error {
	if m.ManifestError != nil {
		f.add(ruleManifestText, mediumPrefix+m.Medium.ManifestPath(), "%v", m.ManifestError)
	}
	if m.Manifest == nil {
		return nil
	}
	if want, got := m.Manifest.Plan, m.Manifest.PlanDigest(); got != want {
		f.add(ruleManifestPlan, mediumPrefix+m.Medium.ManifestPath(), "its plan digest is %s, its content gives %s", want, got)
	}
	for _, check := range []check{checkMedium, checkSegments, checkFiles} {
		if err := check(ctx, m, f); err != nil {
			return err
		}
	}
	return nil
}

// checkMedium checks the files of the medium against the manifest.
func checkMedium(ctx context.Context, m *Image, f findings) error {
	files := m.Medium.Files
	known := map[string]bool{m.Medium.ManifestPath(): true, m.Medium.ISO.CatalogPath: true, medium.PXESums: m.Kind == KindPXE}
	for _, want := range m.Manifest.Boot {
		known[want.Path] = true
		file := files.Get(want.Path)
		if file == nil || !file.IsRegular() {
			f.add(ruleManifestMedium, mediumPrefix+want.Path, "it is missing")
			continue
		}
		sum, err := sumWithoutTables(m.Medium, file)
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if sum != want.SHA256 {
			f.add(ruleManifestMedium, mediumPrefix+want.Path, "its sha256 is %s, the manifest has %s", sum, want.SHA256)
		}
	}
	for _, file := range files.Entries() {
		if file.IsRegular() && !known[file.Path] {
			f.add(ruleManifestMedium, mediumPrefix+file.Path, "it is not in the manifest")
		}
	}
	return nil
}

// checkSegments reads the parts of the initrd that mkbuild made.
func checkSegments(ctx context.Context, m *Image, f findings) error {
	if m.Medium.Kernel == "" || len(m.Manifest.Segments) == 0 {
		return nil // told by checkBoot
	}
	made := m.Medium.Made(len(m.Manifest.Segments))
	r, err := made.Open()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	at, read, size := mediumPrefix+m.Medium.LastInitrd(), &sections{r: r}, made.Size()
	for _, s := range m.Manifest.Segments {
		if s.Offset+s.Size > size {
			f.add(ruleManifestSegment, at, "segment %s ends at %d, the file at %d", s.Name, s.Offset+s.Size, size)
			return nil
		}
		sum, err := read.sum(s.Offset, s.Size)
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if sum != s.SHA256 {
			f.add(ruleManifestSegment, at, "segment %s at %d has the sha256 %s, the manifest has %s", s.Name, s.Offset, sum, s.SHA256)
		}
	}
	if read.at != size {
		f.add(ruleManifestSegment, at, "%d bytes after the last segment in the manifest", size-read.at)
	}
	return nil
}

// checkFiles checks the booted system against the manifest.
func checkFiles(ctx context.Context, m *Image, f findings) error {
	if m.Tree == nil {
		return nil // told by checkMedium
	}
	known := make(map[string]bool, len(m.Manifest.Files))
	for i := range m.Manifest.Files {
		want := &m.Manifest.Files[i]
		known[string(want.Path)] = true
		e := m.Tree.Get(string(want.Path))
		if e == nil {
			f.add(ruleManifestFile, string(want.Path), "it is missing")
			continue
		}
		diff, err := againstRecord(e, want)
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if diff != "" {
			f.add(ruleManifestFile, e.Path, "%s", diff)
		}
	}
	for _, e := range m.Tree.Entries() {
		if !known[e.Path] {
			f.add(ruleManifestFile, e.Path, "it is not in the manifest")
		}
	}
	return nil
}

// againstRecord lists the differences of an entry from its record in the manifest.
func againstRecord(e *overlay.Entry, want *manifest.File) (string, error) {
	sum := ""
	if e.IsRegular() && !want.Secret {
		var err error
		if sum, err = sumEntry(e); err != nil {
			return "", err
		}
	}
	got := manifest.Describe(e, sum)
	wanted, has := propertiesOf(want), propertiesOf(&got)
	var out []string
	for i, p := range wanted {
		if is := has[i].value; is != p.value {
			out = append(out, fmt.Sprintf("its %s is %s, the manifest has %s", p.name, cmp.Or(is, "(none)"), cmp.Or(p.value, "(none)")))
		}
	}
	return strings.Join(out, "; "), nil
}

// checkSums checks a PXE folder against its SHA256SUMS, if it has one.
func checkSums(_ context.Context, m *Image, f findings) error {
	if m.Kind != KindPXE || m.Medium.Files.Get(medium.PXESums) == nil {
		return nil
	}
	for _, name := range m.Medium.WrongSums() {
		f.add(rulePXESums, mediumPrefix+name, "it is missing, or has another sha256")
	}
	return nil
}
