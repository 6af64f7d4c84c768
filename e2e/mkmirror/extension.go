package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// extension describes one .tcz of the mirror.
type extension struct {
	name   string // "bash", "scsi-KERNEL"
	title  string
	about  string // what it is made of, for .info
	from   string // package whose version it carries
	dep    string // content of the .dep file with its quirks; empty: no .dep file
	fill   func(*builder, *mirror)
	script string // startup script: a file of files/tce, or empty
	// rootUID, rootGID and rootMode are those of the TCZ's root inode: on Tiny Core's mirrors it
	// is often not root's, and nothing may apply it to "/".
	rootUID, rootGID int
	rootMode         uint32
	tree             *overlay.Tree
}

// extensions makes all TCZs, each with its side files.
func (m *mirror) extensions(ctx context.Context) error {
	if err := os.MkdirAll(m.path("tcz"), 0o755); err != nil {
		return fmt.Errorf("make extensions: %w", err)
	}
	table := m.table()
	byName := make(map[string]*extension)
	for _, x := range table {
		byName[x.name] = x
	}
	for _, x := range table {
		if err := m.makeExtension(ctx, x, byName); err != nil {
			return fmt.Errorf("make %s.tcz: %w", x.name, err)
		}
	}
	return nil
}

// makeExtension fills, completes and packs one extension. Those that it depends on come before it
// in the table, so their trees are there.
func (m *mirror) makeExtension(ctx context.Context, x *extension, byName map[string]*extension) error {
	b := newBuilder(m.pool)
	x.fill(b, m)
	others := []*overlay.Tree{m.core}
	for _, name := range dependencies(x.name, byName) {
		if t := byName[name].tree; t != nil {
			others = append(others, t)
		}
	}
	if b.err == nil {
		b.fail(m.pool.addLibraries(b.tree, "usr/local/lib", others...))
	}
	if err := x.addScript(b); err != nil {
		return err
	}
	t, err := b.done()
	if err != nil {
		return err
	}
	x.tree = t
	file := m.fileName(x.name)
	m.sink.Event(ui.Event{Level: ui.Info, Step: "tcz", Item: file, Text: fmt.Sprintf("%d files", t.Len())})
	if err := pack(ctx, x, m.path("tcz", file)); err != nil {
		return err
	}
	return m.sideFiles(x, file)
}

// fileName puts the kernel's name into an extension's.
func (m *mirror) fileName(name string) string {
	if base, ok := strings.CutSuffix(name, "-KERNEL"); ok {
		name = base + "-" + m.mods.kernel
	}
	return name + ".tcz"
}

// dependencies returns the names of all extensions that one needs, directly and indirectly.
// A name that is in no table is an error of the table, found by its test.
func dependencies(name string, byName map[string]*extension) []string {
	var out []string
	seen := map[string]bool{name: true}
	todo := []string{name}
	for len(todo) > 0 {
		x := byName[todo[0]]
		todo = todo[1:]
		if x == nil {
			continue
		}
		for _, d := range strings.Fields(x.dep) {
			d = strings.TrimSuffix(d, ".tcz")
			if !seen[d] && byName[d] != nil {
				seen[d] = true
				out = append(out, d)
				todo = append(todo, d)
			}
		}
	}
	return out
}

// addScript adds the startup script with the owner that such scripts have on the mirrors.
func (x *extension) addScript(b *builder) error {
	if x.script == "" {
		return nil
	}
	text, err := embedded.ReadFile(path.Join("files/tce", x.script))
	if err != nil {
		return fmt.Errorf("read embedded files: %w", err)
	}
	name := "usr/local/tce.installed/" + x.name
	b.put(overlay.Dir("usr/local/tce.installed", 0o775))
	b.text(name, 0o775, string(text))
	b.own(0, gidStaff, "usr/local/tce.installed")
	b.own(uidTC, gidStaff, name)
	return b.err
}

// pack runs mksquashfs. Block size, compressor, export table and the lack of xattrs are those of
// the mirrors' TCZs. Owners and modes come from a pseudo file, so that no root is needed.
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
		"-mkfs-time", when, "-all-time", when, "-root-time", when, "-root-mode", fmt.Sprintf("%o", x.mode()),
		"-root-uid", strconv.Itoa(x.rootUID), "-root-gid", strconv.Itoa(x.rootGID))
}

// pseudoFile says to mksquashfs what every entry's mode and owner are. Its format separates by
// blanks, so a name must not have one.
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

func (x *extension) mode() uint32 {
	if x.rootMode == 0 {
		return 0o755
	}
	return x.rootMode
}

// sideFiles writes .md5.txt, .info, .list and .dep beside a TCZ.
func (m *mirror) sideFiles(x *extension, file string) error {
	tcz := m.path("tcz", file)
	if err := writeMD5(tcz); err != nil {
		return err
	}
	info, err := os.Stat(tcz)
	if err != nil {
		return err
	}
	texts := map[string]string{
		".info": m.infoText(x, file, info.Size()),
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
func (m *mirror) infoText(x *extension, file string, size int64) string {
	from := x.from
	if from == "" {
		from = "linux-image-" + m.mods.kernel
	}
	var s strings.Builder
	line := func(key, value string) {
		s.WriteString(key + ":" + strings.Repeat("\t", max(1, 2-len(key)/8)) + value + "\n")
	}
	line("Title", file)
	line("Description", x.title)
	line("Version", m.pool.version(from))
	line("Author", "see the Debian package "+from)
	line("Original-site", "https://packages.debian.org/"+from)
	line("Copying-policy", "see the Debian package "+from)
	line("Size", strconv.FormatInt((size+1023)/1024, 10)+"K")
	line("Extension_by", "mkmirror")
	line("Tags", "stand-in")
	line("Comments", "STAND-IN for the extension of this name, made by mkmirror out of")
	s.WriteString("\t\tDebian packages. It is not the extension of Tiny Core Linux.\n")
	if x.about != "" {
		s.WriteString("\t\t" + x.about + "\n")
	}
	line("Change-log", "----")
	line("Current", "2012/05/09 stand-in")
	return s.String()
}

// listText writes a .list file: every path that is not a directory.
func listText(t *overlay.Tree) string {
	var s strings.Builder
	for _, e := range t.Entries() {
		if !e.IsDir() {
			s.WriteString(e.Path + "\n")
		}
	}
	return s.String()
}
