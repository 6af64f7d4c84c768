package customize_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/customize"
	"mkbuild/internal/initrd"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// A PXE folder gets a kernel argument, and loses it again.
func Example() {
	dir, err := os.MkdirTemp("", "customize-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	built, site, back := filepath.Join(dir, "built"), filepath.Join(dir, "site"), filepath.Join(dir, "back")
	if err := write(built); err != nil {
		log.Fatal(err)
	}
	show := func(in, out string, c customize.Changes) {
		if err := customize.Run(context.Background(), in, out, c); err != nil {
			log.Fatal(err)
		}
		m, err := medium.Open(out)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Arguments)
	}
	show(built, site, customize.Changes{Append: "site=ams1"})
	show(site, back, customize.Changes{})
	// Output:
	// quiet site=ams1
	// quiet
}

// write makes a PXE folder.
func write(dir string) error {
	var rd bytes.Buffer
	if err := initrd.WriteSegment(&rd, tinymirror.Base(), initrd.SegmentOptions{}); err != nil {
		return err
	}
	kernel := overlay.File("vmlinuz", 0o644, tinymirror.VMLinuz(tinymirror.Kernel))
	m, err := medium.NewFolder(kernel, []overlay.Entry{overlay.File("core.gz", 0o644, rd.Bytes())}, "quiet")
	if err != nil {
		return err
	}
	return m.Write(context.Background(), dir)
}
