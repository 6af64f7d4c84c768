//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// build is a node's download of a PXE folder in segments: sizes of files by name.
type build map[string]int64

var blob = regexp.MustCompile(`blobs/sha256/[0-9a-f]{64}`)

// readBuild reads the files named in a folder's boot file.
func readBuild(folder string) (build, error) {
	script, err := os.ReadFile(filepath.Join(folder, "boot.ipxe"))
	if err != nil {
		return nil, err
	}
	out := build{"boot.ipxe": int64(len(script))}
	for _, name := range blob.FindAllString(string(script), -1) {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			return nil, err
		}
		out[name] = info.Size()
	}
	return out, nil
}

// beyond returns the bytes that a cache with another build must fetch. A boot file is requested each time.
func (b build) beyond(cached build) (n int64) {
	for name, size := range b {
		if cached[name] == 0 || name == "boot.ipxe" {
			n += size
		}
	}
	return n
}

// scale prints the transfers on each link when every node of a fleet boots: for a first build, a nightly after it,
// and a build with another version of an extension. Each site has a cache, nodes have none.
func scale(w io.Writer, folders []string) error {
	if len(folders) != 3 {
		return errors.New("usage: bench -scale BASE NIGHTLY WEEKLY")
	}
	var builds []build
	for _, f := range folders {
		b, err := readBuild(f)
		if err != nil {
			return err
		}
		builds = append(builds, b)
	}
	fmt.Fprintf(w, "%-8s %-6s %-12s %14s %14s %14s %14s\n", "nodes", "sites", "event", "origin sends", "in one file", "without cache", "a site sends")
	for _, fleet := range [][2]int64{{10, 1}, {1000, 1}, {1000, 10}, {100_000, 10}, {100_000, 50}} {
		nodes, sites := fleet[0], fleet[1]
		for i, event := range []string{"cold start", "nightly", "ruby.tcz"} {
			all, before := builds[i].beyond(nil), build(nil)
			if i > 0 {
				before = builds[0]
			}
			fmt.Fprintf(w, "%-8d %-6d %-12s %14s %14s %14s %14s\n", nodes, sites, event, human(sites*builds[i].beyond(before)), human(sites*all), human(nodes*all), human(nodes/sites*all))
		}
	}
	return nil
}

// human prints bytes with three digits.
func human(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, u
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}
