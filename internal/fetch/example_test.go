package fetch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"mkbuild/internal/fetch"
	"mkbuild/internal/store"
)

// A mirror may be a directory; its files go through the same store as downloads.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "ruby.tcz.dep"), []byte("libffi.tcz\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	url, err := fetch.Join(dir, "ruby.tcz.dep")
	if err != nil {
		fmt.Println(err)
		return
	}
	c := &fetch.Client{Store: &store.Store{Dir: filepath.Join(dir, "cache")}}
	blob, err := c.Get(context.Background(), fetch.Request{Name: "ruby.tcz.dep", URLs: []string{url}, MD5: "22ae3aeceb302e3a3f08dee233994111"})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := blob.ReadAll()
	fmt.Printf("%d bytes: %s", blob.Size, text)
	fmt.Println(err)
	// Output:
	// 11 bytes: libffi.tcz
	// <nil>
}
