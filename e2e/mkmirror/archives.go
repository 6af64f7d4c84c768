package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// archives makes the source archives of RubyGems and MCollective and the gems, in their published form.
func (m *mirror) archives(context.Context) error {
	gems := filepath.Join(m.dir, "archives", "gems")
	if err := os.MkdirAll(gems, 0o755); err != nil {
		return fmt.Errorf("make archives: %w", err)
	}
	for _, a := range []struct {
		top  string
		fill func(*builder)
	}{
		{"rubygems-" + m.rubygemsVersion(), fillRubyGems},
		{"mcollective-" + m.mcollectiveVersion(), fillMCollective},
	} {
		if err := m.archive(a.top, a.fill); err != nil {
			return fmt.Errorf("make %s.tgz: %w", a.top, err)
		}
	}
	for _, g := range gemTable(m.pool.platform.triplet) {
		if err := m.makeGem(g, gems); err != nil {
			return fmt.Errorf("make gem %s: %w", g.name, err)
		}
	}
	return nil
}

func (m *mirror) rubygemsVersion() string    { return m.pool.upstream("ruby-rubygems") }
func (m *mirror) mcollectiveVersion() string { return m.pool.upstream("mcollective-common") }

// archive writes archives/<top>.tgz with the usual single top folder.
func (m *mirror) archive(top string, fill func(*builder)) error {
	b := newBuilder(m.pool)
	fill(b)
	content, err := b.done()
	if err != nil {
		return err
	}
	t := &overlay.Tree{}
	for _, e := range content.Entries() {
		moved := *e
		moved.Path = path.Join(top, e.Path)
		if err := t.Put(moved); err != nil {
			return err
		}
	}
	m.sink.Event(ui.Event{Level: ui.Info, Step: "archive", Item: top + ".tgz", Text: fmt.Sprintf("%d files", t.Len())})
	return writeFile(filepath.Join(m.dir, "archives", top+".tgz"), func(w io.Writer) error {
		return overlay.WriteTarGz(w, t, buildTime)
	})
}

// setupRB is the entry point in RubyGems' archive that Debian's package lacks.
const setupRB = `# Installs RubyGems from this folder: ruby setup.rb [options of gem setup]
$LOAD_PATH.unshift File.expand_path("lib", __dir__)
require "rubygems"
require "rubygems/gem_runner"
Dir.chdir __dir__
Gem::GemRunner.new.run ["setup", *ARGV]
`

// fillRubyGems makes RubyGems' source archive.
func fillRubyGems(b *builder) {
	b.takeTree("ruby-rubygems", "usr/lib/ruby/vendor_ruby", "lib", func(name string) bool {
		return !strings.HasSuffix(name, "defaults/operating_system.rb") // Debian's own
	})
	b.take("ruby-rubygems", "usr/bin/gem", "bin/gem", 0o755)
	b.text("setup.rb", 0o644, setupRB)
	b.text("STAND-IN.txt", 0o644, "Made by mkmirror out of Debian's package ruby-rubygems "+b.pool.version("ruby-rubygems")+
		".\nNot the archive that rubygems.org publishes: Bundler, tests and documents are missing, and setup.rb is mkmirror's.\n")
}

// mcoOldCall is the one line of MCollective 2.12.5 that Ruby 3.1 refuses: Psych 4 accepts these arguments by
// keyword only.
const (
	mcoOldCall = "YAML.safe_load(File.read(file), [Symbol], [], true)"
	mcoNewCall = "YAML.safe_load(File.read(file), permitted_classes: [Symbol], aliases: true)"
	mcoFacts   = "lib/mcollective/facts/yaml_facts.rb"
)

// fillMCollective makes MCollective's source archive. Upstream includes the library systemu; Debian packages it
// separately.
func fillMCollective(b *builder) {
	b.takeTree("mcollective-common", "usr/lib/ruby/vendor_ruby", "lib", nil)
	b.takeTree("mcollective-common", "usr/share/mcollective/plugins", "plugins", nil)
	b.put(overlay.Dir("plugins/mcollective", 0o755))
	b.takeTree("mcollective-common", "etc/mcollective", "etc", nil)
	b.take("mcollective", "usr/share/mcollective/server.cfg", "etc/server.cfg.dist", 0o644)
	b.take("mcollective-client", "usr/share/mcollective-client/client.cfg", "etc/client.cfg.dist", 0o644)
	b.take("mcollective", "usr/sbin/mcollectived", "bin/mcollectived", 0o755)
	b.take("mcollective-client", "usr/bin/mco", "bin/mco", 0o755)
	b.take("ruby-systemu", "usr/lib/ruby/vendor_ruby/systemu.rb", "lib/mcollective/vendor/systemu/lib/systemu.rb", 0o644)
	b.text("lib/mcollective/vendor/load_systemu.rb", 0o644, "$LOAD_PATH.unshift File.expand_path(\"systemu/lib\", __dir__)\n")
	editYAML(b)
	b.text("STAND-IN.txt", 0o644, "Made by mkmirror out of Debian's packages mcollective* "+b.pool.version("mcollective-common")+
		".\nNot the archive that Puppet published. One call was changed for Ruby 3.1, in "+mcoFacts+":\n\n  "+mcoOldCall+"\n  "+mcoNewCall+
		"\n\nlib/mcollective/vendor/systemu is Debian's ruby-systemu, and load_systemu.rb is mkmirror's.\n")
}

// editYAML changes the one call. It fails if the call is missing, so that a person checks another version of the
// package.
func editYAML(b *builder) {
	const from = "usr/lib/ruby/vendor_ruby/mcollective/facts/yaml_facts.rb"
	b.edit("mcollective-common", from, mcoFacts, 0o644, func(text string) (string, error) {
		if strings.Count(text, mcoOldCall) != 1 {
			return "", fmt.Errorf("edit %s: the call of YAML.safe_load is not as expected", mcoFacts)
		}
		return strings.Replace(text, mcoOldCall, mcoNewCall, 1), nil
	})
}
