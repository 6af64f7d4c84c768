// Package lock models mkbuild.lock: the files that images of one configuration are made of, each
// pinned by its hash, so that a build years later takes the same bytes from wherever they are
// still to be had, or says which of them is not the same any more.
//
// The package fetches nothing and decides nothing about images: it is a value, its text, and the
// comparison of two of them.
package lock

import "slices"

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

// Input is one file that an image is made of.
type Input struct {
	// Kind is one of the constants above.
	Kind string `json:"kind"`
	// Name is its file name: "ruby.tcz", "stomp-1.2.0.gem".
	Name string `json:"name"`
	// URL is where it came from, without a password; a path relative to the lock's folder, where
	// it came from this machine. It is never part of an image.
	URL string `json:"url,omitempty"`
	// Size is its length in bytes.
	Size int64 `json:"size"`
	// MD5 is the digest that upstream publishes, if it publishes one.
	MD5 string `json:"md5,omitempty"`
	// SHA256 decides.
	SHA256 string `json:"sha256"`
	// Why says who asked for it: one of the reasons above, or the file names of extensions that
	// depend on it.
	Why []string `json:"why"`
	// Needs are the edges of its own .dep in their order, as file names, KERNEL replaced.
	Needs []string `json:"needs,omitempty"`
	// Licence is what the .info or the gem says of it; it may be empty.
	Licence string `json:"licence,omitempty"`
}

// Lock is everything that images of one configuration are made of, for every profile.
type Lock struct {
	// Schema is [Schema].
	Schema string `json:"schema"`
	// Config is the digest of what in the configuration selects inputs.
	Config string `json:"config"`
	// Release and Arch are those of the configuration: "4.5.2", "x86".
	Release string `json:"release"`
	Arch    string `json:"arch"`
	// Kernel is the release of the ISO's kernel: "3.0.21-tinycore".
	Kernel string `json:"kernel"`
	// SourceDate is the time of what mkbuild makes, in seconds since 1970.
	SourceDate int64 `json:"source_date"`
	// Inputs are sorted by kind and name.
	Inputs []Input `json:"inputs"`

	// File is where it was read from, Command what writes it: "mkbuild lock --config my.yaml". Both
	// are for messages, and no part of the text.
	File    string `json:"-"`
	Command string `json:"-"`
}

// Find returns an input, or nil.
func (l *Lock) Find(kind, name string) *Input {
	if l == nil {
		return nil
	}
	at, ok := slices.BinarySearchFunc(l.Inputs, Input{Kind: kind, Name: name}, compare)
	if !ok {
		return nil
	}
	return &l.Inputs[at]
}

// OnlyPicked reports that nothing but single files of an extension are used: its edges are not
// known then.
func (in *Input) OnlyPicked() bool { return slices.Equal(in.Why, []string{WhyPick}) }
