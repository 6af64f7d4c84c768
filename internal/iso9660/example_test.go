package iso9660_test

import (
	"bytes"
	"fmt"
	"io"
	"log"

	"mkbuild/internal/iso9660"
)

// A remaster reads an image, changes the value, and writes it.
func Example() {
	content := func(s string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(s))), nil }
	}
	source := &iso9660.Image{VolumeID: "Core"}
	source.Put(iso9660.File{Path: "boot/core.gz", Mode: 0o100644, Size: 3, Open: content("old")})
	var disc bytes.Buffer
	if err := source.Write(&disc); err != nil {
		log.Fatal(err)
	}

	img, err := iso9660.Open(bytes.NewReader(disc.Bytes()), int64(disc.Len()))
	if err != nil {
		log.Fatal(err)
	}
	img.VolumeID = "Razor MK 0.1.0"
	img.Put(iso9660.File{Path: "boot/core.gz", Mode: 0o100644, Size: 5, Open: content("newer")})
	for _, f := range img.Files {
		fmt.Printf("%#o %d %s\n", f.Mode, f.Size, f.Path)
	}
	// Output:
	// 040755 0 .
	// 040755 0 boot
	// 0100644 5 boot/core.gz
}
