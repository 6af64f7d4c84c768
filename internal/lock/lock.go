// Package lock models mkbuild.lock: the files that images of one configuration are made of, each pinned by its
// hash, so that a build years later uses the same bytes from any source, or names the file that changed.
//
// The package fetches nothing and decides nothing about images: it is a value ([Lock]), its text ([Load],
// [Lock.Save]) and the comparison of two of them ([Lock.DriftFrom]).
//
// Start reading at [Lock].
package lock

import (
	"cmp"
	"slices"
)

// Schema is the version of the lock's text.
const Schema = "mkbuild.lock/v1"

// Kinds of inputs.
const (
	ISO         = "iso"
	TCZ         = "tcz"
	RubyGems    = "rubygems"
	MCollective = "mcollective"
	Gem         = "gem"
)

// Reasons of [Input.Why] that are not the names of other inputs.
const (
	WhyConfig = "configuration"
	WhyDev    = "profile dev" // debug has what dev has
	WhyPick   = "pick"
)

// Input is one input of an image.
type Input struct {
	// Kind is one of the constants above.
	Kind string `json:"kind"`
	// Name is its file name: "ruby.tcz", "stomp-1.2.0.gem".
	Name string `json:"name"`
	// URL is its source, without a password. A file of this machine has its path, relative to the lock's folder.
	// It is never part of an image.
	URL string `json:"url,omitempty"`
	// Size is its length in bytes.
	Size int64 `json:"size"`
	// MD5 is the digest that upstream publishes, if it publishes one.
	MD5 string `json:"md5,omitempty"`
	// SHA256 decides.
	SHA256 string `json:"sha256"`
	// Why has its reasons: one of those above, or the file names of extensions that depend on it.
	Why []string `json:"why"`
	// FirstOf are the configured entries whose first available alternative it is: "ruby | ruby-2.2 | ruby-2.1".
	FirstOf []string `json:"first_of,omitempty"`
	// Needs are the names in its own .dep in their order, as file names, KERNEL replaced.
	Needs []string `json:"needs,omitempty"`
	// Licence is the licence in the .info or the gem; it may be empty.
	Licence string `json:"licence,omitempty"`
}

// OnlyPicked reports that only single files of an extension are used. Then its Needs are not known.
func (in *Input) OnlyPicked() bool { return slices.Equal(in.Why, []string{WhyPick}) }

// Lock lists the inputs of one configuration's images, for all profiles.
type Lock struct {
	Schema string `json:"schema"`
	// Config is the [Digest] of the configuration.
	Config string `json:"config"`
	// Release and Arch are the configuration's: "4.5.2", "x86".
	Release string `json:"release"`
	Arch    string `json:"arch"`
	// Kernel is the release of the ISO's kernel: "3.0.21-tinycore".
	Kernel string `json:"kernel"`
	// SourceDate is the time stamp of generated files, in seconds since 1970.
	SourceDate int64 `json:"source_date"`
	// Inputs are sorted by kind and name.
	Inputs []Input `json:"inputs"`
	// Derived pins segments, so that they can come from an untrusted cache. It is empty without a shared cache.
	Derived []Derived `json:"derived,omitempty"`

	// File is the file of the lock, Command the command that writes it: "mkbuild lock --config my.yaml". Both are
	// for messages, and not part of the text.
	File    string `json:"-"`
	Command string `json:"-"`
}

// Derived is a segment of an initrd: all that determines its bytes, with the format's version, and their digest.
type Derived struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
}

// Pin returns the required digest of derived content, or "". Without a lock nothing is pinned.
func (l *Lock) Pin(kind, key string) string {
	if l == nil {
		return ""
	}
	for _, d := range l.Derived {
		if d.Kind == kind && d.Key == key {
			return d.SHA256
		}
	}
	return ""
}

// Find returns an input, or nil.
func (l *Lock) Find(kind, name string) *Input {
	if l == nil {
		return nil
	}
	at, ok := slices.BinarySearchFunc(l.Inputs, Input{Kind: kind, Name: name}, compareInputs)
	if !ok {
		return nil
	}
	return &l.Inputs[at]
}

func compareInputs(a, b Input) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Add adds an input in order. An input added several times has several reasons.
func (l *Lock) Add(in Input) {
	at, found := slices.BinarySearchFunc(l.Inputs, in, compareInputs)
	if !found {
		in.Why = sortedReasons(in.Why)
		l.Inputs = slices.Insert(l.Inputs, at, in)
		return
	}
	have := &l.Inputs[at]
	have.Why = sortedReasons(append(have.Why, in.Why...))
	if len(have.Needs) == 0 {
		have.Needs = in.Needs
	}
	have.FirstOf = slices.Compact(slices.Sorted(slices.Values(append(have.FirstOf, in.FirstOf...))))
	have.MD5, have.Licence = cmp.Or(have.MD5, in.MD5), cmp.Or(have.Licence, in.Licence)
}

// sortedReasons puts the user's own wishes before the names of other inputs, each once.
func sortedReasons(why []string) []string {
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
