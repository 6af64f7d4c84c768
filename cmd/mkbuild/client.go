package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"mkbuild/internal/config"
	"mkbuild/internal/mkclient/settings"
)

// checkClient holds client.settings against the client's own table: a wrong one would only be
// noticed on machines that nobody can reach.
func checkClient(given map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		known := slices.ContainsFunc(settings.Table(), func(row settings.Setting) bool { return row.Has(key) })
		if !known {
			return config.Mistake("client.settings", fmt.Sprintf("mk-client has no setting %q", key), "docs/runtime.md lists them; here they are written without \"razor.\"")
		}
	}
	text, err := json.Marshal(given)
	if err != nil {
		return err
	}
	if _, wrong := settings.Load(settings.Inputs{File: text}); len(wrong) > 0 {
		return config.Mistake("client.settings", wrong[0].Error(), "docs/runtime.md says what each setting takes")
	}
	return nil
}
