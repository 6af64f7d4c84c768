// Package signkit makes keys for tests.
package signkit

import (
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/signing"
)

// Key makes a key pair and returns its signer and the names of its files.
func Key(t testing.TB) (s *signing.Signer, secret, public string) {
	t.Helper()
	secret, public, err := signing.NewKey(filepath.Join(t.TempDir(), "test"), nil)
	testkit.Must(t, err)
	s, err = signing.Secret{Name: secret, Warn: func(text string) { t.Error(text) }}.Open()
	testkit.Must(t, err)
	return s, secret, public
}
