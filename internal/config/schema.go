package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schema is the part of JSON Schema that mkbuild.yaml needs. It means the same in all drafts; it names draft 7
// because all editors know it.
type schema struct {
	Draft       string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        any                `json:"type,omitempty"` // a name, or several
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Default     any                `json:"default,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false, or the schema of all values
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	MinProps    int                `json:"minProperties,omitempty"`
	MaxProps    int                `json:"maxProperties,omitempty"`
}

// Schema returns the JSON Schema of mkbuild.yaml, for editors: the keys and types of [Config], the explanations
// and defaults of [Template]. [Parse] refuses everything that it refuses; [Config.Validate] checks more than the
// form of a value.
func Schema() ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(Template, &doc); err != nil {
		return nil, err
	}
	s := schemaOf(reflect.TypeFor[Config](), doc.Content[0], "")
	s.Draft, s.Title = "http://json-schema.org/draft-07/schema#", "mkbuild.yaml"
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

// schemaOf describes the type t of a key, such as "gems.mode". example is its value in the
// template, or nil.
func schemaOf(t reflect.Type, example *yaml.Node, key string) *schema {
	switch t {
	case reflect.TypeFor[URLs]():
		return &schema{AnyOf: []*schema{{Type: "string"}, {Type: orNull("array"), Items: &schema{Type: "string"}}}}
	case reflect.TypeFor[*ISO]():
		source := map[string]*schema{"url": {Type: "string"}, "sha256": {Type: "string", Pattern: "^$|" + sha256Form.String()}}
		return &schema{AnyOf: []*schema{{Type: orNull("string")}, {Type: "object", Properties: source, Additional: false}}}
	case reflect.TypeFor[*Value]():
		source := map[string]*schema{"file": {Type: "string"}, "env": {Type: "string"}}
		return &schema{AnyOf: []*schema{{Type: orNull("string", "number", "boolean")}, {Type: "object", Properties: source, Additional: false, MinProps: 1, MaxProps: 1}}}
	}
	switch t.Kind() {
	case reflect.String:
		return stringSchema(key)
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int:
		return &schema{Type: "integer"}
	case reflect.Pointer:
		s := schemaOf(t.Elem(), example, key)
		if name, ok := s.Type.(string); ok {
			s.Type = orNull(name)
		}
		return s
	case reflect.Slice:
		return &schema{Type: orNull("array"), Items: schemaOf(t.Elem(), nil, key+"[]")}
	case reflect.Map:
		return &schema{Type: orNull("object"), Additional: schemaOf(t.Elem(), nil, key+"{}")}
	case reflect.Struct:
		return structSchema(t, example, key)
	}
	panic(fmt.Sprintf("config: schema of %s: no rule for the type %s", key, t)) // a test makes it: cannot happen in a release
}

// orNull also accepts a key without a value.
func orNull(types ...string) []string { return append(types, "null") }

// stringSchema also accepts numbers: 4.5 in YAML is one, and means the text.
func stringSchema(key string) *schema {
	if values := Choices(key); values != nil {
		return &schema{Type: "string", Enum: values}
	}
	s := &schema{Type: []string{"string", "number"}}
	switch {
	case key == "release":
		s.Pattern = releaseForm.String()
	case key == "image.version":
		s.Pattern = versionForm.String()
	case strings.HasSuffix(key, ".sha256"):
		s.Pattern = "^$|" + sha256Form.String()
	case strings.HasSuffix(key, "{}"):
		s.Type = []string{"string", "number", "boolean"}
	}
	return s
}

func structSchema(t reflect.Type, example *yaml.Node, key string) *schema {
	s := &schema{Type: orNull("object"), Properties: map[string]*schema{}, Additional: false}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		k, v := lookup(example, name)
		p := schemaOf(t.Field(i).Type, v, strings.TrimPrefix(key+"."+name, "."))
		p.Description = comments(k, v)
		if v != nil && v.Kind == yaml.ScalarNode {
			_ = v.Decode(&p.Default) // a scalar has no rules to break
		}
		s.Properties[name] = p
	}
	return s
}

// lookup returns a key of a mapping and its value, or nil.
func lookup(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// comments joins the template's comments on a key: above it, and after it.
func comments(key, value *yaml.Node) string {
	if key == nil {
		return ""
	}
	var out []string
	for _, c := range []string{key.HeadComment, key.LineComment, value.HeadComment, value.LineComment} {
		for _, l := range strings.Split(c, "\n") {
			if l = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(l), "#")); l != "" {
				out = append(out, l)
			}
		}
	}
	return strings.Join(out, " ")
}
