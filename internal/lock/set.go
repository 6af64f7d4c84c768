package lock

import (
	"cmp"
	"slices"
)

// Set collects inputs; one that is asked for several times is one input with several reasons. The
// zero value is empty.
type Set struct{ inputs []Input }

// Add takes an input in.
func (s *Set) Add(in Input) {
	at := slices.IndexFunc(s.inputs, func(have Input) bool { return have.Kind == in.Kind && have.Name == in.Name })
	if at < 0 {
		in.Why = reasons(in.Why)
		s.inputs = append(s.inputs, in)
		return
	}
	have := &s.inputs[at]
	have.Why = reasons(append(have.Why, in.Why...))
	have.Needs = append(have.Needs, missingFrom(have.Needs, in.Needs)...)
	have.MD5, have.Licence = cmp.Or(have.MD5, in.MD5), cmp.Or(have.Licence, in.Licence)
}

func missingFrom(have, more []string) []string {
	var out []string
	for _, v := range more {
		if !slices.Contains(have, v) {
			out = append(out, v)
		}
	}
	return out
}

// Inputs returns them sorted by kind and name.
func (s *Set) Inputs() []Input {
	out := slices.Clone(s.inputs)
	slices.SortFunc(out, compare)
	return out
}

func compare(a, b Input) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// reasons puts the user's own wishes before the names of other inputs, each once.
func reasons(why []string) []string {
	rank := func(w string) int {
		if at := slices.Index([]string{WhyConfig, WhyDev, WhyPick}, w); at >= 0 {
			return at
		}
		return 3
	}
	out := slices.Clone(why)
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return slices.Compact(out)
}
