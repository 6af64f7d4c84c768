package profile

import (
	"strings"

	"mkbuild/internal/fail"
)

// ErrOpen is returned if a prod image would have a way in.
var ErrOpen = fail.New(fail.Usage, "check the prod image", "leave it out, or build with --profile dev")

// OpenArguments lists the kernel arguments that start another program in the place of init, such as
// rdinit=/bin/sh: a way in for anyone at the console, whatever the files of the image say.
func OpenArguments(args string) []string {
	var out []string
	for _, a := range strings.Fields(args) {
		key, program, _ := strings.Cut(a, "=")
		if (key == "rdinit" || key == "init") && program != "/init" && program != "/sbin/init" {
			out = append(out, "kernel argument "+a)
		}
	}
	return out
}
