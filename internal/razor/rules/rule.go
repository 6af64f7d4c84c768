package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// ErrInvalid is returned for invalid tags and policies.
var ErrInvalid = fail.New(fail.Usage, "invalid rules", "fix that line of the rules file")

// Rule is a checked tag rule: ["=", ["fact", "virtual"], "kvm"].
type Rule struct {
	root   *call
	source []any
}

// newRule checks a decoded rule and reports all findings at once. It is stricter than Razor, which accepts some
// wrong rules and then fails at every check-in: a later correct call does not hide an error, comparisons need
// both sides, and a regular expression must be literal.
func newRule(v any) (*Rule, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: rule must be an array, not %s", ErrInvalid, describe(v))
	}
	c := checker{table: functions()}
	root := c.call(list, nil, 0)
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrInvalid, strings.Join(c.problems, "; "))
	}
	return &Rule{root: root, source: list}, nil
}

// String is the rule as JSON.
func (r *Rule) String() string {
	b, err := json.Marshal(r.source)
	if err != nil {
		return "?"
	}
	return string(b)
}

// match evaluates the rule; decoded holds the facts that were decoded for v so far, and tag finds the
// rules of other tags.
func (r *Rule) match(v Values, decoded map[string]any, tag func(string) (*call, bool)) (bool, error) {
	e := &evaluation{Values: v, decoded: decoded, tag: tag}
	result, err := e.run(r.root)
	if err != nil {
		return false, fmt.Errorf("%w while evaluating rule: %s", err, r)
	}
	return truthy(result), nil
}

// maxProblems is the number of findings shown of one rule.
const maxProblems = 20

// checker collects the faults of a rule.
type checker struct {
	table    map[string]function
	problems []string
}

func (c *checker) failf(format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// call checks one array, which is argument pos of another, or the root of the rule.
func (c *checker) call(list []any, in *call, pos int) *call {
	if len(list) < 2 {
		c.failf("%.60s must have at least one argument", (&Rule{source: list}).String())
		return nil
	}
	op, ok := list[0].(string)
	if !ok {
		c.failf("an operator must be a string, not %s", describe(list[0]))
		return nil
	}
	fn, ok := c.table[op]
	if !ok {
		c.failf("uses unrecognized operator %.60q; recognized operators are %s", op, strings.Join(slices.Sorted(maps.Keys(c.table)), " "))
		return nil
	}
	out := &call{op: op, fn: fn}
	c.result(out, in, pos)
	if len(list)-1 < fn.need {
		c.failf("%q needs %d arguments, not %d", op, fn.need, len(list)-1)
	}
	for i, a := range list[1:] {
		out.args = append(out.args, c.arg(a, out, i))
	}
	return out
}

// result checks that a call's result types are acceptable in its place.
func (c *checker) result(out, in *call, pos int) {
	if in == nil {
		if extra := out.fn.returns &^ tBool; extra != 0 {
			c.failf("function %q could return %s, but a rule has to return boolean%s", out.op, extra, wayOut(tBool))
		}
		return
	}
	allowed := in.fn.expect(pos)
	if extra := out.fn.returns &^ allowed; extra != 0 {
		c.failf("function %q could return %s for argument %d of %q, which takes %s only%s", out.op, extra, pos, in.op, allowed, wayOut(allowed))
	}
}

// wayOut names the cure of a type error.
func wayOut(allowed types) string {
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

func (c *checker) arg(v any, in *call, i int) arg {
	if list, ok := v.([]any); ok {
		if in.fn.takesRegexp(i) {
			c.failf("argument %d of %q must be a regular expression written out, not computed", i, in.op)
		}
		return arg{call: c.call(list, in, i)}
	}
	v = toValue(v)
	switch t := typeOf(v); {
	case t == 0:
		c.failf("cannot process %.60s", describe(v))
	case t&in.fn.expect(i) == 0:
		c.failf("attempts to pass %s to %q for argument %d, but only %s is accepted", describe(v), in.op, i, in.fn.expect(i))
	case in.fn.takesRegexp(i):
		re, err := CompileRegexp(v.(string), in.fn.name != "like")
		if err != nil {
			c.failf("invalid regular expression supplied to %q for argument %d: %v", in.op, i, err)
		}
		return arg{value: v, re: re}
	}
	return arg{value: v}
}

// walk calls visit for a call and all calls in it.
func walk(c *call, visit func(*call)) {
	visit(c)
	for _, a := range c.args {
		if a.call != nil {
			walk(a.call, visit)
		}
	}
}
