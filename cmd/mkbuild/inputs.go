package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/overlay"
)

// checkInputs looks at what the configuration names on this machine before anything is fetched:
// a mistake there shall not cost a download first.
func checkInputs(c *config.Config) error {
	for _, m := range c.Mirrors {
		if err := checkMirror(m); err != nil {
			return err
		}
	}
	for _, o := range c.Overlay {
		if _, err := overlay.FromHost(o.Source, o.Target, 0, 0); err != nil {
			return config.Mistake("overlay", err.Error(), "name a file, or a folder of files, folders and symlinks, as `source`")
		}
	}
	return nil
}

// checkMirror refuses a directory that is not there: a mirror that is only passed over would
// hide a typo.
func checkMirror(address string) error {
	dir, ok := fetch.LocalPath(address)
	if !ok {
		return nil
	}
	info, err := os.Stat(dir)
	const next = "a mirror on disk is the directory that holds 4.x/ and the like; a mirror on the network begins with http:// or https://"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &usageError{fmt.Sprintf("use mirror %s: no such directory", address), next}
	case err != nil:
		return &usageError{fmt.Sprintf("use mirror %s: %v", address, err), next}
	case !info.IsDir():
		return &usageError{fmt.Sprintf("use mirror %s: it is not a directory", address), next}
	}
	return nil
}
