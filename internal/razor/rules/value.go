package rules

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// A rule computes with values of four types: nil, bool, string and number. Numbers are int64
// or float64. As in Ruby, 5 and 5.0 are equal but print differently. An integer beyond 64 bits
// becomes a float; Razor would keep all its digits.

// types is a set of value types, for the static checks.
type types uint8

const (
	tString types = 1 << iota
	tNumber
	tBool
	tNull
	tMixed = tString | tNumber | tBool | tNull
)

func (t types) String() string {
	var names []string
	for i, n := range []string{"string", "number", "boolean", "null"} {
		if t&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, " or ")
}

// typeOf returns the type of a value; 0 for maps, lists and other values that a rule cannot use.
func typeOf(v any) types {
	switch v := v.(type) {
	case nil:
		return tNull
	case bool:
		return tBool
	case string:
		return tString
	case int64:
		return tNumber
	case float64:
		if !math.IsNaN(v) {
			return tNumber
		}
	}
	return 0
}

// toValue converts a decoder's result to a value; anything else passes unchanged.
func toValue(v any) any {
	switch n := v.(type) {
	case json.Number:
		return parseJSONNumber(string(n))
	case int:
		return int64(n)
	case uint64:
		return float64(n)
	}
	return v
}

func parseJSONNumber(s string) any {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range gives ±Inf, as in Ruby
	return f
}

// equal is Ruby's == on values: typed, but 5 == 5.0.
func equal(a, b any) bool {
	if typeOf(a) == tNumber && typeOf(b) == tNumber {
		return compareNumbers(a, b) == 0
	}
	return a == b
}

// compareNumbers compares exactly, also an integer with a float. Neither is NaN.
func compareNumbers(a, b any) int { return bigNumber(a).Cmp(bigNumber(b)) }

func bigNumber(v any) *big.Float {
	if i, ok := v.(int64); ok {
		return new(big.Float).SetInt64(i)
	}
	return new(big.Float).SetFloat64(v.(float64))
}

// Spellings that num takes: Integer() for binary and octal, Float() for all the rest. So "+027"
// and " 027" are decimal, as in Razor.
var (
	binaryOrOctal = regexp.MustCompile(`\A(-?)(?i:(0b)([10]+)|0([0-7]+))\n?\z`)
	hexNumber     = regexp.MustCompile(`\A[-+]?0[xX][0-9a-fA-F]+(\.[0-9a-fA-F]+)?([pP][-+]?[0-9]+)?\z`)
	decimalNumber = regexp.MustCompile(`\A[-+]?([0-9]+(_[0-9]+)*(\.[0-9]+(_[0-9]+)*)?|\.[0-9]+(_[0-9]+)*)([eE][-+]?[0-9]+(_[0-9]+)*)?\z`)
)

// maxNumber bounds the text that num reads, in bytes.
const maxNumber = 1024

// num is the rule function of that name: a number as it is, a string that spells one.
func num(v any) (any, bool) {
	if typeOf(v) == tNumber {
		return v, true
	}
	s, ok := v.(string)
	if !ok || len(s) > maxNumber {
		return nil, false
	}
	if m := binaryOrOctal.FindStringSubmatch(s); m != nil {
		digits, base := m[4], 8
		if m[2] != "" {
			digits, base = m[3], 2
		}
		n, err := strconv.ParseInt(m[1]+digits, base, 64)
		return n, err == nil
	}
	return parseFloat(strings.Trim(s, " \t\n\v\f\r"))
}

// parseFloat accepts the same texts as Ruby's Float(): no "1.", no "inf", digits in groups by "_".
func parseFloat(s string) (any, bool) {
	plain := strings.ReplaceAll(s, "_", "")
	switch {
	case hexNumber.MatchString(s):
		if !strings.ContainsAny(plain, "pP") {
			plain += "p0"
		}
	case !decimalNumber.MatchString(s):
		return nil, false
	}
	f, _ := strconv.ParseFloat(plain, 64) // out of range gives ±Inf, as in Ruby
	return f, true
}

// toString is Ruby's to_s.
func toString(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return floatString(v)
	}
	return fmt.Sprint(v)
}

// floatString prints a float as Ruby does: 5.4, 100000.0, 1.0e+15, 1.0e-05, Infinity.
func floatString(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a == 0 || a >= 1e-4 && a < 1e15 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exp, _ := strings.Cut(s, "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	return mantissa + "e" + exp
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
		return fmt.Sprintf("string %.60q", v)
	case bool:
		return fmt.Sprintf("boolean %t", v)
	}
	if v := toValue(v); typeOf(v) == tNumber {
		return "number " + toString(v)
	}
	return fmt.Sprintf("%T %v", v, v)
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
