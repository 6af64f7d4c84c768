// Package clientbin carries the gzip'd mk-client programs that images get. `make` builds them
// into bin/ before mkbuild itself; a mkbuild built without them says so.
package clientbin

import (
	"embed"
	"errors"
	"io/fs"
)

//go:embed all:bin
var programs embed.FS

// MissingError says that this mkbuild was built without the client for an architecture.
type MissingError struct{ GOARCH string }

func (e *MissingError) Error() string {
	return "this mkbuild was built without mk-client for linux/" + e.GOARCH
}

// Hint says how to get a complete mkbuild.
func (*MissingError) Hint() string {
	return "build mkbuild with `make build`, or leave the client out: `client: {disabled: true}` in mkbuild.yaml"
}

// Program returns the client for a mirror's architecture, "x86" or "x86_64", gzip'd as it is carried.
func Program(arch string) ([]byte, error) {
	goarch := map[string]string{"x86": "386", "x86_64": "amd64"}[arch]
	packed, err := programs.ReadFile("bin/mk-client-" + goarch + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingError{goarch}
	}
	return packed, err
}
