package inputs

import (
	"testing"

	"mkbuild/internal/fail"
)

func TestCheckArguments(t *testing.T) {
	t.Parallel()
	const own = " Otherwise give your own argument another name"
	for args, hint := range map[string]string{
		"quiet razor.server=a RAZOR.Interval=5 razor.fact.site=b": "",
		"razor.rack=b12 server=a sever=a":                         "",
		"quiet razor.sever=a":                                     "did you mean razor.server?" + own,
		`"razor.fact_timeouts=5"`:                                 "did you mean razor.fact_timeout?" + own,
	} {
		if got := fail.HintOf(CheckArguments("--append", args)); got != hint {
			t.Errorf("%s: hint %q, want %q", args, got, hint)
		}
	}
}
