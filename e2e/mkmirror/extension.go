package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// extension is one .tcz of the mirror.
type extension struct {
	name  string // "bash", "scsi-KERNEL"
	holds string // the name of its content, if different
	dep   string // content of the .dep file with its quirks; empty: no .dep file
	root  owner
	// Set during the build.
	kernel *kernel // the kernel of its modules
	tree   *overlay.Tree
}

// owner is the owner of a TCZ's root inode: often it is not root, and must never be applied to "/". No mode means
// 0755.
type owner struct {
	uid, gid int
	mode     uint32
}

func (x *extension) content() content {
	return contents()[cmp.Or(x.holds, x.name)]
}

// file returns the extension's file name: KERNEL is replaced by the name of a kernel.
func (x *extension) file() string { return x.kernel.fileName(x.name) }

// table lists the extensions of the series; those with kernel modules appear once for each kernel.
func (m *mirror) table() (all []*extension, byFile map[string]*extension) {
	byFile = make(map[string]*extension)
	for _, x := range m.series.extensions {
		kernels := m.kernels[:1]
		if x.content().modules != nil {
			kernels = m.kernels
		}
		for _, k := range kernels {
			one := x
			one.kernel = k
			all = append(all, &one)
			byFile[one.file()] = &one
		}
	}
	return all, byFile
}

// extensions makes all TCZs, each with its side files, and their list.
func (m *mirror) extensions(ctx context.Context) error {
	if err := os.MkdirAll(m.path("tcz"), 0o755); err != nil {
		return fmt.Errorf("make extensions: %w", err)
	}
	table, byFile := m.table()
	for _, x := range table {
		if err := m.makeExtension(ctx, x, byFile); err != nil {
			return fmt.Errorf("make %s: %w", x.file(), err)
		}
	}
	names := slices.Sorted(maps.Keys(byFile))
	if err := os.WriteFile(m.path("tcz", "info.lst"), []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("list extensions: %w", err)
	}
	return nil
}

// makeExtension fills, completes and packs one extension. Its dependencies come before it in the table, so their
// trees exist.
func (m *mirror) makeExtension(ctx context.Context, x *extension, byFile map[string]*extension) error {
	b := newBuilder(m.pool)
	if patterns := x.content().modules; patterns != nil {
		x.kernel.fill(b, patterns)
	} else {
		x.content().fill(b, m)
	}
	others := []*overlay.Tree{m.core}
	for _, need := range x.dependencies(byFile) {
		if need.tree != nil {
			others = append(others, need.tree)
		}
	}
	if b.err == nil {
		b.fail(m.pool.addLibraries(b.tree, "usr/local/lib", others...))
	}
	if x.content().script {
		x.addScript(b)
	}
	var err error
	if x.tree, err = b.done(); err != nil {
		return err
	}
	m.sink.Event(ui.Event{Level: ui.Info, Step: "tcz", Item: x.file(), Text: fmt.Sprintf("%d files", x.tree.Len())})
	if err := pack(ctx, x, m.path("tcz", x.file())); err != nil {
		return err
	}
	return m.sideFiles(x)
}

// dependencies returns all direct and indirect dependencies of an extension. A name outside the tables is an error
// of the table, which its test finds.
func (x *extension) dependencies(byFile map[string]*extension) []*extension {
	var out []*extension
	seen := map[string]bool{x.file(): true}
	for todo := []*extension{x}; len(todo) > 0; todo = todo[1:] {
		for _, name := range strings.Fields(todo[0].dep) {
			file := x.kernel.fileName(strings.TrimSuffix(name, ".tcz"))
			if need := byFile[file]; need != nil && !seen[file] {
				seen[file] = true
				out = append(out, need)
				todo = append(todo, need)
			}
		}
	}
	return out
}

// addScript adds the startup script with its owner on the real mirrors.
func (x *extension) addScript(b *builder) {
	name := "usr/local/tce.installed/" + x.name
	b.put(overlay.Dir("usr/local/tce.installed", 0o775))
	b.embedded("files/tce/"+x.name, name, 0o775)
	b.own(0, gidStaff, "usr/local/tce.installed")
	b.own(uidTC, gidStaff, name)
}

