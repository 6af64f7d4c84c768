package wholefile_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mkbuild/internal/wholefile"
)

// A file whose writing fails does not appear.
func ExampleWrite() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for _, failure := range []error{errors.New("no more input"), nil} {
		err := wholefile.Write(filepath.Join(dir, "image.iso"), func(w io.Writer) error {
			fmt.Fprint(w, "content")
			return failure
		})
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		fmt.Println(err, len(names))
	}
	// Output:
	// no more input 0
	// <nil> 1
}
