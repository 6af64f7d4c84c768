package inspect

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// Areas of an image or a lock.
const (
	AreaLock      = "lock"      // a field of a lock
	AreaVolume    = "volume"    // a field of the medium's description
	AreaBoot      = "boot"      // an entry of the El Torito catalog, by its number
	AreaMenu      = "menu"      // an entry of a boot menu
	AreaKernel    = "kernel"    // the default entry's
	AreaInput     = "input"     // inputs of a lock or a manifest
	AreaExtension = "extension" // of Tiny Core
	AreaGem       = "gem"
	AreaFile      = "file"   // of the booted system
	AreaMedium    = "medium" // a file of the medium
)

// items are the contents of an image in one area, sorted by key. Items of two images with the same key are
// compared.
type items map[string]item

// item is one thing that an image holds.
type item struct {
	name       string
	properties []property
	// covered says that another item represents it if only one of two images has it.
	covered bool
}

// property is one value of an item, with its displayed form.
type property struct{ name, value, shown string }

// put adds an item by its name. values are the names and values of its properties.
func (x items) put(name string, values ...string) {
	it := item{name: name}
	for i := 0; i < len(values); i += 2 {
		it.properties = append(it.properties, property{values[i], values[i+1], values[i+1]})
	}
	x[name] = it
}

// texts are fields that hold one text each, in their order.
func texts(fields ...[2]string) items {
	out := items{}
	for i, f := range fields {
		out[fmt.Sprintf("%02d", i)] = item{name: f[0], properties: []property{{"text", f[1], f[1]}}}
	}
	return out
}

func lockItems(m *Image) (items, error) {
	l := m.Lock
	return texts([2]string{"configuration", l.Config}, [2]string{"release", l.Release}, [2]string{"arch", l.Arch},
		[2]string{"kernel", l.Kernel}, [2]string{"source date", fmt.Sprint(l.SourceDate)}), nil
}

func volumeItems(m *Image) (items, error) {
	iso := m.Medium.ISO
	out := texts([2]string{"id", iso.VolumeID}, [2]string{"system", iso.SystemID}, [2]string{"application", iso.ApplicationID},
		[2]string{"preparer", iso.Preparer}, [2]string{"publisher", iso.Publisher})
	out["system area"] = item{name: "system area", properties: []property{{"content", string(iso.System), ""}}}
	return out, nil
}

func bootItems(m *Image) (items, error) {
	out := items{}
	for i, e := range catalog(m.Medium.ISO) {
		out.put(fmt.Sprint(i+1), "platform", e.Platform, "path", e.Path, "bootable", fmt.Sprint(e.Bootable), "emulation", e.Emulation,
			"sectors", fmt.Sprint(e.LoadSectors), "boot-info-table", fmt.Sprint(e.InfoTable))
	}
	return out, nil
}

// menuItems numbers repeated labels.
func menuItems(m *Image) (items, error) {
	out := items{}
	for _, e := range m.Medium.Entries {
		name := e.Menu + " " + cmp.Or(e.Name, "(no name)")
		for n := 2; out[name].name != ""; n++ {
			name = fmt.Sprintf("%s %s (%d)", e.Menu, e.Name, n)
		}
		args := ownArguments(&e)
		out.put(name, "kernel", e.Kernel, "initrd", initrdNames(e.Initrds), "arguments", args)
		out[name].properties[2].shown = config.RedactArguments(args)
	}
	return out, nil
}

func kernelItems(m *Image) (items, error) {
	k, err := kernelOf(m)
	if k == nil || err != nil {
		return nil, err
	}
	return items{"kernel": {name: k.Path, properties: []property{
		{"path", k.Path, k.Path}, {"release", k.Release, k.Release}, {"sha256", k.SHA256, k.SHA256},
	}}}, nil
}

func inputItems(m *Image) (items, error) {
	var inputs []lock.Input
	if m.Lock != nil {
		inputs = m.Lock.Inputs
	} else {
		inputs = m.Manifest.Inputs
	}
	out := items{}
	for _, in := range inputs {
		out.put(in.Name, "sha256", in.SHA256, "size", fmt.Sprint(in.Size), "needs", strings.Join(in.Needs, " "))
	}
	return out, nil
}

func extensionItems(m *Image) (items, error) {
	out := items{}
	for _, e := range extensions(m) {
		name := e.Name
		if e.How != "installed" {
			name += " (" + e.How + ")"
		}
		out.put(name)
	}
	return out, nil
}

func gemItems(m *Image) (items, error) {
	out := items{}
	for _, name := range gems(m.Tree) {
		out.put(name)
	}
	return out, nil
}

// fileItems are the files of the booted system. An extension or a gem represents its marker or specification.
func fileItems(m *Image) (items, error) {
	files, err := records(m)
	out := items{}
	for i := range files {
		f := &files[i]
		p := string(f.Path)
		isMark := path.Dir(p) == tcz.InstalledDir || path.Base(path.Dir(p)) == "specifications" && strings.HasSuffix(p, ".gemspec")
		isDir := strings.HasPrefix(f.Mode, "4")
		out[p] = item{p, propertiesOf(f), isMark && !isDir}
	}
	return out, err
}

// propertiesOf are the properties of a file. The mode of a symlink has no effect.
func propertiesOf(f *manifest.File) []property {
	mode, _ := f.StMode() // that of a record is a number
	kind, perm := typeName(mode), fmt.Sprintf("%04o", mode&0o7777)
	if mode&overlay.TypeMask == overlay.TypeLink {
		perm = ""
	}
	owner, link := fmt.Sprintf("%d:%d", f.UID, f.GID), string(f.Link)
	return []property{
		{"type", kind, kind}, {"mode", perm, perm}, {"owner", owner, owner}, {"content", f.SHA256, fmt.Sprintf("%d bytes", f.Size)},
		{"link", link, link}, {"device", f.Device, f.Device},
	}
}

func typeName(mode uint32) string {
	return cmp.Or(map[uint32]string{
		overlay.TypeRegular: "file", overlay.TypeDir: "directory", overlay.TypeLink: "symlink",
		overlay.TypeChar: "character device", overlay.TypeBlock: "block device", overlay.TypeFIFO: "pipe",
	}[mode&overlay.TypeMask], "socket")
}

// mediumItems are the files of the medium that belong to no other area, without the two descriptions of the image
// itself.
func mediumItems(m *Image) (items, error) {
	told := map[string]bool{metadataName: true, m.Medium.ManifestPath(): true, medium.PXESums: m.Kind == KindPXE, m.Medium.Kernel: true, m.Medium.ISO.CatalogPath: true}
	for _, name := range m.Medium.Initrds {
		told[name] = true
	}
	out := items{}
	for _, f := range m.Medium.Files.Entries() {
		if !f.IsRegular() || told[f.Path] || m.Medium.IsMenu(f.Path) && medium.BlobDigest(m.Medium.Kernel) != "" {
			continue // menus of segments name only segments
		}
		sum, err := sumWithoutTables(m.Medium, f)
		if err != nil {
			return nil, err
		}
		out[f.Path] = item{name: f.Path, properties: []property{{"content", sum, ""}}}
	}
	return out, nil
}
