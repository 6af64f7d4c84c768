//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/mkclient"
)

// checkClient holds client.settings against the client's own table: a wrong one would only be
// noticed on machines that nobody can reach.
func checkClient(settings map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		known := slices.ContainsFunc(mkclient.Table(), func(row mkclient.Setting) bool {
			return row.Key == key || row.Family && strings.HasPrefix(key, row.Key)
		})
		if !known {
			return config.Mistake("client.settings", fmt.Sprintf("mk-client has no setting %q", key), "docs/runtime.md lists them; here they are written without \"razor.\"")
		}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	if _, wrong := mkclient.Load(mkclient.Inputs{File: text}); len(wrong) > 0 {
		return config.Mistake("client.settings", wrong[0].Error(), "docs/runtime.md says what each setting takes")
	}
	return nil
}
