package razor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"mkbuild/internal/testkit"
)

// Rules that are refused before any node sees them, and a word that the message must have.
var invalidRules = []struct{ rule, word string }{
	{`{}`, "must be an array"},
	{`"rule"`, "must be an array"},
	{`null`, "must be an array"},
	{`[]`, "at least one argument"},
	{`["and"]`, "at least one argument"},
	{`["=",["fact"],1]`, "at least one argument"},
	{`["=",[],1]`, "at least one argument"},
	{`[1,2]`, "operator must be a string"},
	{`[["="],1]`, "operator must be a string"},
	{`["be",true,false]`, "unrecognized operator"},
	{`["===",true,false]`, "unrecognized operator"},
	{`["+",1,1]`, "unrecognized operator"},
	{`["AND",true]`, "unrecognized operator"},
	{`["=",["ten","x"],10]`, "unrecognized operator"},
	{`["=",["fact","x"],{"a":1}]`, "cannot process an object"},
	{`["=",["fact","x"],{}]`, "cannot process an object"},
	// Only what can be nothing but a boolean may stand at the root.
	{`["fact","three"]`, "could return"},
	{`["metadata","three"]`, "could return"},
	{`["tag","x"]`, "could return"},
	{`["state","installed"]`, "could return"},
	{`["num",1]`, "could return number"},
	{`["str",1]`, "could return string"},
	{`["lower","A"]`, "could return string"},
	// Every type that an argument may have must be acceptable.
	{`[">=",["fact","n"],1]`, `wrap it in "num"`},
	{`[">=",1,["fact","processorcount"]]`, `for argument 1 of ">="`},
	{`["and",["fact","t"],["=",1,1]]`, "boolean only"},
	{`["and",["=",1,1],["fact","t"]]`, "boolean only"},
	{`["or",["tag","x"],true]`, "boolean only"},
	{`["not",["fact","t"]]`, "boolean only"},
	{`["like",["fact","x"],"re"]`, `wrap it in "str"`},
	{`["=",["lower",["fact","x"]],"a"]`, `wrap it in "str"`},
	{`["=",["upper",["fact","x"]],"a"]`, `wrap it in "str"`},
	{`["and",1,true]`, "only boolean"},
	{`["and","six",false]`, "only boolean"},
	{`["and",null]`, "only boolean"},
	{`["or","version",true]`, "only boolean"},
	{`["or",5.4,3]`, "only boolean"},
	{`["like",true,false]`, "only string"},
	{`["like",1,2]`, "only string"},
	{`["like","abc",false]`, "only string"},
	{`["like",1,"abc"]`, "only string"},
	{`["=",["fact",5],"five"]`, "only string"},
	{`["=",["fact",["num","1"]],"five"]`, "takes string only"},
	{`["=",["state","installed",1],"x"]`, "only string"},
	{`["lte","5",17]`, "only number"},
	{`["lt","9",false]`, "only number"},
	{`["gte","1",1]`, "only number"},
	{`["gt",true,3]`, "only number"},
	{`["=",["lower",1],"abc"]`, "only string"},
	{`["=",["upper",1],"abc"]`, "only string"},
	{`["has_macaddress",1]`, "only string"},
	{`["has_macaddress",["fact","x"]]`, "takes string only"},
	{`["has_macaddress_like","a","("]`, "invalid regular expression"},
	{`["in",3,["fact","ten"],["or",["fact","fifteen"],["fact","seven"]]]`, "boolean only"},
	{`["like","abc","*"]`, "invalid regular expression"},
	{`["like","abc","(?=x)"]`, "look-ahead"},
	// What Razor accepts only to fail at every check-in.
	{`["and",1,["=",1,1]]`, "only boolean"},
	{`["<",1]`, "needs 2 arguments"},
	{`["like","abc"]`, "needs 2 arguments"},
	{`["like","abc",["str","x"]]`, "written out"},
	{`["=",1,`, "not JSON"},
	{`["=",1,1] x`, "not JSON"},
}

