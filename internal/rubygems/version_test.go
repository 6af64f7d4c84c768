package rubygems

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

var versionSamples = []string{
	"0", "1", "1.0", "1.0.0", "1.0.1", "1.1", "1.10", "1.9", "2", "1.0.a", "1.0.b1", "1.0.rc1", "1.0.rc.1",
	"1.0.rc2", "1.0.rc10", "1.0-rc1", "1.0.pre", "1.a", "1.0.0.0.b", "00.1", "1.01", "3.1.2", "1.8.7.352",
	"1.0.0.B", "2.0.0.rc1", "99999999999999999999999.1", "1.9.a.0.0",
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "1.", ".1", "1..2", "1 2", "1\n2", "v1", "1-", "-1", "1.é", strings.Repeat("1", 200)} {
		if v, err := ParseVersion(s); !errors.Is(err, ErrVersion) {
			t.Errorf("ParseVersion(%q) = %v, %v, want ErrVersion", s, v, err)
		}
	}
	if v, err := ParseVersion(" 1.0-rc1 "); err != nil || v.String() != "1.0.pre.rc1" {
		t.Errorf("got %v, %v, want 1.0.pre.rc1", v, err)
	}
}

func TestRequirementErrors(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "~> ", "=> 1", ">= 1, < 2", "^1.0", "== 1"} {
		if r, err := ParseRequirement(s); !errors.Is(err, ErrVersion) {
			t.Errorf("ParseRequirement(%q) = %v, %v, want ErrVersion", s, r, err)
		}
	}
}

func TestRequirement(t *testing.T) {
	t.Parallel()
	tests := []struct {
		requirement, version string
		want                 bool
	}{
		{"~> 1.3", "1.3", true}, {"~> 1.3", "1.99", true}, {"~> 1.3", "2.0", false}, {"~> 1.3", "2.0.a", false},
		{"~> 1.3.1", "1.3.9", true}, {"~> 1.3.1", "1.4", false}, {"~> 1", "1.9", true}, {"~> 1", "2", false},
		{"!= 1.0", "1.0.0", false}, {"!= 1.0", "1.1", true}, {"= 1.0", "1", true}, {"1.0", "1.0.0", true},
		{">= 1.0", "1.0.rc1", false}, {">= 1.0.a", "1.0.rc1", true}, {"< 2", "2.0.pre", true},
	}
	for _, tc := range tests {
		r, err := ParseRequirement(tc.requirement)
		testkit.Must(t, err)
		if got := r.SatisfiedBy(newVersion(tc.version)); got != tc.want {
			t.Errorf("%q satisfied by %s = %v, want %v", tc.requirement, tc.version, got, tc.want)
		}
	}
}

// TestVersionsLikeRubyGems compares order and requirements with RubyGems itself, for every pair.
func TestVersionsLikeRubyGems(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "ruby")
	script := `
vs = ARGV
vs.each { |a| vs.each { |b|
  x, y = Gem::Version.new(a), Gem::Version.new(b)
  print a, " ", b, " ", x <=> y
  ["=", "!=", ">", "<", ">=", "<=", "~>"].each { |op| print " ", Gem::Requirement.new("#{op} #{b}").satisfied_by?(x) }
  puts
} }`
	got := &strings.Builder{}
	for _, a := range versionSamples {
		for _, b := range versionSamples {
			x, err := ParseVersion(a)
			testkit.Must(t, err)
			y, err := ParseVersion(b)
			testkit.Must(t, err)
			fmt.Fprintf(got, "%s %s %d", a, b, x.Compare(y))
			for _, op := range []string{"=", "!=", ">", "<", ">=", "<=", "~>"} {
				r, err := ParseRequirement(op + " " + b)
				testkit.Must(t, err)
				fmt.Fprintf(got, " %v", r.SatisfiedBy(x))
			}
			fmt.Fprintln(got)
		}
	}
	want := testkit.Run(t, "ruby", append([]string{"-e", script}, versionSamples...)...)
	g, w := strings.Split(got.String(), "\n"), strings.Split(want, "\n")
	if len(g) != len(w) {
		t.Fatalf("got %d lines, RubyGems says %d", len(g), len(w))
	}
	for i := range g {
		if g[i] != w[i] {
			t.Errorf("got  %s\nwant %s", g[i], w[i])
		}
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range versionSamples {
		f.Add(s, "1.0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := ParseVersion(a)
		y, errY := ParseVersion(b)
		if errX != nil || errY != nil {
			return
		}
		if x.Compare(y) != -y.Compare(x) || x.Compare(x) != 0 {
			t.Errorf("order of %q and %q is not antisymmetric", a, b)
		}
		r, err := ParseRequirement("~> " + a)
		if err != nil || !r.SatisfiedBy(x) {
			t.Errorf("~> %q is not satisfied by itself: %v", a, err)
		}
	})
}
