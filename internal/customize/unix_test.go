//go:build unix

package customize

import (
	"testing"

	"mkbuild/internal/mkclient/generations"
)

// TestClientFindsTheExtension: an image's own extension is at mk-client's path.
func TestClientFindsTheExtension(t *testing.T) {
	if extensionPath != generations.Baked {
		t.Errorf("it is put into %s and looked for in %s", extensionPath, generations.Baked)
	}
}
