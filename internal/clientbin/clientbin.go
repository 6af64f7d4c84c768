// Package clientbin embeds the gzip'd mk-client programs for images. `make` builds them into bin/ before mkbuild
// itself.
//
// Start reading at [Program].
package clientbin

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"mkbuild/internal/fail"
)

//go:embed all:bin
var programs embed.FS

// ErrMissing is returned by a mkbuild that was built without the client for an architecture.
var ErrMissing = fail.New(fail.Usage, "this mkbuild was built without mk-client",
	"build mkbuild with `make build` in a clone of its repository (`go install` leaves mk-client out), or make an image without mk-client: `client: {disabled: true}` in mkbuild.yaml")

// Program returns the gzip'd mk-client for a mirror's architecture, "x86" or "x86_64". It does not unpack: an image
// whose segments are in the cache does not read it.
func Program(arch string) (*io.SectionReader, error) {
	goarch := map[string]string{"x86": "386", "x86_64": "amd64"}[arch]
	f, err := programs.Open("bin/mk-client-" + goarch + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w for linux/%s", ErrMissing, goarch)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(f.(io.ReaderAt), 0, info.Size()), nil // like all files of an embed.FS
}
