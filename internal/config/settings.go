package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// ParseSettings reads settings of mk-client from a file of their own: the lines that mkbuild.yaml has
// below client.settings, or the same as a flat JSON object.
func ParseSettings(name string, text []byte) (map[string]string, error) {
	const next = "write it as below client.settings in mkbuild.yaml, for example: server: razor.example:8150"
	var out map[string]string
	if err := yaml.Unmarshal(text, &out); err != nil {
		return nil, Mistake(name, fmt.Sprintf("no list of settings: %v", err), next)
	}
	if len(out) == 0 {
		return nil, Mistake(name, "it holds no settings", next)
	}
	return out, nil
}
