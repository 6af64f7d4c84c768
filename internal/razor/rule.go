package razor

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrRules says that tags or policies are not valid.
var ErrRules = errors.New("invalid rules")

// Limits of one rule, so that no file can make the checks or the evaluation expensive.
const (
	maxRuleDepth = 64
	maxRuleNodes = 10000
)

// Rule is a checked tag rule: ["=", ["fact", "virtual"], "kvm"].
type Rule struct {
	root   *call
	source []any
}

// call is one [operator, argument, …].
type call struct {
	op   string // as written: "=" and "eq" are one function
	fn   function
	args []arg
}

// arg is a literal or a call, and the compiled form of a literal regular expression.
type arg struct {
	value any
	call  *call
	re    *regexp.Regexp
}

// function describes an operator: what it takes, what it may return, and how it is computed.
type function struct {
	name    string
	expects []types // the last one counts for all further arguments
	returns types
	need    int // arguments without which evaluation would fail
	eval    func(*evaluation, []any, []arg) (any, error)
}

func (f function) expect(i int) types {
	return f.expects[min(i, len(f.expects)-1)]
}

// aliases are the spellings of the comparison operators.
var aliases = map[string]string{"=": "eq", "!=": "neq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}

// functions returns the table of the rule language. It is a function and not a variable
// because "tag" evaluates rules in turn.
func functions() map[string]function {
	table := []function{
		{"and", []types{tBool}, tBool, 1, evalAnd},
		{"or", []types{tBool}, tBool, 1, evalOr},
		{"not", []types{tBool}, tBool, 1, evalNot},
		{"fact", []types{tString, tMixed}, tMixed, 1, evalFact},
		{"metadata", []types{tString, tMixed}, tMixed, 1, evalMetadata},
		{"state", []types{tString, tString}, tMixed, 1, evalState},
		{"tag", []types{tString}, tMixed, 1, evalTag},
		{"eq", []types{tMixed}, tBool, 1, evalEq},
		{"neq", []types{tMixed}, tBool, 1, evalNeq},
		{"in", []types{tMixed}, tBool, 1, evalIn},
		{"like", []types{tString, tString}, tBool, 2, evalLike},
		{"num", []types{tMixed}, tNumber, 1, evalNum},
		{"str", []types{tMixed}, tString, 1, evalStr},
		{"lower", []types{tString}, tString, 1, evalLower},
		{"upper", []types{tString}, tString, 1, evalUpper},
		{"gt", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c > 0 })},
		{"gte", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c >= 0 })},
		{"lt", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c < 0 })},
		{"lte", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c <= 0 })},
		{"has_macaddress", []types{tString}, tBool, 1, evalHasMAC},
		{"has_macaddress_like", []types{tString}, tBool, 1, evalHasMACLike},
	}
	m := make(map[string]function, len(table))
	for _, f := range table {
		m[f.name] = f
	}
	return m
}

// Operators returns every operator of the rule language, aliases included, sorted.
func Operators() []string {
	var out []string
	for n := range functions() {
		out = append(out, n)
	}
	for a := range aliases {
		out = append(out, a)
	}
	slices.Sort(out)
	return out
}

// ParseRule reads a rule from JSON and checks it.
func ParseRule(b []byte) (*Rule, error) {
	var v any
	if err := decodeJSON(b, &v); err != nil {
		return nil, fmt.Errorf("%w: rule is not JSON: %w", ErrRules, err)
	}
	return NewRule(v)
}

// NewRule checks a rule that has been decoded from JSON or YAML. All findings are reported at
// once. It is stricter than Razor where Razor accepts a rule by mistake and then fails at every
// check-in: an error is not forgotten because a later argument is a correct call, comparisons
// need both sides, and a regular expression has to be written out.
func NewRule(v any) (*Rule, error) {
	c := checker{table: functions()}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: rule must be an array, not %s", ErrRules, describe(v))
	}
	root := c.call(list, "", 0, tBool, 0)
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrRules, strings.Join(c.problems, "; "))
	}
	return &Rule{root: root, source: list}, nil
}

// MarshalJSON gives the rule as it was written.
func (r *Rule) MarshalJSON() ([]byte, error) { return json.Marshal(r.source) }

