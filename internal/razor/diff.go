package razor

import (
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// maxShown bounds a fact's value in a change record, in bytes.
const maxShown = 2 << 10

// maxChanges bounds the changes kept of one check-in.
const maxChanges = 500

// Kinds of a [Change].
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is one fact that differs from the check-in before. Old and New are JSON, shortened.
type Change struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// diffFacts compares two sets of facts, sorted by name.
func diffFacts(old, now map[string]json.RawMessage) []Change {
	var out []Change
	for name, v := range now {
		o, had := old[name]
		switch {
		case !had:
			out = append(out, Change{Name: name, Kind: Added, New: clip(string(v), maxShown)})
		case string(o) != string(v):
			out = append(out, Change{Name: name, Kind: Changed, Old: clip(string(o), maxShown), New: clip(string(v), maxShown)})
		}
	}
	for name, o := range old {
		if _, has := now[name]; !has {
			out = append(out, Change{Name: name, Kind: Removed, Old: clip(string(o), maxShown)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	if len(out) > maxChanges {
		out = out[:maxChanges]
	}
	return out
}

// Sources of an [Origin].
const (
	// ByClient: the client named the facts, in a header or in its fact mk_extension_facts.
	ByClient = "client"
	// ByComparison: the facts are those that appeared or changed together with the extension's hash.
	ByComparison = "comparison"
)

// Origin tells which facts came from the runtime extension, and how the server knows.
type Origin struct {
	// By is [ByClient], [ByComparison], or "" when nothing is known.
	By string `json:"by,omitempty"`
	// Facts are sorted names.
	Facts []string `json:"facts,omitempty"`
	// SHA256 is the node's mk_extension_sha256 fact.
	SHA256 string `json:"sha256,omitempty"`
}

// Has reports whether the extension gave the fact.
func (o Origin) Has(fact string) bool {
	_, found := slices.BinarySearch(o.Facts, fact)
	return found
}

const (
	// extensionHeader is how a client may name the facts of its extension, comma-separated. The
	// real Razor server ignores it.
	extensionHeader = "Mk-Extension-Facts"
	// clientFacts is the prefix of the client's own report about the extension.
	clientFacts = "mk_extension_"
	hashFact    = clientFacts + "sha256"
	// namesFact lists the extension's facts, comma-separated: mk-client sends it always, empty
	// without an extension.
	namesFact = clientFacts + "facts"
)

// namedByFact reads [namesFact].
func namedByFact(facts map[string]any) (names []string, said bool) {
	s, said := facts[namesFact].(string)
	for n := range strings.SplitSeq(s, ",") {
		names = append(names, strings.TrimSpace(n))
	}
	return names, said
}

// originOf works out which facts the extension gave. What the client says counts; without a
// word from it, the facts that came or changed in the check-in in which the extension's hash
// changed are taken to be the extension's, as long as they stay.
func originOf(prev Origin, hadFacts bool, facts map[string]any, changes []Change, named []string, said bool) Origin {
	sha, _ := facts[hashFact].(string)
	o := Origin{SHA256: clip(sha, 128)}
	if !said {
		named, said = namedByFact(facts)
	}
	switch {
	case said:
		o.By, o.Facts = ByClient, named
	case sha == "" || !hadFacts:
		return o
	case sha == prev.SHA256:
		o.By, o.Facts = prev.By, prev.Facts
	default:
		o.By = ByComparison
		for _, c := range changes {
			if c.Kind != Removed && !strings.HasPrefix(c.Name, clientFacts) {
				o.Facts = append(o.Facts, c.Name)
			}
		}
		o.Facts = append(o.Facts, unchangedOf(prev, changes)...)
	}
	o.Facts = present(o.Facts, facts)
	return o
}

// unchangedOf keeps facts of the former generation that a new generation left as they were.
func unchangedOf(prev Origin, changes []Change) []string {
	var out []string
	for _, name := range prev.Facts {
		if !slices.ContainsFunc(changes, func(c Change) bool { return c.Name == name }) {
			out = append(out, name)
		}
	}
	return out
}

// present sorts names, drops repeats, and those that are no fact of this check-in.
func present(names []string, facts map[string]any) []string {
	var out []string
	for _, n := range names {
		if _, ok := facts[n]; ok {
			out = append(out, n)
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// headerNames splits the client's header.
func headerNames(values []string) (names []string, said bool) {
	for _, v := range values {
		said = true
		for n := range strings.SplitSeq(v, ",") {
			n = strings.TrimSpace(n)
			if u, err := url.PathUnescape(n); err == nil {
				n = u // a name with a comma, a blank or non-ASCII is percent-encoded
			}
			if n != "" {
				names = append(names, n)
			}
		}
	}
	return names, said
}
