package rubygems

import (
	"fmt"
	"path"
	"strings"

	"mkbuild/internal/overlay"
)

// Install returns what `gem install --no-ri --no-rdoc` of gems leaves on the system of ruby, all of it
// root's:
//
//	GemDir/gems/<full name>/**                  the gem's files, 0644 or 0755
//	GemDir/specifications/<full name>.gemspec   0644
//	GemDir/{cache,doc}                          empty
//	/usr/local/bin/<executable>                 a wrapper, 0755
//
// RubyGems also keeps a copy of each .gem file in cache, for `gem pristine`. It is left out: in an
// initrd it would cost memory on every machine that boots. The directories build_info, extensions and
// plugins of RubyGems 2 and 3 are for gems that are refused here, and are made when they are needed.
//
// It fails with a [*MissingDependencyError] when the gems, together with those that the image's Ruby
// brings along, lack a runtime dependency, with a [*RequiredVersionError] when one is not made for this
// Ruby or RubyGems, and with an [*ExecutableConflictError].
func Install(ruby *Ruby, gems []*Gem) (*overlay.Tree, error) {
	if err := check(ruby, gems); err != nil {
		return nil, err
	}
	out := &overlay.Tree{}
	for _, g := range inOrder(gems) {
		if err := stageGem(out, ruby, g); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func stageGem(out *overlay.Tree, ruby *Ruby, g *Gem) error {
	home := strings.TrimPrefix(ruby.GemDir, "/")
	spec := overlay.File(home+"/specifications/"+g.String()+".gemspec", 0o644, g.gemspec())
	entries := []overlay.Entry{
		overlay.Dir(home+"/cache", 0o755), overlay.Dir(home+"/doc", 0o755),
		overlay.Dir(home+"/gems/"+g.String(), 0o755), spec,
	}
	for i := range entries {
		entries[i].MTime, entries[i].Origin = g.MTime, g.File
	}
	root := path.Join(home, "gems", g.String())
	for _, f := range g.Files.Entries() {
		e := *f
		e.Path = path.Join(root, f.Path)
		entries = append(entries, e)
	}
	for _, e := range entries {
		if out.Get(e.Path) != nil && e.IsDir() {
			continue // made by an earlier gem, or on the way to a file
		}
		if err := putFile(out, e, home); err != nil {
			return fmt.Errorf("install %s: %w", g.File, err)
		}
	}
	return stageWrappers(out, ruby, g, root)
}
