package rules

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// Texts for num, compared with Ruby's own Integer() and Float().
var numTexts = []string{
	"0", "5", "-5", "+5", "10", "0xf", "0XF", "-0xf", "0x", "0xg", "0b110", "0B1", "-0b11", "+0b1", "0b12", "027", "-027", "+027", " 027", "027\n",
	"08", "0_7", "00", "1_000", "1__0", "_1", "1_", "2.7", "2.", ".5", "-.5", "1e5", "1E-5", "1e", "1.e5", "1_0.2_5", "1e1_0", " 5 ", "\t5\n",
	"", " ", "2t", "a2", "inf", "Infinity", "nan", "NaN", "5 5", "0x1.8p3", "0x1p4", "0x_1", "0x1_f", "1e400", "-1e400", "9223372036854775807", "9223372036854775808",
	"+", "-", ".", "e5", "0o17", "５",
}

func TestNumAgainstRuby(t *testing.T) {
	testkit.Tool(t, "ruby")
	in, err := json.Marshal(numTexts)
	testkit.Must(t, err)
	out := ruby(t, string(in), `require "json"
puts JSON.parse(STDIN.read).map { |v|
  begin
    r = v =~ /\A-?(0b[10]+  |  0[0-7]+)\Z/ix ? Integer(v) : Float(v)
    r.to_f.to_s
  rescue ArgumentError
    "error"
  end
}.to_json`)
	for i, s := range numTexts {
		got := "error"
		if v, ok := num(s); ok {
			f, _ := bigNumber(v).Float64()
			got = floatString(f)
		}
		if got != out[i] {
			t.Errorf("num %q: got %s, Ruby has %s", s, got, out[i])
		}
	}
}

var floats = []float64{0, 5.4, 1e5, 1e15, 1e16, 1.5e16, 123456789012345680, 1e20, 1e-4, 1e-5, 1.25e-7, -2.5, 1.0 / 3, 5e-324, 1.7976931348623157e308, 100}

func TestFloatStringAgainstRuby(t *testing.T) {
	testkit.Tool(t, "ruby")
	texts := make([]string, len(floats))
	for i, f := range floats {
		texts[i] = fmt.Sprintf("%.17e", f)
	}
	in, err := json.Marshal(texts)
	testkit.Must(t, err)
	for i, want := range ruby(t, string(in), `require "json"; puts JSON.parse(STDIN.read).map { |s| s.to_f.to_s }.to_json`) {
		if got := floatString(floats[i]); got != want {
			t.Errorf("got %s, Ruby has %s", got, want)
		}
	}
}