func TestInvalidRules(t *testing.T) {
	for _, c := range invalidRules {
		_, err := ParseRule([]byte(c.rule))
		if !errors.Is(err, ErrRules) {
			t.Errorf("%s: got %v, want ErrRules", c.rule, err)
			continue
		}
		if !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %q does not say %q", c.rule, err, c.word)
		}
	}
	deep := strings.Repeat(`["not",`, 100) + "true" + strings.Repeat("]", 100)
	if _, err := ParseRule([]byte(deep)); !errors.Is(err, ErrRules) {
		t.Errorf("deep rule: %v", err)
	}
	wide := `["in",1` + strings.Repeat(",1", maxRuleNodes) + "]"
	if _, err := ParseRule([]byte(wide)); !errors.Is(err, ErrRules) {
		t.Errorf("wide rule: %v", err)
	}
}

// All findings are told, not only the last one, as Razor does.
func TestInvalidRuleTellsEverything(t *testing.T) {
	_, err := ParseRule([]byte(`["and",1,["=",["fact",5],1],["like","x","("]]`))
	mustContain(t, fmt.Sprint(err), "number 1", "number 5", "invalid regular expression")
}

const matchFacts = `{
	"s":"text","up":"ABC","five":5,"fivef":5.0,"str5":"5","t":true,"f":false,"nil":null,"empty":"",
	"n":"10","hex":"0xf","big":12345678901234567890,
	"list":[true,{"k":"v"},3],"map":{"a":{"b":"deep"},"x":false,"n":null},"map.x":"exact","nested":{"list":[1,2]},
	"macaddress":"52:54:00:AB:CD:EF","macaddress_eth1":"52:54:00:00:00:02","not_macaddress":"aa:aa:aa:aa:aa:aa"
}`

