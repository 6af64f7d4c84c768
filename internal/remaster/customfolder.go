package remaster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/isolinux"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/wholefile"
)

// customizeFolder changes a PXE folder.
func customizeFolder(ctx context.Context, in, out string, c Custom) error {
	if err := checkSums(in); err != nil {
		return err
	}
	if err := CheckPXEFolder(out); err != nil {
		return err
	}
	files, args, err := folderSources(in)
	if err != nil {
		return err
	}
	m, err := folderManifest(in)
	if err != nil {
		return err
	}
	if err := c.allowed(m); err != nil {
		return err
	}
	rd, err := customLast(files, c, m)
	if err != nil {
		return err
	}
	e, err := rd.customEdit(c.Append, args)
	if err != nil {
		return err
	}
	files[len(files)-1].open = rd.reader
	texts, err := bootTexts(files, applied(e, args))
	if err != nil {
		return err
	}
	return wholefile.Folder(out, func(dir string) error {
		return finishFolder(ctx, dir, append(files, texts...), func(boot []manifest.BootFile) ([]byte, error) {
			if m == nil {
				return nil, nil
			}
			m.Boot = boot
			return rd.describe(ctx, m)
		})
	})
}

// apply changes kernel arguments that stand alone.
func applied(e medium.Edit, args string) string {
	args = " " + args
	if e.Remove != "" {
		args = strings.TrimSuffix(args, " "+e.Remove)
	}
	return strings.TrimSpace(args + " " + e.Append)
}

// customLast makes the last initrd of a folder.
func customLast(files []source, c Custom, m *manifest.Manifest) (*customized, error) {
	last := files[len(files)-1]
	size, _, err := measure(last)
	if err != nil {
		return nil, err
	}
	built, err := asBuilt(last.open, size, last.name)
	if err != nil {
		return nil, err
	}
	var all initrd.Segments
	for i, f := range files[1:] {
		open := f.open
		if i == len(files)-2 {
			open = built.reader
		}
		size, _, err := measure(f)
		if err != nil {
			return nil, err
		}
		all = append(all, initrd.Segment{Size: size, Open: open}.Padded())
	}
	tree, err := readTree(all.Open, last.name)
	if err != nil {
		return nil, err
	}
	when := newestTime(tree)
	if m != nil {
		when = m.SourceDate
	}
	return built.customize(tree, c, when)
}

// folderSources finds kernel, initrds and kernel arguments of a PXE folder in its PXELINUX menu.
func folderSources(dir string) ([]source, string, error) {
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(medium.PXEMenu)))
	if err != nil {
		return nil, "", err
	}
	labels, err := isolinux.Labels(text)
	if err != nil {
		return nil, "", err
	}
	if len(labels) != 1 || len(labels[0].Initrds) == 0 {
		return nil, "", changedFolder(dir, medium.PXEMenu)
	}
	l := labels[0]
	_, args, _ := strings.Cut(l.Append, " ") // initrd= is the first one
	out := []source{{l.Kernel, manifest.RoleKernel, nil}}
	for _, n := range l.Initrds {
		out = append(out, source{n, manifest.RoleInitrd, nil})
	}
	for i := range out {
		name := filepath.Join(dir, filepath.Base(out[i].name))
		out[i].open = func() (io.ReadCloser, error) { return os.Open(name) } //nolint:gosec // the user's own choice
	}
	return out, args, nil
}

func folderManifest(dir string) (*manifest.Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, medium.PXEManifest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no manifest is a normal answer
	}
	if err != nil {
		return nil, err
	}
	return manifest.Parse(text)
}

func changedFolder(dir, file string) error {
	return config.Mistake(dir, fmt.Sprintf("%s is not what mkbuild has written there", file), "name a PXE folder as mkbuild build --format pxe writes it")
}

// checkSums holds a PXE folder against its own checksums: what somebody has edited there would be
// lost in the copy.
func checkSums(dir string) error {
	m, err := medium.OpenFolder(dir)
	if err != nil {
		return err
	}
	if wrong := m.WrongSums(); len(wrong) > 0 {
		return changedFolder(dir, wrong[0])
	}
	return CheckPXEFolder(dir)
}
