package rubygems

import (
	"fmt"
	"slices"
	"strings"
)

// MissingDependencyError is a gem that another one needs and that is not among those to install.
type MissingDependencyError struct {
	Gem         string // the name of what is missing
	Requirement string // "~> 1.3"
	By          string // the full name of the gem that asks
	Found       string // the versions that are there and do not do, or empty
}

func (e *MissingDependencyError) Error() string {
	s := fmt.Sprintf("install gems: %s needs the gem %s (%s)", e.By, e.Gem, e.Requirement)
	if e.Found != "" {
		return s + ", there is only " + e.Found
	}
	return s + ", which is not among the gems to install"
}

// Hint says what to add.
func (e *MissingDependencyError) Hint() string {
	return fmt.Sprintf("add %s, in a version %s, to gems.install", e.Gem, e.Requirement)
}

// RequiredVersionError is a gem that does not run on the Ruby or RubyGems of the image.
type RequiredVersionError struct {
	Gem         string // full name
	What        string // "Ruby" or "RubyGems"
	Requirement string
	Have        string
}

func (e *RequiredVersionError) Error() string {
	return fmt.Sprintf("install gems: %s requires %s %s, the image has %s", e.Gem, e.What, e.Requirement, e.Have)
}

// Hint says what to do.
func (e *RequiredVersionError) Hint() string {
	return "choose another version of " + e.Gem + " under gems.install"
}

// check says whether gems can work together on ruby: each once, their requirements met, no two with
// the same command.
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
			if owner := commands[name]; owner != "" && owner != g.Name {
				return &ExecutableConflictError{Name: name, A: owner, B: g.Name}
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
			return &RequiredVersionError{Gem: g.String(), What: c.what, Requirement: c.want.String(), Have: c.have}
		}
	}
	return nil
}

// checkDependencies looks for g's runtime dependencies among gems and in the image.
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
			return &MissingDependencyError{
				Gem: d.Name, Requirement: d.Requirement.String(), By: g.String(), Found: strings.Join(found, ", "),
			}
		}
	}
	return nil
}

func candidates(ruby *Ruby, gems []*Gem) []Spec {
	out := slices.Clone(ruby.Gems)
	for _, g := range gems {
		out = append(out, g.Spec)
	}
	return out
}

// inOrder returns gems so that each comes behind what it depends on, and otherwise by name and
// version. In a cycle, which RubyGems allows, the first by name is cut loose.
func inOrder(gems []*Gem) []*Gem {
	sorted := slices.Clone(gems)
	slices.SortFunc(sorted, func(a, b *Gem) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return a.Version.Compare(b.Version)
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