// String is the rule as JSON.
func (r *Rule) String() string {
	b, err := json.Marshal(r.source)
	if err != nil {
		return "?"
	}
	return string(b)
}

// checker collects what is wrong with a rule.
type checker struct {
	table    map[string]function
	problems []string
	nodes    int
}

func (c *checker) failf(format string, args ...any) {
	if len(c.problems) < 20 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// call checks one array. caller is "" for the root; allowed are the types its place takes.
func (c *checker) call(list []any, caller string, pos int, allowed types, depth int) *call {
	if c.nodes++; depth >= maxRuleDepth || c.nodes > maxRuleNodes {
		c.failf("rule is nested deeper than %d or longer than %d", maxRuleDepth, maxRuleNodes)
		return nil
	}
	if len(list) < 2 {
		c.failf("%s must have at least one argument", quoteRule(list))
		return nil
	}
	op, ok := list[0].(string)
	if !ok {
		c.failf("an operator must be a string, not %s", describe(list[0]))
		return nil
	}
	name := op
	if a, ok := aliases[op]; ok {
		name = a
	}
	fn, ok := c.table[name]
	if !ok {
		c.failf("uses unrecognized operator %q; recognized operators are %s", op, strings.Join(Operators(), " "))
		return nil
	}
	c.returns(op, fn, caller, pos, allowed)
	if len(list)-1 < fn.need {
		c.failf("%q needs %d arguments, not %d", op, fn.need, len(list)-1)
	}
	out := &call{op: op, fn: fn}
	for i, a := range list[1:] {
		out.args = append(out.args, c.arg(a, out, i, depth))
	}
	return out
}

// returns checks that everything fn may return is acceptable where it stands.
func (c *checker) returns(op string, fn function, caller string, pos int, allowed types) {
	extra := fn.returns &^ allowed
	switch {
	case extra == 0:
	case caller == "":
		c.failf("function %q could return %s, but a rule has to return boolean%s", op, extra, hint(tBool))
	default:
		c.failf("function %q could return %s for argument %d of %q, which takes %s only%s", op, extra, pos, caller, allowed, hint(allowed))
	}
}

// hint names the way out of a type error.
func hint(allowed types) string {
	switch allowed {
	case tNumber:
		return `: wrap it in "num"`
	case tString:
		return `: wrap it in "str"`
	case tBool:
		return `: compare it, as in ["=", […], true]`
	}
	return ""
}

func (c *checker) arg(v any, in *call, i, depth int) arg {
	if c.nodes++; c.nodes > maxRuleNodes {
		if c.nodes == maxRuleNodes+1 {
			c.failf("rule has more than %d elements", maxRuleNodes)
		}
		return arg{}
	}
	isRegexp := in.fn.name == "like" && i == 1 || in.fn.name == "has_macaddress_like"
	if list, ok := v.([]any); ok {
		if isRegexp {
			c.failf("argument %d of %q must be a regular expression written out, not computed", i, in.op)
		}
		return arg{call: c.call(list, in.op, i, in.fn.expect(i), depth+1)}
	}
	v = toValue(v)
	t := typeOf(v)
	switch {
	case t == 0:
		c.failf("cannot process %s", describe(v))
	case t&in.fn.expect(i) == 0:
		c.failf("attempts to pass %s to %q for argument %d, but only %s is accepted", describe(v), in.op, i, in.fn.expect(i))
	case isRegexp:
		re, err := compileRegexp(v.(string), in.fn.name != "like")
		if err != nil {
			c.failf("invalid regular expression supplied to %q for argument %d: %v", in.op, i, err)
		}
		return arg{value: v, re: re}
	}
	return arg{value: v}
}

// describe shows a value and its type, for messages.
func describe(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("string %q", clip(v, 60))
	case bool:
		return fmt.Sprintf("boolean %t", v)
	}
	if typeOf(toValue(v)) == tNumber {
		return "number " + clip(toString(toValue(v)), 60)
	}
	return fmt.Sprintf("%T", v)
}

func quoteRule(list []any) string {
	b, err := json.Marshal(list)
	if err != nil {
		return "a call"
	}
	return clip(string(b), 60)
}
