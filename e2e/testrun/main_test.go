package main

import (
	"strings"
	"testing"
)

// TestReport tests the output of a run: each package, slow tests, and all output of a failed test.
func TestReport(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	r.follow(events(strings.NewReader(`{"Action":"run","Package":"mkbuild/a","Test":"TestFast"}
{"Action":"output","Package":"mkbuild/a","Test":"TestFast","Output":"not worth a line\n"}
{"Action":"pass","Package":"mkbuild/a","Test":"TestFast","Elapsed":0.1}
{"Action":"run","Package":"mkbuild/a","Test":"TestSlow"}
{"Action":"pass","Package":"mkbuild/a","Test":"TestSlow","Elapsed":7}
{"Action":"run","Package":"mkbuild/a","Test":"TestBad"}
{"Action":"output","Package":"mkbuild/a","Test":"TestBad","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"mkbuild/a","Test":"TestBad","Elapsed":0.2}
{"Action":"fail","Package":"mkbuild/a","Elapsed":8}
{"Action":"start","Package":"mkbuild/b"}
{"Action":"pass","Package":"mkbuild/b","Test":"TestOfAnEarlierRun","Elapsed":9}
{"Action":"output","Package":"mkbuild/b","Output":"ok \tmkbuild/b\t(cached)\n"}
{"Action":"pass","Package":"mkbuild/b","Elapsed":0}
{"Action":"skip","Package":"mkbuild/c","Elapsed":0}
go: warning
{"Action":"run","Package":"mkbuild/d","Test":"TestWaits"}
{"Action":"pause","Package":"mkbuild/d","Test":"TestWaits"}
{"Action":"run","Package":"mkbuild/d","Test":"TestRuns"}
`)))
	const want = `  pass a TestSlow  7.0 s
got 1, want 2
FAIL a TestBad  0.2 s
FAIL a  8.0 s
ok b  as before
go: warning
FAILED a TestBad
FAILED a
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	if got := r.now(); got != "… d TestRuns (0 s)" {
		t.Errorf("running: %q", got)
	}
}
