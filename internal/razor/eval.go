package razor

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// RuleError is an evaluation that failed. Razor then answers "none" and binds nothing, even if
// other tags would have matched.
type RuleError struct {
	Tag  string // the tag whose rule was being evaluated
	Rule string // the rule as JSON
	Msg  string
}

func (e *RuleError) Error() string {
	return e.Msg + " while evaluating rule: " + e.Rule
}

// errArgument is an evaluation that fails in Ruby with another error than the matcher's own:
// the real server answers the check-in with 400.
var errArgument = errors.New("invalid argument")

// maxTagDepth bounds tags that ask for tags whose names are computed.
const maxTagDepth = 32

// maxSteps bounds one evaluation: tags that ask for tags can multiply.
const maxSteps = 100000

// Values are what a rule looks at: decoded JSON.
type Values struct {
	Facts    map[string]any
	Metadata map[string]any
	State    map[string]any
	// Tag returns the rule of another tag, for the function "tag".
	Tag func(name string) (*Rule, bool)
}

// evaluation is one run of one rule.
type evaluation struct {
	Values
	depth int
	steps *int
}

// Match evaluates a rule. The error is a [*RuleError] where Razor would answer "none", and any
// other error where it would answer 400.
func (r *Rule) Match(v Values) (bool, error) {
	return r.match(&evaluation{Values: v, steps: new(int)})
}

func (r *Rule) match(e *evaluation) (bool, error) {
	v, err := e.run(r.root)
	if err != nil {
		var re *RuleError
		if errors.As(err, &re) {
			re.Rule = r.String() // the outermost rule is named, as in Razor
		}
		return false, err
	}
	return truthy(v), nil
}

func truthy(v any) bool { return v != nil && v != false }

func failf(format string, args ...any) error {
	return &RuleError{Msg: fmt.Sprintf(format, args...)}
}

// run computes all arguments first: "and" and "or" do not short-circuit.
func (e *evaluation) run(c *call) (any, error) {
	if *e.steps++; *e.steps > maxSteps {
		return nil, failf("rule takes more than %d steps", maxSteps)
	}
	args := make([]any, len(c.args))
	for i, a := range c.args {
		if a.call == nil {
			args[i] = a.value
			continue
		}
		v, err := e.run(a.call)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	return c.fn.eval(e, args, c.args)
}

func evalAnd(_ *evaluation, v []any, _ []arg) (any, error) {
	for _, b := range v {
		if !truthy(b) {
			return false, nil
		}
	}
	return true, nil
}

func evalOr(_ *evaluation, v []any, _ []arg) (any, error) {
	for _, b := range v {
		if truthy(b) {
			return true, nil
		}
	}
	return false, nil
}

func evalNot(_ *evaluation, v []any, _ []arg) (any, error) { return !truthy(v[0]), nil }

// second is the second argument, null when there is none.
func second(v []any) any {
	if len(v) < 2 {
		return nil
	}
	return v[1]
}

func evalEq(_ *evaluation, v []any, _ []arg) (any, error)  { return equal(v[0], second(v)), nil }
func evalNeq(_ *evaluation, v []any, _ []arg) (any, error) { return !equal(v[0], second(v)), nil }

func evalIn(_ *evaluation, v []any, _ []arg) (any, error) {
	for _, x := range v[1:] {
		if equal(v[0], x) {
			return true, nil
		}
	}
	return false, nil
}

func evalLike(_ *evaluation, v []any, a []arg) (any, error) {
	s, ok := v[0].(string)
	if !ok {
		return nil, fmt.Errorf("like: %w: %s", errArgument, describe(v[0]))
	}
	return a[1].re.MatchString(s), nil
}

func evalNum(_ *evaluation, v []any, _ []arg) (any, error) {
	if n, ok := num(v[0]); ok {
		return n, nil
	}
	return nil, failf("can't convert %s to number", literal(v[0]))
}

func evalStr(_ *evaluation, v []any, _ []arg) (any, error) { return toString(v[0]), nil }

func evalLower(_ *evaluation, v []any, _ []arg) (any, error) {
	return changeCase("lower", strings.ToLower, v[0])
}

func evalUpper(_ *evaluation, v []any, _ []arg) (any, error) {
	return changeCase("upper", strings.ToUpper, v[0])
}

func changeCase(name string, fn func(string) string, v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, failf("argument to '%s' should be a string but was %s", name, describe(v))
	}
	return fn(s), nil
}

