package profile

import (
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

func TestBootsync(t *testing.T) {
	const call = "/usr/local/etc/init.d/microkernel start\n"
	tests := []struct{ name, script, want string }{
		{"stock", "#!/bin/sh\nhost\n/opt/bootlocal.sh &\n", "#!/bin/sh\nhost\n" + call + "/opt/bootlocal.sh &\n"},
		{"bootlocal, then exit", "#!/bin/sh\n/opt/bootlocal.sh &\nexit 0\n", "#!/bin/sh\n" + call + "/opt/bootlocal.sh &\nexit 0\n"},
		{"bootlocal alone", "/opt/bootlocal.sh &\n", call + "/opt/bootlocal.sh &\n"},
		{"exit alone", "exit;\n", call + "exit;\n"},
		{"neither", "#!/bin/sh\nhost\n", "#!/bin/sh\nhost\n" + call},
		{"exit", "#!/bin/sh\nhost\nexit\n", "#!/bin/sh\nhost\n" + call + "exit\n"},
		{"exit with a status, comments and blanks behind it", "#!/bin/sh\nhost\n\texit 0; # done\n\n# end\n", "#!/bin/sh\nhost\n" + call + "\texit 0; # done\n\n# end\n"},
		{"an exit that is not the end", "#!/bin/sh\nx || exit 1\nexit_hook\n", "#!/bin/sh\nx || exit 1\nexit_hook\n" + call},
		{"exit in the middle", "#!/bin/sh\nif x; then\nexit 1\nfi\n", "#!/bin/sh\nif x; then\nexit 1\nfi\n" + call},
		{"commented bootlocal", "#!/bin/sh\n#/opt/bootlocal.sh &\nexit 0", "#!/bin/sh\n#/opt/bootlocal.sh &\n" + call + "exit 0\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			e := &edit{tree: with(t, base(t), "opt/bootsync.sh", tc.script), out: &overlay.Tree{}}
			testkit.Must(t, bootsync(e))
			if got := text(t, e.out, "opt/bootsync.sh"); got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
		})
	}
}

// Tiny Core's tce-setup gives /usr/local/tce.installed to tc at every boot, before bootsync.sh.
func TestServiceTakesMCollectiveBack(t *testing.T) {
	const line = "\nchown -hR 0:0 /usr/local/tce.installed/mcollective-*\n"
	for name, want := range map[string]bool{
		"usr/local/tce.installed/mcollective-1.2.1/mcollectived.rb": true,
		"usr/local/tce.installed/mcollective":                       false, // the marker of an extension
		"usr/local/share/mcollective-1.2.1/x":                       false,
	} {
		out, err := Apply(with(t, base(t), name, ""), Options{Profile: "prod", BootGems: "install-gems"})
		testkit.Must(t, err)
		script := text(t, out, InitScript)
		if at := strings.Index(script, line); at >= 0 != want || want && at > strings.Index(script, "install-gems") {
			t.Errorf("%s:\n%s", name, script)
		}
	}
}
