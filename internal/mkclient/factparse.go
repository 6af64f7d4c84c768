package mkclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxStarts bounds how many places parseFacts tries to begin at.
const maxStarts = 64

// parseFacts finds the facts in what Facter printed. A fact that prints on stdout puts noise
// before or after the JSON object, JSON even, so every line that starts with "{" is tried, and
// then every "{" at all.
func parseFacts(out []byte) (Facts, error) {
	best := tryStarts(out, lineStarts(out))
	if !named(best) {
		if other := tryStarts(out, braceStarts(out)); best == nil || named(other) {
			best = other
		}
	}
	if len(best) == 0 {
		return nil, fmt.Errorf("%w: it is no JSON object", errNoFacts)
	}
	return best, nil
}

// named reports whether facts say which Facter they are from, as those of every version do.
func named(facts Facts) bool { return facts["facterversion"] != nil }

// tryStarts picks among the objects that begin at these offsets the one that is Facter's. It is
// printed when all facts have run, so of those that are named the last one is it, or else the
// last one that is not empty. What is inside an object is not tried for itself.
func tryStarts(out []byte, starts []int) (best Facts) {
	end := 0
	for _, at := range starts {
		if at < end {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(out[at:]))
		dec.UseNumber()
		var facts Facts
		if dec.Decode(&facts) != nil || len(facts) == 0 {
			continue
		}
		end = at + int(dec.InputOffset())
		if named(facts) || !named(best) {
			best = facts
		}
	}
	return best
}

// lineStarts lists the offsets of lines that begin with "{", the last maxStarts of them.
func lineStarts(out []byte) []int {
	var starts []int
	for at := 0; at < len(out); {
		if out[at] == '{' {
			starts = append(starts, at)
		}
		next := bytes.IndexByte(out[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return starts[max(0, len(starts)-maxStarts):]
}

// braceStarts lists the offsets of the first maxStarts "{" wherever they are.
func braceStarts(out []byte) []int {
	var starts []int
	for at := 0; len(starts) < maxStarts; at++ {
		next := bytes.IndexByte(out[at:], '{')
		if next < 0 {
			break
		}
		at += next
		starts = append(starts, at)
	}
	return starts
}

// parseYAMLFacts reads the output of Facters without JSON; noise comes before the "---".
func parseYAMLFacts(out []byte) (Facts, error) {
	if at := bytes.LastIndex(out, []byte("\n---")); at >= 0 {
		out = out[at+1:]
	}
	var v any
	if err := yaml.Unmarshal(out, &v); err != nil {
		return nil, fmt.Errorf("%w: it is no YAML: %w", errNoFacts, err)
	}
	m, ok := jsonValue(v).(map[string]any)
	if !ok || len(m) == 0 {
		return nil, fmt.Errorf("%w: it is no YAML mapping", errNoFacts)
	}
	return m, nil
}

// jsonValue turns what YAML can express into what JSON can.
func jsonValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = jsonValue(e)
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = jsonValue(e)
		}
		return m
	case []any:
		for i, e := range v {
			v[i] = jsonValue(e)
		}
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case float64:
		if v != v || v > 1e308 || v < -1e308 {
			return fmt.Sprint(v) // .nan and .inf have no JSON
		}
	}
	return v
}
