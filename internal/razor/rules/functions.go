package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Facts are a node's facts: JSON values by name. A rule decodes the facts that it uses.
type Facts map[string]json.RawMessage

// Values are the inputs of a rule.
type Values struct {
	Facts     Facts
	Metadata  map[string]any
	Installed string // result of "state installed"; "" is null
}

// call is one [operator, argument, …] of a rule.
type call struct {
	op   string // as written: "=" and "eq" are one function
	fn   function
	args []arg
}

// String shows a call for a warning.
func (c *call) String() string {
	if c.args[0].call != nil {
		return c.op + " with a computed name"
	}
	return c.op + " " + literal(c.args[0].value)
}

// arg is a literal or a call; re is the compiled form of a literal regular expression.
type arg struct {
	value any
	call  *call
	re    *Regexp
}

// function describes an operator: its arguments, its result types and its computation.
type function struct {
	name    string
	expects []types // the last one applies to all later arguments
	returns types
	need    int // required arguments
	eval    func(e *evaluation, c *call, v []any) (any, error)
}

func (f function) expect(i int) types {
	return f.expects[min(i, len(f.expects)-1)]
}

// functions returns the operators of the rule language, by each of their spellings.
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
		{"lower", []types{tString}, tString, 1, changeCase("lower", strings.ToLower)},
		{"upper", []types{tString}, tString, 1, changeCase("upper", strings.ToUpper)},
		{"gt", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c > 0 })},
		{"gte", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c >= 0 })},
		{"lt", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c < 0 })},
		{"lte", []types{tNumber}, tBool, 2, compareBy(func(c int) bool { return c <= 0 })},
		{"has_macaddress", []types{tString}, tBool, 1, evalHasMAC},
		{"has_macaddress_like", []types{tString}, tBool, 1, evalHasMACLike},
	}
	m := map[string]function{}
	for _, f := range table {
		m[f.name] = f
	}
	for alias, name := range map[string]string{"=": "eq", "!=": "neq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"} {
		m[alias] = m[name]
	}
	return m
}

// takesRegexp reports whether argument i of a function is a regular expression.
func (f function) takesRegexp(i int) bool {
	return f.name == "like" && i == 1 || f.name == "has_macaddress_like"
}

// maxSteps bounds the evaluation of one rule: tags that use tags can multiply.
const maxSteps = 10000

// evaluation is one run of one rule.
type evaluation struct {
	Values
	decoded map[string]any                  // decoded facts
	tag     func(name string) (*call, bool) // the rule of another tag
	steps   int
}