// Evaluations: result, or the message of the error.
var evaluations = []struct {
	rule string
	want string // "true", "false", or "error: …"
}{
	{`["and",true,true]`, "true"},
	{`["and",true,true,false,true]`, "false"},
	{`["or",true,false]`, "true"},
	{`["or",false,false,false]`, "false"},
	{`["not",false]`, "true"},
	{`["not",true]`, "false"},
	{`["not",false,true]`, "true"},
	// No short circuit: the second argument is computed, and fails.
	{`["or",true,["=",["fact","gone"],1]]`, "error: Couldn't find fact 'gone' and no default supplied"},
	{`["and",false,["=",["fact","gone"],1]]`, "error: Couldn't find fact 'gone' and no default supplied"},
	{`["=",1,1]`, "true"},
	{`["=",1,2]`, "false"},
	{`["eq","abc","abc"]`, "true"},
	{`["=",["fact","str5"],5]`, "false"},
	{`["=",["fact","five"],5.0]`, "true"},
	{`["=",["fact","fivef"],5]`, "true"},
	{`["=",null,null]`, "true"},
	{`["=",["fact","nil"],null]`, "true"},
	{`["=",["fact","nil","default"],"default"]`, "false"},
	{`["=",null,false]`, "false"},
	{`["=",true,"true"]`, "false"},
	{`["=",1,1,2,3]`, "true"},
	{`["=",null]`, "true"},
	{`["=",1]`, "false"},
	{`["!=",1,1]`, "false"},
	{`["neq","abc","abcd"]`, "true"},
	{`["!=",5,5.0]`, "false"},
	{`["in","a","b","c","a"]`, "true"},
	{`["in","x","b"]`, "false"},
	{`["in","x"]`, "false"},
	{`["in",5,["fact","five"]]`, "true"},
	{`["in",5,"5"]`, "false"},
	{`["<",4,3]`, "false"},
	{`["lt",3.5,3.6]`, "true"},
	{`["<=",2.45,2.44]`, "false"},
	{`["lte",4.0,4]`, "true"},
	{`[">",1,2.5]`, "false"},
	{`["gt",89,34]`, "true"},
	{`[">=",4,4]`, "true"},
	{`["gte",3.5,4]`, "false"},
	{`[">=",["num",["fact","n"]],10]`, "true"},
	{`["=",["num",["fact","hex"]],15]`, "true"},
	{`["=",9007199254740993,9007199254740992.0]`, "false"},
	{`["=",["num",["fact","t"]],1]`, "error: can't convert true to number"},
	{`["=",["num",["fact","s"]],1]`, `error: can't convert "text" to number`},
	{`["=",["num",null],0]`, "error: can't convert null to number"},
	{`["=",["str",["fact","five"]],"5"]`, "true"},
	{`["=",["str",["fact","fivef"]],"5.0"]`, "true"},
	{`["=",["str",null],""]`, "true"},
	{`["=",["str",false],"false"]`, "true"},
	{`["=",["lower",["str",["fact","up"]]],"abc"]`, "true"},
	{`["=",["upper",["str",["fact","s"]]],"TEXT"]`, "true"},
	{`["like",["str",["fact","s"]],"^te.t$"]`, "true"},
	{`["like","abc","\\Aabc\\z"]`, "true"},
	{`["like","abc","\\Abc\\z"]`, "false"},
	{`["like","abc","$abc^"]`, "false"},
	{`["like","one\ntwo","^two$"]`, "true"},
	{`["like","one\ntwo","\\Atwo"]`, "false"},
	{`["like","3","#{1+2}"]`, "false"},
	{`["like","abc",""]`, "true"},
	{`["=",["fact","map.a.b"],"deep"]`, "true"},
	{`["=",["fact","map.x"],"exact"]`, "true"},
	{`["=",["fact","list.0"],true]`, "true"},
	{`["=",["fact","list.-1"],3]`, "true"},
	{`["=",["fact","list.1.k"],"v"]`, "true"},
	{`["=",["fact","list.length"],3]`, "true"},
	{`["=",["fact","nested.list.length"],2]`, "true"},
	{`["=",["fact","list.9"],1]`, "error: Couldn't find fact 'list.9' and no default supplied"},
	{`["=",["fact","list.00"],1]`, "error: Couldn't find fact 'list.00' and no default supplied"},
	{`["=",["fact","list.length.wrong","d"],"d"]`, "true"},
	{`["=",["fact","map.a","d"],"d"]`, "true"},
	{`["=",["fact","map.n","d"],"d"]`, "true"},
	{`["=",["fact","s.length"],4]`, "error: Couldn't find fact 's.length' and no default supplied"},
	{`["=",["fact","list","d"],"d"]`, "error: cannot evaluate an array returned from fact list"},
	{`["=",["fact","map","d"],"d"]`, "error: cannot evaluate an object returned from fact map"},
	{`["=",["fact","gone","d"],"d"]`, "true"},
	{`["=",["fact","gone",null],null]`, "true"},
	{`["=",["fact",["lower","FIVE"]],5]`, "true"},
	{`["=",["metadata","role"],"db"]`, "true"},
	{`["=",["metadata","gone"],"db"]`, "error: Couldn't find metadata 'gone' and no default supplied"},
	{`["=",["state","installed"],null]`, "true"},
	{`["=",["state","other"],"x"]`, "error: Couldn't find state 'other' and no default supplied"},
	{`["=",["state","other","x"],"x"]`, "true"},
	{`["=",["tag","Yes"],true]`, "true"},
	{`["=",["tag","yes"],true]`, "true"},
	{`["=",["tag","no"],true]`, "false"},
	{`["=",["tag","none"],true]`, "error: Tag 'none' does not exist"},
	{`["=",["tag","loop"],true]`, "error: Tag 'loop' refers to itself"},
	{`["has_macaddress","52:54:00:ab:cd:ef"]`, "true"},
	{`["has_macaddress","x","52:54:00:00:00:02"]`, "true"},
	{`["has_macaddress","52-54-00-00-00-02"]`, "false"},
	{`["has_macaddress","aa:aa:aa:aa:aa:aa"]`, "false"},
	{`["has_macaddress_like","^52:54:00:AB"]`, "true"},
	{`["has_macaddress_like","^aa"]`, "false"},
	{`["has_macaddress_like","x","0{2}:02$"]`, "true"},
}

func testValues(t testing.TB) Values {
	v := Values{Metadata: map[string]any{"role": "db"}, State: (&Node{}).state()}
	if err := decodeJSON([]byte(matchFacts), &v.Facts); err != nil {
		t.Fatal(err)
	}
	tags := map[string]*Rule{}
	for name, rule := range map[string]string{"yes": `["=",1,1]`, "no": `["=",1,2]`, "loop": `["=",["tag",["lower","LOOP"]],true]`} {
		r, err := ParseRule([]byte(rule))
		if err != nil {
			t.Fatal(err)
		}
		tags[name] = r
	}
	v.Tag = func(name string) (*Rule, bool) { r, ok := tags[strings.ToLower(name)]; return r, ok }
	return v
}

