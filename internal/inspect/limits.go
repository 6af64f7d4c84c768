package inspect

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"mkbuild/internal/fail"
)

// Limits are maximum sizes in bytes; 0 is no limit.
type Limits struct{ iso, initrd, ram int64 }

// ParseLimits reads "iso=64M,initrd=40M". Sizes are in bytes, or in K, M or G of 1024 each; KiB, MiB
// and GiB mean the same.
func ParseLimits(text string) (Limits, error) {
	var l Limits
	at := map[string]*int64{"iso": &l.iso, "initrd": &l.initrd, "ram": &l.ram}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if at[name] == nil || value == "" {
			return l, fmt.Errorf("%q is not iso=SIZE, initrd=SIZE or ram=SIZE", part)
		}
		n, err := parseSize(value)
		if err != nil {
			return l, fmt.Errorf("%q: %w", part, err)
		}
		*at[name] = n
	}
	return l, nil
}

func parseSize(s string) (int64, error) {
	part := regexp.MustCompile(`^([0-9]+)(?:([KMG])(?:iB)?)?$`).FindStringSubmatch(s)
	if part != nil {
		shift := 10 * strings.Index("-KMG", cmp.Or(part[2], "-"))
		n, err := strconv.ParseInt(part[1], 10, 64)
		if err == nil && n > 0 && n<<shift>>shift == n {
			return n << shift, nil
		}
	}
	return 0, fmt.Errorf("%q is not a size such as 64M, 40960K or a number of bytes", s)
}

// Check compares the report of a plan with limits.
func (l Limits) Check(r *Report) error {
	var over []string
	for _, x := range []struct {
		name        string
		size, limit int64
	}{{"iso", r.Size, l.iso}, {"initrd", r.Initrd.Size, l.initrd}, {"ram", r.Initrd.BootRAM, l.ram}} {
		if x.limit > 0 && x.size > x.limit {
			over = append(over, fmt.Sprintf("%s would have %d bytes, %d more than the limit of %d", x.name, x.size, x.size-x.limit, x.limit))
		}
	}
	if over == nil {
		return nil
	}
	return fail.New(fail.Verification, "plan: "+strings.Join(over, "; "), "the tables of sizes show what takes the space; leave an extension out, or raise --max-size")
}

// Strict fails if a plan has findings.
func (r *Report) Strict() error {
	found := r.Plan.Findings
	if len(found) == 0 {
		return nil
	}
	more := when(len(found) > 1, fmt.Sprintf("; and %d more", len(found)-1))
	return fail.New(fail.Verification, "plan: "+found[0].Rule+": "+found[0].Text+more, "fix the findings of the plan, or leave --strict out")
}
