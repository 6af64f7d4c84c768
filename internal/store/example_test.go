package store_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"mkbuild/internal/store"
)

// An expensive result is made once and kept under a key that names everything that determines its bytes.
func ExampleStore_Derive() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := &store.Store{Dir: dir}
	defer s.Close()
	for range 2 {
		words := 0 // is kept with the content
		blob, err := s.Derive(context.Background(), "greeting", "greeting/v1 world", &words, func(w io.Writer) error {
			fmt.Println("made")
			words = 2
			_, err := io.WriteString(w, "hello, world")
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
		text, err := blob.ReadAll()
		fmt.Println(string(text), words, err)
	}
	// Output:
	// made
	// hello, world 2 <nil>
	// hello, world 2 <nil>
}
