package overlay_test

import (
	"fmt"
	"log"

	"mkbuild/internal/overlay"
)

// An extension never overwrites entries of the base; the user's own files always win.
func Example() {
	base, extension, own := &overlay.Tree{}, &overlay.Tree{}, &overlay.Tree{}
	put := func(t *overlay.Tree, origin string, e overlay.Entry) {
		e.Origin = origin
		if err := t.Put(e); err != nil {
			log.Fatal(err)
		}
	}
	put(base, "core.gz", overlay.File("etc/motd", 0o644, []byte("stock")))
	put(extension, "site.tcz", overlay.File("etc/motd", 0o644, []byte("extension")))
	put(extension, "site.tcz", overlay.File("usr/local/bin/site", 0o755, nil))
	put(own, "overlay", overlay.File("etc/motd", 0o644, []byte("own")))

	layers := overlay.NewLayers(base)
	conflicts, err := layers.AddFirstWins(extension)
	if err == nil {
		err = layers.AddLastWins(own)
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range conflicts {
		fmt.Printf("%s: kept that of %s, skipped that of %s\n", c.Path, c.Kept, c.Skipped)
	}
	text, err := layers.Merged().Get("etc/motd").Content(100)
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// etc/motd: kept that of core.gz, skipped that of site.tcz
	// own <nil>
}
