package isolinux_test

import (
	"fmt"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/isolinux"
)

func ExampleEdit() {
	cfg := []byte("default core\nlabel core\n\tkernel /boot/vmlinuz\n\tappend initrd=/boot/core.gz quiet\ntimeout 300\n")
	out, err := isolinux.Edit(cfg, bootmenu.Edit{Append: "console=ttyS0", TimeoutTenths: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(out))
	// Output:
	// default core
	// label core
	// 	kernel /boot/vmlinuz
	// 	append initrd=/boot/core.gz quiet console=ttyS0
	// timeout 100
}
