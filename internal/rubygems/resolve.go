package rubygems

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// check returns an error unless the gems work together on ruby: each once, requirements met, no two with the same
// command.
func check(ruby *Ruby, gems []*Gem) error {
	commands := map[string]string{"gem": "RubyGems", ruby.Bin[strings.LastIndexByte(ruby.Bin, '/')+1:]: "Ruby"}
	seen := make(map[string]bool)
	for _, g := range gems {
		if seen[g.String()] {
			return fmt.Errorf("install gems: %s is there twice", g)
		}
		seen[g.String()] = true
		if err := checkRuntime(ruby, g); err != nil {
			return err
		}
		if err := checkDependencies(ruby, g, gems); err != nil {
			return err
		}
		for _, name := range g.Metadata.Executables {
			if g.executable(name) == nil {
				continue
			}
			if owner := commands[name]; owner != "" && owner != g.Name {
				return fail.New(fail.Usage, fmt.Sprintf("install gems: both %s and %s have the command %s", owner, g.Name, name), "remove one of them from gems.install")
			}
			commands[name] = g.Name
		}
	}
	return nil
}

func checkRuntime(ruby *Ruby, g *Gem) error {
	for _, c := range []struct {
		what, have string
		want       Requirement
	}{
		{"Ruby", ruby.Release, g.Metadata.RequiredRuby},
		{"RubyGems", ruby.RubyGems, g.Metadata.RequiredRubyGems},
	} {
		if c.have == "" {
			continue
		}
		v, err := ParseVersion(c.have)
		if err != nil {
			return fmt.Errorf("install gems: %s: %w", c.what, err)
		}
		if !c.want.SatisfiedBy(v) {
			return fail.New(fail.Usage, fmt.Sprintf("install gems: %s requires %s %s, the image has %s", g, c.what, c.want, c.have),
				"choose another version of "+g.String()+" under gems.install")
		}
	}
	return nil
}

// checkDependencies searches gems and the image for g's runtime dependencies.
func checkDependencies(ruby *Ruby, g *Gem, gems []*Gem) error {
	for _, d := range g.Metadata.Dependencies {
		if d.Development {
			continue
		}
		var found []string
		met := false
		for _, s := range candidates(ruby, gems) {
			if s.Name != d.Name {
				continue
			}
			met = met || d.Requirement.SatisfiedBy(s.Version)
			found = append(found, s.Version.String())
		}
		if !met {
			return missing(g, d, found)
		}
	}
	return nil
}

// missing is the error of a dependency that no found version meets.
func missing(g *Gem, d Dependency, found []string) error {
	what := fmt.Sprintf("install gems: %s needs the gem %s (%s), ", g, d.Name, d.Requirement)
	if len(found) > 0 {
		what += "there is only " + strings.Join(found, ", ")
	} else {
		what += "which is not among the gems to install"
	}
	return fail.New(fail.Usage, what, fmt.Sprintf("add %s, in a version %s, to gems.install", d.Name, d.Requirement))
}

func candidates(ruby *Ruby, gems []*Gem) []Spec {
	out := slices.Clone(ruby.Gems)
	for _, g := range gems {
		out = append(out, g.Spec)
	}
	return out
}

// inOrder returns gems with dependencies first, otherwise by name and version. RubyGems allows cycles; a cycle is
// broken at its first gem by name.
func inOrder(gems []*Gem) []*Gem {
	sorted := slices.Clone(gems)
	slices.SortFunc(sorted, func(a, b *Gem) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.Version.Compare(b.Version))
	})
	o := &ordering{all: sorted, visited: make(map[*Gem]bool)}
	for _, g := range sorted {
		o.visit(g)
	}
	return o.out
}

type ordering struct {
	all, out []*Gem
	visited  map[*Gem]bool
}

func (o *ordering) visit(g *Gem) {
	if o.visited[g] {
		return
	}
	o.visited[g] = true
	for _, d := range g.Metadata.Dependencies {
		for _, other := range o.all {
			if !d.Development && other.Name == d.Name {
				o.visit(other)
			}
		}
	}
	o.out = append(o.out, g)
}