// run computes a call. All arguments are computed first: "and" and "or" do not short-circuit.
func (e *evaluation) run(c *call) (any, error) {
	if e.steps++; e.steps > maxSteps {
		return nil, fmt.Errorf("rule takes more than %d steps: a tag may use itself", maxSteps)
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
	return c.fn.eval(e, c, args)
}

func truthy(v any) bool { return v != nil && v != false }

func falsy(v any) bool { return !truthy(v) }

func evalAnd(_ *evaluation, _ *call, v []any) (any, error) {
	return !slices.ContainsFunc(v, falsy), nil
}

func evalOr(_ *evaluation, _ *call, v []any) (any, error) {
	return slices.ContainsFunc(v, truthy), nil
}

func evalNot(_ *evaluation, _ *call, v []any) (any, error) { return falsy(v[0]), nil }

func evalEq(_ *evaluation, _ *call, v []any) (any, error) {
	if len(v) < 2 {
		return v[0] == nil, nil
	}
	return equal(v[0], v[1]), nil
}

func evalNeq(e *evaluation, c *call, v []any) (any, error) {
	same, err := evalEq(e, c, v)
	return same == false, err
}

func evalIn(_ *evaluation, _ *call, v []any) (any, error) {
	return slices.ContainsFunc(v[1:], func(x any) bool { return equal(v[0], x) }), nil
}

func evalLike(_ *evaluation, c *call, v []any) (any, error) { return search(c.args[1].re, v[0]) }

// search looks for a regular expression in a text.
func search(re *Regexp, text any) (bool, error) {
	s, _ := text.(string) // checked when the rule was read
	found, err := re.Match(s)
	if err != nil {
		return false, fmt.Errorf("regular expression took longer than %v on %s", matchTime, describe(s))
	}
	return found, nil
}

func evalNum(_ *evaluation, _ *call, v []any) (any, error) {
	if n, ok := num(v[0]); ok {
		return n, nil
	}
	return nil, fmt.Errorf("can't convert %s to number", literal(v[0]))
}

func evalStr(_ *evaluation, _ *call, v []any) (any, error) { return toString(v[0]), nil }

func changeCase(name string, change func(string) string) func(*evaluation, *call, []any) (any, error) {
	return func(_ *evaluation, _ *call, v []any) (any, error) {
		s, ok := v[0].(string)
		if !ok {
			return nil, fmt.Errorf("argument to '%s' should be a string but was %s", name, describe(v[0]))
		}
		return change(s), nil
	}
}

func compareBy(ok func(int) bool) func(*evaluation, *call, []any) (any, error) {
	return func(_ *evaluation, _ *call, v []any) (any, error) { return ok(compareNumbers(v[0], v[1])), nil }
}

func evalFact(e *evaluation, _ *call, v []any) (any, error) { return look("fact", e.fact, v) }

func evalMetadata(e *evaluation, _ *call, v []any) (any, error) {
	return look("metadata", func(name string) (any, bool) {
		found, ok := e.Metadata[name]
		return found, ok
	}, v)
}

func evalState(e *evaluation, _ *call, v []any) (any, error) {
	return look("state", func(name string) (any, bool) {
		if e.Installed == "" {
			return nil, name == "installed"
		}
		return e.Installed, name == "installed"
	}, v)
}

// fact decodes one fact. Most are never used, and some are big.
func (e *evaluation) fact(name string) (any, bool) {
	if v, ok := e.decoded[name]; ok {
		return v, true
	}
	raw, ok := e.Facts[name]
	if !ok {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	e.decoded[name] = v
	return v, err == nil
}

// look finds a value by its exact name, then along the dots of the name, then takes the default. A
// map or a list is not a value.
func look(kind string, get func(string) (any, bool), args []any) (any, error) {
	name, _ := args[0].(string)
	found, ok := get(name)
	if first, _, dotted := strings.Cut(name, "."); dotted && !ok {
		top, _ := get(first)
		found, ok = along(map[string]any{first: top}, name)
	}
	switch v := toValue(found); {
	case ok && typeOf(v) != 0:
		return v, nil
	case ok:
		return nil, fmt.Errorf("cannot evaluate %s returned from %s %s", describe(found), kind, name)
	case len(args) > 1:
		return args[1], nil
	}
	return nil, fmt.Errorf("Couldn't find %s '%s' and no default supplied", kind, name) //nolint:staticcheck // Razor's wording
}

// along follows a dotted path through maps by key and through lists by index or "length". A path to null, or to
// nothing, is not found.
func along(v any, path string) (any, bool) {
	for p := range strings.SplitSeq(strings.TrimRight(path, "."), ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[p]
		case []any:
			v = element(at, p)
		default:
			return nil, false
		}
	}
	v = toValue(v)
	return v, v != nil && typeOf(v) != 0
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

func evalTag(e *evaluation, _ *call, v []any) (any, error) {
	name, _ := v[0].(string)
	root, ok := e.tag(name)
	if !ok {
		return nil, fmt.Errorf("Tag '%s' does not exist", name)
	}
	result, err := e.run(root)
	return truthy(result), err
}

func evalHasMAC(e *evaluation, _ *call, v []any) (any, error) {
	return e.anyMAC(func(mac string) (bool, error) {
		return slices.ContainsFunc(v, func(want any) bool {
			s, ok := want.(string)
			return ok && strings.EqualFold(s, mac)
		}), nil
	})
}

func evalHasMACLike(e *evaluation, c *call, _ []any) (any, error) {
	return e.anyMAC(func(mac string) (bool, error) {
		for _, want := range c.args {
			if found, err := search(want.re, mac); found || err != nil {
				return found, err
			}
		}
		return false, nil
	})
}

// anyMAC calls match with every fact whose name starts with "macaddress" until one matches.
func (e *evaluation) anyMAC(match func(string) (bool, error)) (any, error) {
	var bad error
	for name := range e.Facts {
		if !strings.HasPrefix(name, "macaddress") && !strings.Contains(name, "\nmacaddress") {
			continue
		}
		v, _ := e.fact(name)
		s, ok := v.(string)
		if !ok {
			bad = fmt.Errorf("fact %.100q should be a string but was %s", name, describe(v))
			continue
		}
		if found, err := match(s); found || err != nil {
			return found, err
		}
	}
	return false, bad
}
