package mcoconfig_test

import (
	"fmt"

	"mkbuild/internal/mcoconfig"
)

func Example() {
	c := mcoconfig.Default()
	if err := c.Set("plugin.psk", "a key of our own"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Render())
	for _, f := range c.Lint(nil) {
		fmt.Println(f)
	}
	// Output:
	// REDACTED
	// plugin.stomp.password: is the password that the documentation publishes
}
