//go:build unix

package customize

import (
	"testing"

	"mkbuild/internal/mkclient/generations"
)

// TestClientFindsTheExtension: mk-client looks for an image's own extension where it is put.
func TestClientFindsTheExtension(t *testing.T) {
	if extensionPath != generations.Baked {
		t.Errorf("it is put into %s and looked for in %s", extensionPath, generations.Baked)
	}
}
