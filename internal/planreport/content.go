package planreport

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
)

// Node is an extension in the tree of what needs what.
type Node struct {
	Name string `json:"name"`
	// Why says who asked for it, at the roots alone.
	Why []string `json:"why,omitempty"`
	// Needs are what it needs; they are left out where the node stands Above already.
	Needs []*Node `json:"needs,omitempty"`
	Above bool    `json:"above,omitempty"`
}

// closure makes trees of the extensions: roots are those that somebody asked for by name.
func closure(inputs []lock.Input) []*Node {
	byName := map[string]*lock.Input{}
	for i := range inputs {
		if inputs[i].Kind == lock.TCZ {
			byName[inputs[i].Name] = &inputs[i]
		}
	}
	shown := map[string]bool{}
	out := []*Node{}
	for i := range inputs {
		in := &inputs[i]
		var asked []string
		for _, why := range in.Why {
			if byName[why] == nil {
				asked = append(asked, why)
			}
		}
		if in.Kind == lock.TCZ && len(asked) > 0 {
			n := subtree(in.Name, byName, shown)
			n.Why = asked
			out = append(out, n)
		}
	}
	return out
}

// subtree ends at what was shown before, and so at cycles. What is picked out of an extension does
// not bring what that needs.
func subtree(name string, byName map[string]*lock.Input, shown map[string]bool) *Node {
	n := &Node{Name: name}
	in := byName[name]
	if in == nil || in.OnlyPicked() {
		return n
	}
	if shown[name] {
		n.Above = len(in.Needs) > 0
		return n
	}
	shown[name] = true
	for _, need := range in.Needs {
		if byName[need] != nil {
			n.Needs = append(n.Needs, subtree(need, byName, shown))
		}
	}
	return n
}

// page is the unit in which the kernel keeps files of a root file system in memory, in bytes.
const page = 4096

// measure adds a tree up: entries that are no directories, and the content of each inode once.
func measure(t *overlay.Tree) (files int, unpacked, ram int64) {
	groups := map[string]bool{}
	for _, e := range t.Entries() {
		if e.IsDir() {
			continue
		}
		files++
		if e.HardLink != "" && groups[e.HardLink] {
			continue
		}
		groups[e.HardLink] = true
		unpacked += e.Size
		ram += (e.Size + page - 1) / page * page
	}
	return files, unpacked, ram
}

func parts(ps []remaster.Part) []Part {
	out := []Part{}
	for _, p := range ps {
		files, unpacked, ram := measure(p.Tree)
		out = append(out, Part{p.Name, p.Size, files, unpacked, ram})
	}
	return out
}

// actions compares the image with its base.
func actions(base, image *overlay.Tree) []Action {
	out := []Action{}
	for _, e := range image.Entries() {
		old := base.Get(e.Path)
		if e.Path == "." || e.IsDir() && old != nil || old != nil && sameEntry(old, e) {
			continue
		}
		a := Action{Path: e.Path, Do: Add, Origin: owner(e), Mode: fmt.Sprintf("%06o", e.Mode), Size: e.Size, Link: e.Link}
		if old != nil {
			a.Do = Replace
		}
		out = append(out, a)
	}
	return out
}

// owner is who put an entry into the image.
func owner(e *overlay.Entry) string { return cmp.Or(e.Origin, "mkbuild") }

// sameEntry reports whether the image has the base's own entry: it keeps its origin.
func sameEntry(old, e *overlay.Entry) bool {
	return old.Origin == e.Origin && old.Mode == e.Mode && old.UID == e.UID && old.GID == e.GID && old.Size == e.Size && old.Link == e.Link && old.MTime == e.MTime
}

// notes tell who can read secrets.
func notes(secrets []string) []string {
	if len(secrets) == 0 {
		return []string{}
	}
	names := slices.Clone(secrets)
	for i := range names {
		names[i] = "/" + names[i]
	}
	return []string{"whatever a PXE server hands out can be read by everybody on its network, and so can these files of the image: " + strings.Join(names, ", ")}
}
