package rubygems

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// ErrVersion is returned for an invalid version or requirement.
var ErrVersion = errors.New("malformed version")

// versionForm is the syntax of Gem::Version; maxVersion bounds the length, which RubyGems does not.
var versionForm = regexp.MustCompile(`^[0-9]+(\.[0-9A-Za-z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

const maxVersion = 128

var segmentForm = regexp.MustCompile(`[0-9]+|[A-Za-z]+`)

// Version is the version of a gem. The zero value equals "0".
//
// The order is that of Gem::Version. Segments are compared in turn, numbers by value and letters by their bytes. A
// letter sorts before any number, so "1.0.rc1" precedes "1.0". Trailing zeros are ignored.
type Version struct {
	text     string
	segments []string // digits without leading zeros, or letters
}

// ParseVersion reads a version. As in RubyGems, "1.0-rc1" means "1.0.pre.rc1".
func ParseVersion(s string) (Version, error) {
	s = strings.Trim(s, " \t\r\n\f")
	if len(s) > maxVersion || !versionForm.MatchString(s) {
		return Version{}, fmt.Errorf("%w: %.64q", ErrVersion, s)
	}
	return newVersion(strings.ReplaceAll(s, "-", ".pre.")), nil
}

// newVersion splits a valid text into segments.
func newVersion(s string) Version {
	segments := segmentForm.FindAllString(s, -1)
	for i, seg := range segments {
		if isNumber(seg) {
			segments[i] = trimZeros(seg)
		}
	}
	return Version{text: s, segments: segments}
}

// String returns the version as in RubyGems' file names.
func (v Version) String() string { return v.text }

// Prerelease reports whether v contains a letter, RubyGems' mark of a prerelease.
func (v Version) Prerelease() bool { return v.firstLetter() < len(v.segments) }

func (v Version) firstLetter() int {
	for i, seg := range v.segments {
		if !isNumber(seg) {
			return i
		}
	}
	return len(v.segments)
}

// Compare returns -1, 0 or 1 for v before, equal to or after w.
func (v Version) Compare(w Version) int {
	a, b := v.canonical(), w.canonical()
	for i := range max(len(a), len(b)) {
		x, y := "0", "0"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := compareSegments(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// canonical drops the trailing zeros of the numeric prefix and of the rest.
func (v Version) canonical() []string {
	cut := v.firstLetter()
	head, tail := dropZeros(v.segments[:cut]), dropZeros(v.segments[cut:])
	return append(append(make([]string, 0, len(head)+len(tail)), head...), tail...)
}

// release returns the part of v before its first letter.
func (v Version) release() Version {
	if !v.Prerelease() {
		return v
	}
	return newVersion(strings.Join(v.segments[:v.firstLetter()], "."))
}

// bump returns the first version that "~> v" excludes: it increments the second last segment.
func (v Version) bump() Version {
	segments := append([]string(nil), v.segments[:v.firstLetter()]...)
	if len(segments) > 1 {
		segments = segments[:len(segments)-1]
	}
	if len(segments) == 0 {
		segments = []string{"0"}
	}
	last := len(segments) - 1
	n, _ := new(big.Int).SetString(segments[last], 10) // only digits: see segmentForm
	segments[last] = n.Add(n, big.NewInt(1)).String()
	return newVersion(strings.Join(segments, "."))
}

// compareSegments orders two segments. Numbers are compared as digits, because they may have any length.
func compareSegments(x, y string) int {
	switch xn, yn := isNumber(x), isNumber(y); {
	case xn && !yn:
		return 1
	case !xn && yn:
		return -1
	case xn && len(x) != len(y):
		return cmp.Compare(len(x), len(y))
	}
	return strings.Compare(x, y)
}

func isNumber(seg string) bool { return seg[0] >= '0' && seg[0] <= '9' }

func trimZeros(digits string) string {
	if t := strings.TrimLeft(digits, "0"); t != "" {
		return t
	}
	return "0"
}

func dropZeros(segments []string) []string {
	n := len(segments)
	for n > 0 && segments[n-1] == "0" {
		n--
	}
	return segments[:n]
}

// requirementForm is an optional operator and a version.
var requirementForm = regexp.MustCompile(`^\s*(=|!=|>=|<=|~>|>|<)?\s*([0-9A-Za-z.-]+)\s*$`)

// condition is one comparison: ">= 1.2".
type condition struct {
	op      string
	version Version
}

// Requirement is a set of conditions that a version must all meet. The zero value accepts everything, like
// RubyGems' default ">= 0" for releases.
type Requirement struct{ conditions []condition }

// ParseRequirement reads conditions such as "~> 1.2" and ">= 1.2.3"; a bare version means "=".
func ParseRequirement(conditions ...string) (Requirement, error) {
	var r Requirement
	for _, text := range conditions {
		m := requirementForm.FindStringSubmatch(text)
		if m == nil {
			return Requirement{}, fmt.Errorf("%w: requirement %.64q", ErrVersion, text)
		}
		v, err := ParseVersion(m[2])
		if err != nil {
			return Requirement{}, err
		}
		r.conditions = append(r.conditions, condition{cmp.Or(m[1], "="), v})
	}
	return r, nil
}

// SatisfiedBy reports whether v meets every condition.
func (r Requirement) SatisfiedBy(v Version) bool {
	for _, c := range r.conditions {
		if !c.met(v) {
			return false
		}
	}
	return true
}

func (c condition) met(v Version) bool {
	order := v.Compare(c.version)
	switch c.op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case "<":
		return order < 0
	case ">=":
		return order >= 0
	case "<=":
		return order <= 0
	case "~>":
		return order >= 0 && v.release().Compare(c.version.bump()) < 0
	}
	return false
}

// list returns the conditions as texts in the original order.
func (r Requirement) list() []string {
	if len(r.conditions) == 0 {
		return []string{">= 0"}
	}
	out := make([]string, 0, len(r.conditions))
	for _, c := range r.conditions {
		out = append(out, c.op+" "+c.version.text)
	}
	return out
}

// String returns the conditions as RubyGems prints them: "~> 1.2, >= 1.2.3".
func (r Requirement) String() string { return strings.Join(r.list(), ", ") }