// pack runs mksquashfs. Block size, compressor, export table and missing xattrs equal those of the mirrors' TCZs.
// Owners and modes come from a pseudo file, so no root is needed.
func pack(ctx context.Context, x *extension, out string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(out), ".stage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a temporary directory inside another
	if err := stage(x.tree, filepath.Join(tmp, "root")); err != nil {
		return err
	}
	definitions, err := pseudoFile(x.tree)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "pseudo"), []byte(definitions), 0o644); err != nil {
		return err
	}
	when := strconv.Itoa(buildTime)
	return runTool(ctx, "mksquashfs", filepath.Join(tmp, "root"), out, "-pf", filepath.Join(tmp, "pseudo"),
		"-b", "4096", "-comp", "gzip", "-no-xattrs", "-noappend", "-no-progress", "-quiet",
		"-mkfs-time", when, "-all-time", when, "-root-time", when, "-root-mode", fmt.Sprintf("%o", cmp.Or(x.root.mode, 0o755)),
		"-root-uid", strconv.Itoa(x.root.uid), "-root-gid", strconv.Itoa(x.root.gid))
}

// pseudoFile lists every entry's mode and owner for mksquashfs. Blanks separate its fields, so a name must not
// contain one.
func pseudoFile(t *overlay.Tree) (string, error) {
	var s strings.Builder
	for _, e := range t.Entries() {
		if e.Path == "." {
			continue
		}
		if strings.ContainsAny(e.Path, " \t\n\"\\#") {
			return "", fmt.Errorf("pack %q: the name cannot stand in a pseudo file", e.Path)
		}
		fmt.Fprintf(&s, "%s m %o %d %d\n", e.Path, e.Perm(), e.UID, e.GID)
	}
	return s.String(), nil
}

// sideFiles writes .md5.txt, .info, .list and .dep next to a TCZ.
func (m *mirror) sideFiles(x *extension) error {
	tcz := m.path("tcz", x.file())
	if err := writeMD5(tcz); err != nil {
		return err
	}
	info, err := os.Stat(tcz)
	if err != nil {
		return err
	}
	texts := map[string]string{
		".info": m.infoText(x, info.Size()),
		".list": listText(x.tree),
	}
	if x.dep != "" {
		texts[".dep"] = x.dep
	}
	for suffix, text := range texts {
		if err := os.WriteFile(tcz+suffix, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// infoText writes an .info file: "Key:<tabs>value" with continuation lines.
func (m *mirror) infoText(x *extension, size int64) string {
	c := x.content()
	from, version := c.from, m.pool.version(c.from)
	if c.modules != nil {
		from, version = x.kernel.pkg, x.kernel.version
	}
	var s strings.Builder
	line := func(key, value string) {
		s.WriteString(key + ":" + strings.Repeat("\t", max(1, 2-len(key)/8)) + value + "\n")
	}
	line("Title", x.file())
	line("Description", c.title)
	line("Version", version)
	line("Author", "see the Debian package "+from)
	line("Original-site", "https://packages.debian.org/"+from)
	line("Copying-policy", "see the Debian package "+from)
	line("Size", strconv.FormatInt((size+1023)/1024, 10)+"K")
	line("Extension_by", "mkmirror")
	line("Tags", "stand-in")
	line("Comments", "STAND-IN for the extension of this name, made by mkmirror out of")
	s.WriteString("\t\tDebian packages. It is not the extension of Tiny Core Linux.\n")
	if c.about != "" {
		s.WriteString("\t\t" + c.about + "\n")
	}
	line("Change-log", "----")
	line("Current", "2012/05/09 stand-in")
	return s.String()
}

// listText writes a .list file: every path except directories.
func listText(t *overlay.Tree) string {
	var s strings.Builder
	for _, e := range t.Entries() {
		if !e.IsDir() {
			s.WriteString(e.Path + "\n")
		}
	}
	return s.String()
}
