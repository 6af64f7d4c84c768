package planreport

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Limits are the largest sizes that are wanted, in bytes, by "iso", "initrd" and "ram".
type Limits map[string]int64

// limitNames are what can be limited.
func limitNames() []string { return []string{"iso", "initrd", "ram"} }

// ParseLimits reads "iso=64M,initrd=40M". Sizes are in bytes, or in K, M or G of 1024 each; KiB, MiB
// and GiB mean the same.
func ParseLimits(text string) (Limits, error) {
	out := Limits{}
	for _, part := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || !slices.Contains(limitNames(), name) {
			return nil, fmt.Errorf("%q: want one of %s, = and a size", part, strings.Join(limitNames(), ", "))
		}
		n, err := parseSize(value)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		out[name] = n
	}
	return out, nil
}

func parseSize(s string) (int64, error) {
	number := strings.TrimSuffix(s, "iB")
	unit := int64(1)
	for suffix, u := range map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = rest, u
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit || unit == 1 && number != s {
		return 0, fmt.Errorf("%q is no size: 64M, 40960K or a number of bytes", s)
	}
	return n * unit, nil
}

// SizeError says that an image would be larger than wanted.
type SizeError struct{ Over []string }

func (e *SizeError) Error() string { return "plan: " + strings.Join(e.Over, "; ") }

// Hint says where to look.
func (*SizeError) Hint() string {
	return "the table of sizes says what takes the space; leave an extension out, or raise --max-size"
}

// Check holds the report against limits. The error is a [*SizeError].
func (l Limits) Check(r *Report) error {
	var over []string
	for _, x := range []struct {
		name string
		size int64
	}{{"iso", r.Sizes.ISO}, {"initrd", r.Sizes.Initrd}, {"ram", r.Sizes.BootRAM}} {
		if limit, set := l[x.name]; set && x.size > limit {
			over = append(over, fmt.Sprintf("%s would have %d bytes, %d more than the limit of %d", x.name, x.size, x.size-limit, limit))
		}
	}
	if over == nil {
		return nil
	}
	return &SizeError{over}
}

// WarningsError says that there are warnings where none are wanted.
type WarningsError struct{ Warnings []Warning }

func (e *WarningsError) Error() string {
	w := e.Warnings[0]
	s := fmt.Sprintf("plan: %s: %s", w.Rule, w.Text)
	if n := len(e.Warnings); n > 1 {
		s += fmt.Sprintf("; and %d more", n-1)
	}
	return s
}

// Hint says what can be done.
func (*WarningsError) Hint() string {
	return "mend what the plan warns of, or leave --strict out"
}
