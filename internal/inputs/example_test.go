package inputs_test

import (
	"fmt"

	"mkbuild/internal/config"
	"mkbuild/internal/inputs"
)

func ExampleNewPlan() {
	c := config.Default()
	c.Mirrors = config.URLs{"http://distro.ibiblio.org/tinycorelinux/"}
	p, err := inputs.NewPlan(c)
	fmt.Println(p.ISO, err)
	fmt.Println(p.Mirrors[0].Archived)
	fmt.Println(p.Extensions[0], "in", p.Mirrors[0].TCZ)
	// Output:
	// Core-4.5.2.iso <nil>
	// http://distro.ibiblio.org/tinycorelinux/4.x/x86/archive/4.5.2
	// ruby in http://distro.ibiblio.org/tinycorelinux/4.x/x86/tcz
}
