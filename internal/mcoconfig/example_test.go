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
	fmt.Println(c.IsSample(), c.Values()["plugin.stomp.host"])
	// Output:
	// REDACTED
	// true ubuntu-server
}