func compareBy(ok func(int) bool) func(*evaluation, []any, []arg) (any, error) {
	return func(_ *evaluation, v []any, _ []arg) (any, error) {
		if typeOf(v[0]) != tNumber || typeOf(second(v)) != tNumber {
			return nil, fmt.Errorf("compare %s with %s: %w", describe(v[0]), describe(second(v)), errArgument)
		}
		return ok(compareNumbers(v[0], v[1])), nil
	}
}

func evalFact(e *evaluation, v []any, _ []arg) (any, error) { return lookup("fact", e.Facts, v) }
func evalMetadata(e *evaluation, v []any, _ []arg) (any, error) {
	return lookup("metadata", e.Metadata, v)
}
func evalState(e *evaluation, v []any, _ []arg) (any, error) { return lookup("state", e.State, v) }

// lookup finds a value by its exact name, then along the dots of the name, then takes the
// default. A map or a list is no value.
func lookup(kind string, m map[string]any, v []any) (any, error) {
	name, _ := v[0].(string)
	if found, ok := m[name]; ok {
		switch found.(type) {
		case map[string]any, []any:
			return nil, failf("cannot evaluate %s returned from %s %s", describe(found), kind, name)
		}
		return toValue(found), nil
	}
	if strings.Contains(name, ".") {
		if found := toValue(traverse(m, strings.Split(strings.TrimRight(name, "."), "."))); found != nil && typeOf(found) != 0 {
			return found, nil
		}
	}
	if len(v) > 1 {
		return v[1], nil
	}
	return nil, failf("Couldn't find %s '%s' and no default supplied", kind, name)
}

// traverse walks maps by key and lists by index or "length"; nil when there is no such way.
func traverse(v any, parts []string) any {
	for _, p := range parts {
		switch at := v.(type) {
		case map[string]any:
			found, ok := at[p]
			if !ok {
				return nil
			}
			v = found
		case []any:
			v = element(at, p)
		default:
			return nil
		}
	}
	return v
}

// element is a list's element by decimal index (negative ones count from the end) or its length.
func element(list []any, p string) any {
	if p == "length" {
		return int64(len(list))
	}
	i, err := strconv.Atoi(p)
	if err != nil || strconv.Itoa(i) != p {
		return nil
	}
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil
	}
	return list[i]
}

func evalTag(e *evaluation, v []any, _ []arg) (any, error) {
	name, _ := v[0].(string)
	var r *Rule
	ok := false
	if e.Tag != nil {
		r, ok = e.Tag(name)
	}
	if !ok {
		return nil, failf("Tag '%s' does not exist", name)
	}
	if e.depth >= maxTagDepth {
		return nil, failf("Tag '%s' refers to itself", name)
	}
	return r.match(&evaluation{Values: e.Values, depth: e.depth + 1, steps: e.steps})
}

// macFacts calls fn with every fact whose name starts with "macaddress" until fn says true.
func (e *evaluation) macFacts(fn func(string) bool) (any, error) {
	var bad error
	for k, v := range e.Facts {
		if !strings.HasPrefix(k, "macaddress") && !strings.Contains(k, "\nmacaddress") {
			continue
		}
		s, ok := v.(string)
		if !ok {
			bad = fmt.Errorf("fact %q is no string: %w", k, errArgument)
			continue
		}
		if fn(s) {
			return true, nil
		}
	}
	if bad != nil {
		return nil, bad
	}
	return false, nil
}

func evalHasMAC(e *evaluation, v []any, _ []arg) (any, error) {
	return e.macFacts(func(mac string) bool {
		for _, want := range v {
			if s, ok := want.(string); ok && asciiFold(s) == asciiFold(mac) {
				return true
			}
		}
		return false
	})
}

// asciiFold lowers A to Z only, as Ruby's casecmp does.
func asciiFold(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func evalHasMACLike(e *evaluation, _ []any, a []arg) (any, error) {
	return e.macFacts(func(mac string) bool {
		for _, want := range a {
			if want.re.MatchString(mac) {
				return true
			}
		}
		return false
	})
}

// literal shows a value as it would be written in a rule.
func literal(v any) string {
	if f, ok := v.(float64); ok {
		return floatString(f)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return describe(v)
	}
	return string(b)
}
