package inspect_test

import (
	"bytes"
	"context"
	"fmt"

	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/inspect"
)

func Example() {
	iso, err := tinymirror.ISOWith(map[string][]byte{"README": []byte("nothing boots")})
	if err != nil {
		panic(err)
	}
	m, err := inspect.Read(bytes.NewReader(iso), int64(len(iso)), "x.iso") // inspect.Open reads files
	if err != nil {
		panic(err)
	}
	verdict, err := m.Verify(context.Background())
	if err != nil {
		panic(err)
	}
	for _, f := range verdict.Findings {
		fmt.Println(f.Rule, f.Text)
	}
	// Output:
	// boot-nothing there is no El Torito entry
	// boot-nothing no menu has an entry that boots a kernel with an initrd
}
