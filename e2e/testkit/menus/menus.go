// Package menus holds the boot menus of the loaders' tests against what their Read is to find.
package menus

import (
	"fmt"
	"strings"
	"testing"

	"mkbuild/internal/bootmenu"
)

// Case is a menu and what is found in it, a line each: "FILE:LINE ENTRY", "menu NAME", "FILE:LINE doubt".
type Case = struct{ Text, Want string }

// Read reads the menus of cases; entry writes the entries as a loader's test wants to see them.
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
