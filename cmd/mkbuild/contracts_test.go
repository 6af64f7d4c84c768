package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mkbuild/internal/config"
	"mkbuild/internal/extension"
	"mkbuild/internal/extension/lint"
	"mkbuild/internal/extension/trial"
	"mkbuild/internal/inspect"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// Interfaces for other programs stay: exit statuses, the keys of mkbuild.yaml, the members of JSON documents and of
// the lock. A new line is an addition. A changed or lost line breaks a promise, and needs a new version of its
// schema.
func TestContracts(t *testing.T) {
	t.Parallel()
	const golden = "testdata/contracts.txt"
	var b strings.Builder
	for _, s := range exitStatuses() {
		fmt.Fprintf(&b, "exit %d\n", s.Code)
	}
	for _, c := range documents() {
		for _, member := range members(reflect.TypeOf(c.value), "", nil) {
			fmt.Fprintf(&b, "%s %s\n", c.schema, member)
		}
	}
	for _, key := range configurationKeys(t) {
		fmt.Fprintf(&b, "mkbuild.yaml %s\n", key)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promised, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	is, was := strings.Split(b.String(), "\n"), strings.Split(string(promised), "\n")
	for _, l := range was {
		if !slices.Contains(is, l) {
			t.Errorf("%q is promised, and gone: give it back, or give its schema a new version", l)
		}
	}
	for _, l := range is {
		if !slices.Contains(was, l) {
			t.Errorf("%q is new: promise it by `go test ./cmd/mkbuild -run Contracts -update`", l)
		}
	}
}

type document struct {
	schema string
	value  any
}

func documents() []document {
	return []document{
		{lock.Schema, lock.Lock{}},
		{manifest.Schema, manifest.Manifest{}},
		{inspect.Schema, inspect.Report{}},
		{inspect.DiffSchema, inspect.Diff{}},
		{inspect.VerifySchema, inspect.Verdict{}},
		{inspect.RebuildSchema, inspect.Rebuild{}},
		{ui.EventsSchema + " event", ui.Event{}},
		{ui.EventsSchema + " error", ui.Failure{}},
		{lint.ReportSchema, lint.Report{}},
		{extension.ListingSchema, extension.Listing{}},
		{trial.Schema, trial.Diff{}},
		{versionSchema, buildInfo{}},
		{"mkbuild.cache-ls/v1", itemsJSON{}},
		{"mkbuild.cache-verify/v1", store.Health{}},
		{"mkbuild.test/v1", testReport{}},
	}
}

// members lists the paths in the JSON of a type, each with the kind of its value.
func members(t reflect.Type, at string, within []reflect.Type) []string {
	switch {
	case t.Kind() == reflect.Pointer:
		return members(t.Elem(), at, within)
	case t.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()):
		return []string{at + ": " + t.Name()}
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return members(t.Elem(), at+"[]", within)
	case t.Kind() == reflect.Map:
		return members(t.Elem(), at+"{}", within)
	case t.Kind() != reflect.Struct || slices.Contains(within, t):
		return []string{at + ": " + t.Kind().String()}
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "":
			out = append(out, members(f.Type, at, append(within, t))...)
		case name == "":
			out = append(out, members(f.Type, at+"."+f.Name, append(within, t))...)
		default:
			out = append(out, members(f.Type, at+"."+name, append(within, t))...)
		}
	}
	return out
}

// configurationKeys lists the keys of mkbuild.yaml from its JSON schema.
func configurationKeys(t *testing.T) []string {
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	var keys []string
	var walk func(node any, at string)
	walk = func(node any, at string) {
		switch n := node.(type) {
		case []any:
			for _, e := range n {
				walk(e, at)
			}
		case map[string]any:
			properties, _ := n["properties"].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(properties)) {
				keys = append(keys, at+"."+name)
				walk(properties[name], at+"."+name)
			}
			for _, inner := range []string{"items", "anyOf", "oneOf", "additionalProperties"} {
				walk(n[inner], at)
			}
		}
	}
	walk(root, "")
	slices.Sort(keys)
	return slices.Compact(keys)
}
