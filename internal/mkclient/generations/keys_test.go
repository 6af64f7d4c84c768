package generations

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/e2e/testkit/signkit"
	"mkbuild/internal/extension"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/signing"
)

// BenchmarkUnseal measures a signature's cost for a check-in: it reads the keys, and checks a new extension of 100
// kB. A check-in without a new extension only reads the keys.
func BenchmarkUnseal(b *testing.B) {
	signer, _, _ := signkit.Key(b)
	zip, err := extension.Sign(b.Context(), ext.Zip(b, ext.Item("bin/x", strings.Repeat("x", 100<<10), ext.File|0o755)), signer, "site", 1)
	testkit.Must(b, err)
	root := b.TempDir()
	text, err := json.Marshal(extension.Trust{Keys: signing.Keys{signer.Public}})
	testkit.Must(b, err)
	testkit.Must(b, os.MkdirAll(filepath.Dir(filepath.Join(root, extension.KeysFile)), 0o755))
	testkit.Put(b, filepath.Join(root, extension.KeysFile), text)
	f, err := os.Create(filepath.Join(root, "download"))
	testkit.Must(b, err)
	defer f.Close()
	for b.Loop() {
		b.StopTimer()
		_, err := f.WriteAt(zip, 0)
		testkit.Must(b, err)
		g := generation{validators: validators{Size: int64(len(zip))}}
		b.StartTimer()
		testkit.Must(b, unseal(f, &g, facts.Root(root), 0))
	}
}
