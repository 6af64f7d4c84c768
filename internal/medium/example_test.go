package medium_test

import (
	"fmt"
	"log"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// A PXE folder is a medium like an ISO: editing its boot menus gives a new medium.
func ExampleMedium_Edit() {
	kernel := overlay.File("vmlinuz", 0o644, []byte("kernel"))
	initrd := overlay.File("core.gz", 0o644, []byte("initrd"))
	m, err := medium.NewFolder(kernel, []overlay.Entry{initrd}, "quiet")
	if err != nil {
		log.Fatal(err)
	}
	edited, err := m.Edit(bootmenu.Edit{Append: "console=ttyS0"}, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Arguments)
	fmt.Println(edited.Arguments)
	// Output:
	// quiet
	// quiet console=ttyS0
}
