package mkclient

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"mkbuild/internal/extension"
)

// maxKept bounds the superseded generations that running processes may hold on to: they take
// RAM, and a fact that never ends must not eat all of it.
const maxKept = 6

// limits lowers the limits to what this machine can hold: the unpacked tree lives in RAM.
func (r *refresher) limits() (lim extension.Limits) {
	lim = r.lim
	if free := availableMemory(r.proc); free > 0 {
		lim.Total = min(lim.Total, free/2)
	}
	return lim
}

// availableMemory reads MemAvailable, or on kernels before 3.14 what is certainly free; 0 when
// unknown.
func availableMemory(proc string) int64 {
	b, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return 0
	}
	kb := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		kb[name] = leadingInt(strings.TrimSpace(rest))
	}
	if n, ok := kb["MemAvailable"]; ok {
		return n << 10
	}
	return (kb["MemFree"] + kb["Buffers"]) << 10
}

// leadingInt reads the digits at the start of s, 0 without any.
func leadingInt(s string) (n int64) {
	for _, c := range s {
		if c < '0' || c > '9' || n > 1<<50 {
			return n
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// collect removes what is below the root and belongs to no generation in the state: older
// generations once nothing uses them, and leftovers of a client that was killed.
func (r *refresher) collect() error {
	entries, err := os.ReadDir(r.root)
	if err != nil {
		return nil // nothing was ever made
	}
	listed := map[string]bool{stateFile: true, lockFile: true, runFile: true}
	for _, g := range r.state.Generations {
		listed[g.Dir] = true
	}
	var stale []os.DirEntry
	for _, e := range entries {
		if !listed[e.Name()] {
			stale = append(stale, e)
		}
	}
	return r.remove(stale)
}

// remove deletes stale entries, oldest first to count, those in use only beyond maxKept.
func (r *refresher) remove(stale []os.DirEntry) error {
	sort.Slice(stale, func(i, j int) bool { return modTime(stale[i]).After(modTime(stale[j])) })
	var inUse func(string) bool
	var errs []error
	kept := 0
	for _, e := range stale {
		p := filepath.Join(r.root, e.Name())
		if e.IsDir() {
			if inUse == nil {
				inUse = usedPaths(r.proc, r.root)
			}
			if inUse(e.Name()) && kept < maxKept {
				kept++
				continue
			}
		}
		errs = append(errs, os.RemoveAll(p))
	}
	return errors.Join(errs...)
}

func modTime(e os.DirEntry) (t time.Time) {
	if fi, err := e.Info(); err == nil {
		t = fi.ModTime()
	}
	return t
}

// usedPaths looks through all processes once for mentions of directories below root: in the
// environment (PATH names the generation of every fact), working directory, program and maps.
func usedPaths(proc, root string) func(name string) bool {
	var seen bytes.Buffer
	procs, _ := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	for _, p := range procs {
		for _, link := range []string{"cwd", "exe"} {
			if target, err := os.Readlink(filepath.Join(p, link)); err == nil {
				seen.WriteString(target + "/\x00")
			}
		}
		for _, file := range []string{"environ", "maps"} {
			if b, err := os.ReadFile(filepath.Join(p, file)); err == nil && bytes.Contains(b, []byte(root)) {
				seen.Write(b)
			}
		}
	}
	return func(name string) bool {
		return bytes.Contains(seen.Bytes(), []byte(filepath.Join(root, name)+"/"))
	}
}
