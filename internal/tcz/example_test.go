package tcz_test

import (
	"context"
	"fmt"

	"mkbuild/internal/tcz"
)

func ExampleClosure() {
	// The .dep files of a mirror; an extension without a .dep needs nothing.
	dep := map[string]string{
		"bash.tcz":    "ncurses.tcz\n",
		"ncurses.tcz": "\nncurses-common.tcz \n",
	}
	deps := func(_ context.Context, file string) ([]string, error) {
		return tcz.ParseDep([]byte(dep[file])), nil
	}
	roots := []string{"bash", "scsi-KERNEL"}
	items, err := tcz.Closure(context.Background(), roots, "3.0.21-tinycore", deps)
	for _, item := range items {
		fmt.Println(item.Asked())
	}
	fmt.Println(err)
	// Output:
	// bash.tcz -> ncurses.tcz -> ncurses-common.tcz
	// bash.tcz -> ncurses.tcz
	// bash.tcz
	// scsi-3.0.21-tinycore.tcz
	// <nil>
}
