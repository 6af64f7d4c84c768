package iso9660_test

import (
	"bytes"
	"fmt"
	"log"

	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// A remaster reads an image, changes the value, and writes it.
func Example() {
	source := &iso9660.Image{VolumeID: "Core"}
	var disc bytes.Buffer
	err := source.Files.Put(overlay.File("boot/core.gz", 0o644, []byte("old")))
	if err == nil {
		err = source.Write(&disc)
	}
	if err != nil {
		log.Fatal(err)
	}

	img, err := iso9660.Open(bytes.NewReader(disc.Bytes()), int64(disc.Len()))
	if err != nil {
		log.Fatal(err)
	}
	img.VolumeID = "Razor MK 0.1.0"
	if err := img.Files.Put(overlay.File("boot/core.gz", 0o644, []byte("newer"))); err != nil {
		log.Fatal(err)
	}
	for _, f := range img.Files.Entries() {
		fmt.Printf("%#o %d %s\n", f.Mode, f.Size, f.Path)
	}
	// Output:
	// 040755 0 .
	// 040755 0 boot
	// 0100644 5 boot/core.gz
}