func TestEvaluation(t *testing.T) {
	v := testValues(t)
	covered := map[string]bool{}
	for _, c := range evaluations {
		r, err := ParseRule([]byte(c.rule))
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		walk(r.root, func(c *call) { covered[c.op] = true })
		got, err := r.Match(v)
		if err != nil {
			var re *RuleError
			if !errors.As(err, &re) || !strings.HasSuffix(err.Error(), " while evaluating rule: "+r.String()) {
				t.Errorf("%s: error %v", c.rule, err)
			}
			if want := strings.TrimPrefix(c.want, "error: "); want == c.want || re.Msg != want {
				t.Errorf("%s: got %q, want %q", c.rule, re.Msg, c.want)
			}
			continue
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %t, want %s", c.rule, got, c.want)
		}
	}
	for _, op := range Operators() {
		if !covered[op] && aliases[op] == "" {
			// eq, neq, … are covered under one of their names
			short := ""
			for a, n := range aliases {
				if n == op {
					short = a
				}
			}
			if !covered[short] {
				t.Errorf("operator %q has no test", op)
			}
		}
	}
}

// A MAC fact that is no string is an error of another kind in Ruby: the check-in gets 400.
func TestEvaluationTypeError(t *testing.T) {
	r, err := ParseRule([]byte(`["has_macaddress","x"]`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Match(Values{Facts: map[string]any{"macaddress_x": json.Number("5")}})
	var re *RuleError
	if !errors.Is(err, errArgument) || errors.As(err, &re) {
		t.Errorf("got %v, want errArgument", err)
	}
}

// Tags that ask for tags can multiply: evaluation is bounded.
func TestEvaluationIsBounded(t *testing.T) {
	rules := map[string]*Rule{}
	for i := range 30 {
		src := fmt.Sprintf(`["=",["tag","t%d"],["tag","t%d"]]`, i+1, i+1)
		if i == 29 {
			src = `["=",1,1]`
		}
		r, err := ParseRule([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		rules[fmt.Sprintf("t%d", i)] = r
	}
	_, err := rules["t0"].Match(Values{Tag: func(n string) (*Rule, bool) { r, ok := rules[n]; return r, ok }})
	if err == nil || !strings.Contains(err.Error(), "steps") {
		t.Errorf("got %v", err)
	}
}

// Texts for num: the second opinion is Ruby's own Integer() and Float().
var numTexts = []string{
	"0", "5", "-5", "+5", "10", "0xf", "0XF", "-0xf", "0x", "0xg", "0b110", "0B1", "-0b11", "+0b1", "0b12", "027", "-027", "+027", " 027", "027\n",
	"08", "0_7", "00", "1_000", "1__0", "_1", "1_", "2.7", "2.", ".5", "-.5", "1e5", "1E-5", "1e", "1.e5", "1_0.2_5", "1e1_0", " 5 ", "\t5\n",
	"", " ", "2t", "a2", "inf", "Infinity", "nan", "NaN", "5 5", "0x1.8p3", "0x1p4", "0x_1", "0x1_f", "1e400", "-1e400", "9223372036854775807", "9223372036854775808",
	"0777777777777777777777777777", "+", "-", ".", "e5", "0o17", "５",
}

func TestNumAgainstRuby(t *testing.T) {
	testkit.Tool(t, "ruby")
	in, err := json.Marshal(numTexts)
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range ruby(t, string(in), `require "json"; puts JSON.parse(STDIN.read).map { |s| s.to_f.to_s }.to_json`) {
		if got := floatString(floats[i]); got != want {
			t.Errorf("got %s, Ruby has %s", got, want)
		}
	}
}

// Searches whose result must be Ruby's.
var searches = []struct{ text, re string }{
	{"abc", "abc"}, {"abc", "a.c"}, {"abc", "b"}, {"abc", ""}, {"abc", `\Aabc\z`}, {"abc", "^abc$"}, {"abc", `\Abc\z`}, {"abc", `\zabc\A`}, {"abc", "$abc^"},
	{"a\nb", "^b$"}, {"a\nb", `\Ab`}, {"a\nb", "a.b"}, {"a\nb", "(?m)a.b"}, {"a\nb", "(?m:a.b)"}, {"a\n", `a\Z`}, {"a\n", `a\z`}, {"a\n\n", `a\Z`}, {"a\n", "a$"},
	{"3", "#{1+2}"}, {"a/b", `a\/b`}, {"ff", `\A\h+\z`}, {"fg", `\A\h+\z`}, {"g", `\H`}, {"f", `\H`}, {"0f-", `\A[\h-]+\z`}, {"a\vb", `a\sb`}, {"a\vb", `a[\s]b`}, {"ab", `a\Sb`},
	{"aaa", `\Aa{,2}\z`}, {"aa", `\Aa{,2}\z`}, {"a{,x}", `a{,x}`}, {"é", `\u00e9`}, {"é", `\u{e9}`}, {"\x1b", `\e`}, {"a\r\nb", `a\Rb`}, {"a-b", `\Aa\-b\z`}, {"ABC", "(?i)abc"},
	{"ABC", "a(?i)bc"}, {"aBC", "a(?i:bc)"}, {"kvm", "(?<v>kvm|xen)"}, {"ab", "a(?#comment)b"}, {"a]b", `a[\]]b`}, {"a b", "[[:space:]]"}, {"_", `\A\w\z`}, {"abc", `\babc\b`},
	{"\b", `[\b]`}, {"y", `\y`}, {"R720", `PowerEdge|R[67]\d0`}, {"a.b", `a\.b`}, {"axb", `a\.b`}, {"", "^$"}, {"x", "^$"}, {"\nx", "^$"}, {"%", `\%`}, {"a", `a{0}b?`},
}

func TestSearchAgainstRuby(t *testing.T) {
	testkit.Tool(t, "ruby")
	pairs := make([][2]string, len(searches))
	for i, c := range searches {
		pairs[i] = [2]string{c.text, c.re}
	}
	in, err := json.Marshal(pairs)
	if err != nil {
		t.Fatal(err)
	}
	out := ruby(t, string(in), `require "json"; $VERBOSE = nil
puts JSON.parse(STDIN.read).map { |t, r| begin; (t =~ Regexp.new(r)) ? "true" : "false"; rescue RegexpError; "error"; end }.to_json`)
	for i, c := range searches {
		got := "error"
		if re, err := compileRegexp(c.re, false); err == nil {
			got = fmt.Sprint(re.MatchString(c.text))
		}
		if got != out[i] {
			t.Errorf("%q =~ /%s/: got %s, Ruby has %s", c.text, c.re, got, out[i])
		}
	}
}

func TestRefusedRegexps(t *testing.T) {
	for re, word := range map[string]string{
		"(?=a)": "look-ahead", "(?!a)": "look-ahead", "(?<=a)b": "look-behind", "(?<!a)b": "look-behind", "(?>a)": "atomic", `(a)\1`: "back-reference",
		`(?<n>a)\k<n>`: `\k`, "a++": "RE2", "[a[b]]": "nested", "[a&&b]": "intersection", `[\H]`: "not supported", "(?x)a b": "flag x", `\G`: `\G`, `\K`: `\K`,
		"[": "premature", "[]": "empty", `\`: "too short", `\u12`: "Unicode", `\u{}`: "Unicode", "(": "missing closing", "*": "missing argument", "(?#": "comment",
		strings.Repeat("a", maxRegexp+1): "limit",
	} {
		if _, err := compileRegexp(re, false); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %v, want %q", clip(re, 20), err, word)
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

// No text makes the parser or an evaluation panic, and a rule that is accepted prints as
// itself and is accepted again.
func FuzzRule(f *testing.F) {
	for _, c := range invalidRules {
		f.Add([]byte(c.rule))
	}
	for _, c := range evaluations {
		f.Add([]byte(c.rule))
	}
	v := testValues(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRule(b)
		if err != nil {
			if !errors.Is(err, ErrRules) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		got, err := r.Match(v)
		again, err2 := ParseRule([]byte(r.String()))
		if err2 != nil {
			t.Fatalf("%s is not accepted again: %v", r, err2)
		}
		got2, err2 := again.Match(v)
		if got != got2 || (err == nil) != (err2 == nil) {
			t.Fatalf("%s: %t %v, then %t %v", r, got, err, got2, err2)
		}
		if errors.Is(err, errArgument) {
			t.Fatalf("%s passed the static checks and failed: %v", r, err)
		}
	})
}

// Translation never panics and never lets through what RE2 would refuse with a panic.
func FuzzRegexp(f *testing.F) {
	for _, c := range searches {
		f.Add(c.re)
	}
	f.Fuzz(func(_ *testing.T, src string) {
		if re, err := compileRegexp(src, true); err == nil {
			re.MatchString("52:54:00:12:34:56")
		}
	})
}