// Searches whose results must equal Ruby's.
var searches = []struct{ text, re string }{
	{"abc", "abc"}, {"abc", "a.c"}, {"abc", "b"}, {"abc", ""}, {"abc", `\Aabc\z`}, {"abc", "^abc$"}, {"abc", `\Abc\z`}, {"abc", `\zabc\A`}, {"abc", "$abc^"},
	{"a\nb", "^b$"}, {"a\nb", `\Ab`}, {"a\nb", "a.b"}, {"a\nb", "(?m)a.b"}, {"a\nb", "(?m:a.b)"}, {"a\n", `a\Z`}, {"a\n", `a\z`}, {"a\n\n", `a\Z`}, {"a\n", "a$"},
	{"3", "#{1+2}"}, {"a/b", `a\/b`}, {"ff", `\A\h+\z`}, {"fg", `\A\h+\z`}, {"g", `\H`}, {"f", `\H`}, {"0f-", `\A[\h-]+\z`}, {"a\vb", `a\sb`}, {"a\vb", `a[\s]b`}, {"ab", `a\Sb`},
	{"aaa", `\Aa{,2}\z`}, {"aa", `\Aa{,2}\z`}, {"a{,x}", `a{,x}`}, {"é", `\u00e9`}, {"é", `\u{e9}`}, {"\x1b", `\e`}, {"a\r\nb", `a\Rb`}, {"a-b", `\Aa\-b\z`}, {"ABC", "(?i)abc"},
	{"ABC", "a(?i)bc"}, {"aBC", "a(?i:bc)"}, {"kvm", "(?<v>kvm|xen)"}, {"ab", "a(?#comment)b"}, {"a]b", `a[\]]b`}, {"a b", "[[:space:]]"}, {"_", `\A\w\z`}, {"abc", `\babc\b`},
	{"\b", `[\b]`}, {"y", `\y`}, {"R720", `PowerEdge|R[67]\d0`}, {"a.b", `a\.b`}, {"axb", `a\.b`}, {"", "^$"}, {"x", "^$"}, {"\nx", "^$"}, {"%", `\%`}, {"a", `a{0}b?`},
	// Ruby's letter classes are ASCII, its bracket classes Unicode.
	{"é", `\w`}, {"é", `\W`}, {"٣", `\d`}, {"٣", `\D`}, {"\u00a0", `\s`}, {"\u00a0", `\S`}, {"é", `[\w]`}, {"é", `[^\w]`}, {"é", `[\W]`}, {"a", `[\W]`}, {"^", `[\W]`}, {"`", `[\W]`},
	{"5", `[\D]`}, {"/", `[\D]`}, {" ", `[\S]`}, {"x", `[\S]`}, {"g", `[\H]`}, {"f", `[\H]`}, {"`", `[\H]`}, {"\n", `[\s\S]`}, {"é", `[[:alpha:]]`}, {"a1", `\A[[:alpha:][:digit:]]+\z`}, {"a", "[^[:digit:]]"}, {"F", "[[:xdigit:]]"},
	// Features that RE2 lacks.
	{"a1", `a(?=1)`}, {"a2", `a(?=1)`}, {"a2", `a(?!1)`}, {"ba", `(?<=b)a`}, {"ca", `(?<!b)a`}, {"aa", `(a)\1`}, {"ab", `(a)\1`}, {"aa", `(?<n>a)\k<n>`}, {"aab", `a++b`}, {"aaa", `a++a`},
	{"aaa", `(?>a+)a`}, {"ac", `(a)?(?(1)c|b)`}, {"a\nb", `(?mi)A.b`}, {"a\nb", `(?m)a.b(?-m)`}, {"a\nb", `(?m)(?-m)a.b`}, {"E", `\E`}, {"E", `[\E]`}, {"Q.E", `\Q.\E`}, {"G", `[\G]`}, {"\u2028", `\R`}, {"e\u0301", `\A\X\z`},
}

func TestSearchAgainstRuby(t *testing.T) {
	testkit.Tool(t, "ruby")
	pairs := make([][2]string, len(searches))
	for i, c := range searches {
		pairs[i] = [2]string{c.text, c.re}
	}
	in, err := json.Marshal(pairs)
	testkit.Must(t, err)
	out := ruby(t, string(in), `require "json"; $VERBOSE = nil
puts JSON.parse(STDIN.read).map { |t, r| begin; (t =~ Regexp.new(r)) ? "true" : "false"; rescue RegexpError; "error"; end }.to_json`)
	for i, c := range searches {
		got := "error"
		if re, err := CompileRegexp(c.re, false); err == nil {
			found, err := re.Match(c.text)
			got = fmt.Sprint(found)
			if err != nil {
				got = err.Error()
			}
		}
		if got != out[i] {
			t.Errorf("%q =~ /%s/: got %s, Ruby has %s", c.text, c.re, got, out[i])
		}
	}
}

// Text that .NET reads differently, or not at all, is refused.
func TestRefusedRegexps(t *testing.T) {
	for re, word := range map[string]string{
		"[a[b]]": "nested", "[a-c-[b]]": "nested", "[a&&b]": "intersection", "[[:print:]]": "not supported", "[[:^digit:]]": "not supported",
		"(?x)a b": "flags", "(?s)a": "flags", "(?~a)": "group", `\K`: `\K`, `(a)\g<1>`: `\g`, `\C-a`: `\C`, `\M-a`: `\M`, "[": "premature", "[]": "empty", `\`: "too short", `\u12`: "hexadecimal", `\u{}`: "hexadecimal",
		"(": "missing", "*": "missing argument", strings.Repeat("a", maxRegexp+1): "limit",
	} {
		if _, err := CompileRegexp(re, false); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%.20s: got %v, want %q", re, err, word)
		}
	}
}

func ruby(t *testing.T, stdin, script string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ruby", "-e", script)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(cmd.Environ(), "LANG=C.UTF-8")
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ruby: %v\n%s", err, b)
	}
	var out []string
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return out
}
