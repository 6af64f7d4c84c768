// Package planreport says what an image will be before it is written: of what it is made and why,
// who puts which file where, who wins a conflict, what it takes, and what deserves a look. It
// decides nothing: a [Report] is a value made of a [remaster.Preview], printed as text or as JSON.
// Secrets are not in it, and neither is the content of any file.
package planreport

import (
	"cmp"
	"encoding/json"
	"slices"

	"mkbuild/internal/lock"
	"mkbuild/internal/remaster"
)

// Schema is the version of the JSON form.
const Schema = "mkbuild.plan/v1"

// Report is a plan's result. Paths are those of the image, without the first slash; sizes are in bytes.
type Report struct {
	// Schema is [Schema].
	Schema  string `json:"schema"`
	Profile string `json:"profile"`
	Version string `json:"version"`
	Release string `json:"release"`
	Arch    string `json:"arch"`
	Kernel  string `json:"kernel"`
	// Arguments are what the kernel boots with by default.
	Arguments string `json:"arguments"`
	// SourceDate is the image's time, in seconds since 1970-01-01 UTC.
	SourceDate int64 `json:"source_date"`
	// Config is the effective configuration; secrets read REDACTED.
	Config json.RawMessage `json:"config"`
	// Inputs are the files that the image is made of, sorted by kind and name.
	Inputs []lock.Input `json:"inputs"`
	// Closure are the wanted extensions with those that they need.
	Closure []*Node `json:"closure"`
	// Parts are what the source image and each input bring, in load order.
	Parts []Part `json:"parts"`
	// Actions are all changes of the source image's files, by path.
	Actions []Action `json:"actions"`
	// Conflicts are files that were left out, since something else had their path.
	Conflicts []Conflict `json:"conflicts"`
	Sizes     Sizes      `json:"sizes"`
	// Warnings are what deserves a look.
	Warnings []Warning `json:"warnings"`
	// Notes are what is as it must be, and worth knowing.
	Notes []string `json:"notes"`
}

// Part is what one input takes.
type Part struct {
	Name string `json:"name"`
	// Initrd is its share of the initrd, compressed; 0 in the layout merged, where shares cannot be
	// told apart.
	Initrd int64 `json:"initrd"`
	// Files counts its files and links, Unpacked their content, and RAM the memory pages of it.
	Files    int   `json:"files"`
	Unpacked int64 `json:"unpacked"`
	RAM      int64 `json:"ram"`
}

// Sizes are those of the whole.
type Sizes struct {
	ISO    int64 `json:"iso"`
	Initrd int64 `json:"initrd"`
	// Unpacked and RAM are those of the booted file system. While the kernel unpacks the initrd it
	// needs RAM and the initrd's own size together.
	Unpacked int64 `json:"unpacked"`
	RAM      int64 `json:"ram"`
	BootRAM  int64 `json:"boot_ram"`
}

// Kinds of actions.
const (
	Add     = "add"
	Replace = "replace"
)

// Action is one file, link or device that is put over the source image.
type Action struct {
	Path string `json:"path"`
	// Do is [Add] or [Replace].
	Do string `json:"do"`
	// Origin is who puts it there: an input, "mkbuild", or the user's own path.
	Origin string `json:"origin"`
	Mode   string `json:"mode"` // octal, type included
	Size   int64  `json:"size,omitempty"`
	Link   string `json:"link,omitempty"`
}

// Conflict is a file that is not in the image.
type Conflict struct {
	Path    string `json:"path"`
	Kept    string `json:"kept"`
	Skipped string `json:"skipped"`
	Reason  string `json:"reason"`
}

// Warning is something that deserves a look.
type Warning struct {
	// Rule is short and stable: "missing-library".
	Rule string `json:"rule"`
	// Item is what it is about: a path, an input.
	Item string `json:"item,omitempty"`
	Text string `json:"text"`
}

// New makes the report of a preview. said are the warnings of the build itself.
func New(s *remaster.Staged, p *remaster.Preview, said []Warning) *Report {
	c := &s.Plan.Config
	r := &Report{
		Schema: Schema, Profile: c.Profile, Version: c.Image.Version, Release: c.Release, Arch: c.Arch, Kernel: s.Kernel,
		Arguments: p.Arguments, SourceDate: s.Epoch, Config: p.Config, Inputs: p.Inputs, Closure: closure(p.Inputs),
		Parts: parts(p.Parts), Actions: actions(p.Base, p.Image), Conflicts: []Conflict{},
		Warnings: append(append([]Warning{}, said...), findings(p)...), Notes: notes(p.Secrets),
	}
	for _, x := range p.Conflicts {
		r.Conflicts = append(r.Conflicts, Conflict{x.Path, x.Kept, x.Skipped, x.Reason})
	}
	slices.SortStableFunc(r.Warnings, func(a, b Warning) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Item, b.Item)) })
	_, unpacked, ram := measure(p.Image)
	r.Sizes = Sizes{ISO: p.ISO, Initrd: p.Initrd, Unpacked: unpacked, RAM: ram, BootRAM: ram + p.Initrd}
	return r
}
