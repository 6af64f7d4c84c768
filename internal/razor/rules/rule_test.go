package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mkbuild/e2e/testkit"
)

// Rules that are refused before any node sees them, and a required word of the message.
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
	// Only an expression that is always a boolean may be at the root.
	{`["fact","three"]`, "could return"},
	{`["metadata","three"]`, "could return"},
	{`["tag","x"]`, "could return"},
	{`["state","installed"]`, "could return"},
	{`["num",1]`, "could return number"},
	{`["str",1]`, "could return string"},
	{`["lower","A"]`, "could return string"},
	// Every possible type of an argument must be acceptable.
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
	{`["like","abc","[a&&b]"]`, "intersection"},
	// Rules that Razor accepts although they fail at every check-in.
	{`["and",1,["=",1,1]]`, "only boolean"},
	{`["<",1]`, "needs 2 arguments"},
	{`["like","abc"]`, "needs 2 arguments"},
	{`["like","abc",["str","x"]]`, "written out"},
	{`["=",1,`, "yaml"},
	{`["=",1,.nan]`, "cannot process"},
	{`["=",1,2014-05-20]`, "cannot process"},
}

func parseRule(text string) (*Rule, error) {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return newRule(v)
}

func TestInvalidRules(t *testing.T) {
	for _, c := range invalidRules {
		_, err := parseRule(c.rule)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: got %v, want %q", c.rule, err, c.word)
		}
	}
}

// All findings are reported, not only the last one as in Razor.
func TestInvalidRuleTellsEverything(t *testing.T) {
	_, err := parseRule(`["and",1,["=",["fact",5],1],["like","x","("]]`)
	for _, want := range []string{"number 1", "number 5", "invalid regular expression"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	_, err = parseRule(`["and"` + strings.Repeat(",1", 1000) + "]")
	if n := strings.Count(fmt.Sprint(err), "; "); n != maxProblems-1 {
		t.Errorf("%d findings of 1000 are told", n+1)
	}
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
	// No short circuit: the second argument is evaluated, and fails.
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
	{`["=",["metadata","site.rack"],"b4"]`, "true"},
	{`["=",["metadata","site"],"b4"]`, "error: cannot evaluate an object returned from metadata site"},
	{`["=",["metadata","gone"],"db"]`, "error: Couldn't find metadata 'gone' and no default supplied"},
	{`["=",["state","installed"],null]`, "true"},
	{`["=",["state","other"],"x"]`, "error: Couldn't find state 'other' and no default supplied"},
	{`["=",["state","other","x"],"x"]`, "true"},
	{`["=",["tag","Yes"],true]`, "true"},
	{`["=",["tag","yes"],true]`, "true"},
	{`["=",["tag","no"],true]`, "false"},
	{`["=",["tag","none"],true]`, "error: Tag 'none' does not exist"},
	{`["=",["tag","loop"],true]`, "error: rule takes more than 10000 steps: a tag may use itself"},
	{`["=",["tag","there"],true]`, "error: rule takes more than 10000 steps: a tag may use itself"},
	{`["has_macaddress","52:54:00:ab:cd:ef"]`, "true"},
	{`["has_macaddress","x","52:54:00:00:00:02"]`, "true"},
	{`["has_macaddress","52-54-00-00-00-02"]`, "false"},
	{`["has_macaddress","aa:aa:aa:aa:aa:aa"]`, "false"},
	{`["has_macaddress_like","^52:54:00:AB"]`, "true"},
	{`["has_macaddress_like","^aa"]`, "false"},
	{`["has_macaddress_like","x","0{2}:02$"]`, "true"},
}

// evaluator returns a function that evaluates a rule on matchFacts, in a file that has other tags.
func evaluator(t testing.TB) func(*Rule) (bool, error) {
	v := Values{Metadata: map[string]any{"role": "db", "site": map[string]any{"rack": "b4"}}}
	testkit.Must(t, json.Unmarshal([]byte(matchFacts), &v.Facts))
	tags, err := Parse([]byte(`tags:
- {name: yes, rule: ["=",1,1]}
- {name: no, rule: ["=",1,2]}
- {name: loop, rule: ["=",["tag",["lower","LOOP"]],true]}
- {name: there, rule: ["=",["tag","back"],true]}
- {name: back, rule: ["=",["tag","there"],true]}
`), "tags.yaml")
	testkit.Must(t, err)
	return func(r *Rule) (bool, error) { return r.match(v, map[string]any{}, tags.tagRule) }
}

func TestEvaluation(t *testing.T) {
	match := evaluator(t)
	covered := map[string]bool{}
	for _, c := range evaluations {
		r, err := parseRule(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		walk(r.root, func(c *call) { covered[c.fn.name] = true })
		result, err := match(r)
		got := fmt.Sprint(result)
		if err != nil {
			msg, ok := strings.CutSuffix(err.Error(), " while evaluating rule: "+r.String())
			got = "error: " + msg
			if !ok {
				t.Errorf("%s: error %v", c.rule, err)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.rule, got, c.want)
		}
	}
	for op, fn := range functions() {
		if !covered[fn.name] {
			t.Errorf("operator %q has no test", op)
		}
	}
}

// Tags that refer to tags can multiply, and a regular expression can take exponentially long: both are bounded. A
// MAC address that is not a string is an error, too.
func TestEvaluationFails(t *testing.T) {
	var file strings.Builder
	file.WriteString("tags:\n")
	for i := range 29 {
		fmt.Fprintf(&file, "- {name: t%d, rule: ['=', [tag, t%d], [tag, t%d]]}\n", i, i+1, i+1)
	}
	file.WriteString("- {name: t29, rule: ['=', 1, 1]}\n")
	const noText = `tags: [{name: mac, rule: [has_macaddress, x]}]`
	slow := `tags: [{name: slow, rule: [like, [str, [fact, a]], "^(a|aa)+$"]}]`
	for name, c := range map[string]struct{ file, want string }{
		"tags":               {file.String(), "steps"},
		"regular expression": {slow, "took longer than"},
		"MAC":                {noText, `fact "macaddress" should be a string but was number 5`},
	} {
		r, err := Parse([]byte(c.file), "rules.yaml")
		testkit.Must(t, err)
		began := time.Now()
		_, err = r.Match(Values{Facts: Facts{"macaddress": json.RawMessage("5"), "a": json.RawMessage(`"` + strings.Repeat("a", 60) + `b"`)}})
		if want := fmt.Sprintf("tag %q: ", r.Tags[0].Name); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("%s: it took %v", name, d)
		}
	}
}

// No text makes the parser or an evaluation panic, and an accepted rule prints as itself and is accepted again.
func FuzzRule(f *testing.F) {
	for _, c := range invalidRules {
		f.Add(c.rule)
	}
	for _, c := range evaluations {
		f.Add(c.rule)
	}
	match := evaluator(f)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRule(text)
		if err != nil {
			return
		}
		got, err := match(r)
		again, err2 := parseRule(r.String())
		if err2 != nil {
			t.Fatalf("%s is not accepted again: %v", r, err2)
		}
		got2, err2 := match(again)
		if got != got2 || (err == nil) != (err2 == nil) {
			t.Fatalf("%s: %t %v, then %t %v", r, got, err, got2, err2)
		}
	})
}

// Neither the translation nor its result panics.
func FuzzRegexp(f *testing.F) {
	for _, c := range searches {
		f.Add(c.re)
	}
	f.Fuzz(func(_ *testing.T, src string) {
		if re, err := CompileRegexp(src, true); err == nil {
			_, _ = re.Match("52:54:00:12:34:56")
		}
	})
}
