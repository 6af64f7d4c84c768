package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// gemSource gives the places of a gem's parts in its Debian package. {v} is the version.
type gemSource struct {
	name     string // of the gem
	pkg      string
	spec     string // the gemspec, or a similar one
	lib, bin string // directories; bin may be empty
}

// gemTable lists the gems, dependencies first.
func gemTable(triplet string) []gemSource {
	const shared = "usr/share/rubygems-integration/all/"
	json := "usr/lib/" + triplet + "/rubygems-integration/3.1.0/"
	return []gemSource{
		{"hocon", "ruby-hocon", shared + "specifications/hocon-{v}.gemspec", shared + "gems/hocon-{v}/lib", shared + "gems/hocon-{v}/bin"},
		{"thor", "ruby-thor", shared + "specifications/thor-{v}.gemspec", shared + "gems/thor-{v}/lib", shared + "gems/thor-{v}/bin"},
		{"daemons", "ruby-daemons", shared + "specifications/daemons-{v}.gemspec", shared + "gems/daemons-{v}/lib", ""},
		{"json_pure", "ruby-json", json + "specifications/json-{v}.gemspec", json + "gems/json-{v}/lib", ""},
		{"stomp", "ruby-stomp", shared + "specifications/stomp-{v}.gemspec", "usr/lib/ruby/vendor_ruby", "usr/bin"},
		{"facter", "facter", shared + "specifications/facter-{v}.gemspec", "usr/lib/ruby/vendor_ruby", "usr/bin"},
	}
}

// makeGem builds one .gem file in dir.
func (m *mirror) makeGem(g gemSource, dir string) error {
	version := m.pool.upstream(g.pkg)
	at := func(p string) string { return strings.ReplaceAll(p, "{v}", version) }
	e, err := m.pool.file(g.pkg, at(g.spec), "gemspec", 0o644)
	if err != nil {
		return err
	}
	text, err := e.Content(1 << 20)
	if err != nil {
		return err
	}
	spec := parseGemspec(string(text))
	spec.adopt(g, version)
	b := newBuilder(m.pool)
	b.takeTree(g.pkg, at(g.lib), "lib", nil)
	for _, exe := range spec.executables {
		addExecutable(b, g.pkg, path.Join(at(g.bin), exe), path.Join("bin", exe))
	}
	b.text("STAND-IN.txt", 0o644, spec.standIn(g, m.pool.version(g.pkg)))
	if b.err != nil {
		return b.err
	}
	for _, f := range b.tree.Entries() {
		spec.files = append(spec.files, f.Path)
	}
	name := g.name + "-" + version + ".gem"
	m.sink.Event(ui.Event{Level: ui.Info, Step: "gem", Item: name, Text: fmt.Sprintf("%d files", b.tree.Len())})
	return writeFile(filepath.Join(dir, name), func(w io.Writer) error { return writeGem(w, spec, b.tree) })
}

// adopt checks name and version, and turns the specification of json into json_pure's: the same library without the
// C extension.
func (s *gemspec) adopt(g gemSource, version string) {
	s.version = version
	if s.name != g.name {
		s.summary += " (pure Ruby)"
		s.description = "The parts of " + s.name + " that are written in Ruby."
		s.name = g.name
	}
}

// standIn is the text about the gem's origin.
func (s *gemspec) standIn(g gemSource, version string) string {
	text := "Made by mkmirror out of Debian's package " + g.pkg + " " + version + ".\nNot the gem that rubygems.org publishes: tests and documents are missing.\n"
	if g.name == "json_pure" {
		text += "The files are those of Debian's json gem that are written in Ruby; json/pure is complete.\n"
	}
	return text
}

// addExecutable adds a program with a gem's interpreter line.
func addExecutable(b *builder, pkg, from, to string) {
	b.edit(pkg, from, to, 0o755, func(text string) (string, error) { return interpreter("/usr/bin/env ruby", text), nil })
}

// writeGem writes the format of RubyGems 2 and later: a tar archive of the gzip'd specification,
// the gzip'd tar archive of the files and the checksums of both.
func writeGem(w io.Writer, spec *gemspec, files *overlay.Tree) error {
	metadata, err := gzipped([]byte(spec.yaml()))
	if err != nil {
		return err
	}
	data, err := bytesOf(func(w io.Writer) error { return overlay.WriteTarGz(w, files, buildTime) })
	if err != nil {
		return err
	}
	sums, err := gzipped([]byte(checksums(metadata, data)))
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	for _, member := range []struct {
		name string
		data []byte
	}{{"metadata.gz", metadata}, {"data.tar.gz", data}, {"checksums.yaml.gz", sums}} {
		h := &tar.Header{
			Name: member.name, Mode: 0o444, Size: int64(len(member.data)), ModTime: time.Unix(buildTime, 0),
			Uname: "wheel", Gname: "wheel", Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(tw, bytes.NewReader(member.data)); err != nil {
			return err
		}
	}
	return tw.Close()
}

// checksums is the text of checksums.yaml.
func checksums(metadata, data []byte) string {
	return fmt.Sprintf("---\nSHA256:\n  metadata.gz: %x\n  data.tar.gz: %x\nSHA512:\n  metadata.gz: %x\n  data.tar.gz: %x\n",
		sha256.Sum256(metadata), sha256.Sum256(data), sha512.Sum512(metadata), sha512.Sum512(data))
}
