// Package menus compares boot menus of the loaders' tests with the results of their Read.
package menus

import (
	"fmt"
	"strings"
	"testing"

	"mkbuild/internal/bootmenu"
)

// Case is a menu and its expected content, a line each: "FILE:LINE ENTRY", "menu NAME", "FILE:LINE doubt".
type Case = struct{ Text, Want string }

// Read reads the menus of cases; entry formats the entries for a loader's test.
func Read(t *testing.T, cases []Case, read func([]byte) (*bootmenu.Menu, error), entry func(bootmenu.Entry) string) {
	t.Helper()
	for _, c := range cases {
		m, err := read([]byte(c.Text))
		if err != nil {
			t.Errorf("%.60q: %v", c.Text, err)
			continue
		}
		var got strings.Builder
		for _, e := range m.Entries {
			fmt.Fprintf(&got, "%s:%d %s\n", e.File, e.Line, entry(e))
		}
		for _, name := range m.Menus {
			fmt.Fprintf(&got, "menu %s\n", name)
		}
		for _, d := range m.Doubts {
			fmt.Fprintf(&got, "%s:%d %s\n", d.File, d.Line, d.Text)
		}
		if got.String() != c.Want {
			t.Errorf("%.60q:\n got %q\nwant %q", c.Text, got.String(), c.Want)
		}
	}
}
