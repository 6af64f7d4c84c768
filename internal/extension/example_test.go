package extension_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"mkbuild/internal/extension"
)

// An extension is written as a directory, packed, and unpacked on a machine.
func Example() {
	dir, err := os.MkdirTemp("", "extension-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	site, machine := filepath.Join(dir, "site"), filepath.Join(dir, "machine")
	if err := extension.WriteExample(site); err != nil {
		panic(err)
	}
	zip, _, err := extension.PackDir(context.Background(), site, extension.DefaultLimits())
	if err != nil {
		panic(err)
	}
	if err := os.Mkdir(machine, 0o755); err != nil {
		panic(err)
	}
	err = extension.Unpack(context.Background(), bytes.NewReader(zip), int64(len(zip)), machine, extension.DefaultLimits())
	b, _ := os.ReadFile(filepath.Join(machine, "facts.d/site_policy.json"))
	fmt.Printf("%s%v\n", b, err)
	// Output:
	// {
	//   "site_policy": "standard",
	//   "site_burn_in": "no"
	// }
	// <nil>
}
