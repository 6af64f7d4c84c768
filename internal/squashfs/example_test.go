package squashfs_test

import (
	"bytes"
	"fmt"

	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/internal/squashfs"
)

func ExampleFS_Walk() {
	image := sqfs.Image([]sqfs.File{
		sqfs.Reg("usr/local/bin/tool", 0o4755, "#!/bin/sh\n"),
		sqfs.Symlink("usr/local/bin/alias", "tool"),
	})
	f, err := squashfs.Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = f.Walk(func(path string, in *squashfs.Inode) error {
		fmt.Printf("%06o %q %q\n", in.Mode, path, in.Target)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 040755 "." ""
	// 040755 "usr" ""
	// 040755 "usr/local" ""
	// 040755 "usr/local/bin" ""
	// 120777 "usr/local/bin/alias" "tool"
	// 104755 "usr/local/bin/tool" ""
	// <nil>
}
