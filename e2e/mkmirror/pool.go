package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"mkbuild/internal/overlay"
)

// pool is the set of unpacked packages: --work/unpacked/<file name of the .deb>/.
type pool struct {
	roots    map[string]string // package name to directory
	debs     map[string]string // package name to .deb
	platform platform
	kernel   *kernel
}

// unpack unpacks the packages that are not unpacked yet. Each directory appears by rename.
func unpack(ctx context.Context, work string, from platform, debs map[string]string) (*pool, error) {
	p := &pool{roots: make(map[string]string), debs: debs, platform: from}
	base := filepath.Join(work, "unpacked")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("unpack packages: %w", err)
	}
	for name, deb := range debs {
		dir := filepath.Join(base, filepath.Base(deb))
		p.roots[name] = dir
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := unpackOne(ctx, deb, dir); err != nil {
			return nil, err
		}
	}
	var err error
	p.kernel, err = readKernel(p)
	return p, err
}

// unpackOne unpacks one .deb into dir.
func unpackOne(ctx context.Context, deb, dir string) error {
	tmp := dir + ".part"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	if err := runTool(ctx, "dpkg-deb", "-x", deb, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	return nil
}

// runTool runs a program and returns its messages as the error.
func runTool(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w: %s", name, err, lastLines(string(out), 3))
	}
	return nil
}

// version returns a package's version.
func (p *pool) version(pkg string) string { return versionOf(p.debs[pkg]) }

// upstream returns a package's version without Debian's revision, epoch and +dfsg suffix.
func (p *pool) upstream(pkg string) string {
	v := p.version(pkg)
	if _, after, ok := strings.Cut(v, ":"); ok {
		v = after
	}
	if i := strings.LastIndex(v, "-"); i >= 0 {
		v = v[:i]
	}
	v, _, _ = strings.Cut(v, "+dfsg")
	return v
}

// names returns the packages in order, so that look-ups do not depend on map order.
func (p *pool) names() []string {
	out := make([]string, 0, len(p.roots))
	for n := range p.roots {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// file returns a package's file as an entry named to, with the mode bits perm. Symlinks inside the package are
// followed.
func (p *pool) file(pkg, from, to string, perm uint32) (overlay.Entry, error) {
	host, info, err := p.stat(pkg, from)
	if err != nil {
		return overlay.Entry{}, err
	}
	return overlay.Entry{
		Path: to, Mode: overlay.TypeRegular | perm, MTime: buildTime, Size: info.Size(), Origin: pkg,
		Open: func() (io.ReadCloser, error) { return os.Open(host) },
	}, nil
}

// stat finds a package's regular file on the host. An absolute symlink points inside the package, never to the
// host.
func (p *pool) stat(pkg, name string) (string, fs.FileInfo, error) {
	root, ok := p.roots[pkg]
	if !ok {
		return "", nil, fmt.Errorf("take %s: package %s is not in the list", name, pkg)
	}
	for range 8 {
		host := filepath.Join(root, filepath.FromSlash(name))
		info, err := os.Lstat(host)
		if err != nil {
			return "", nil, fmt.Errorf("take %s out of %s: %w", name, pkg, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if !info.Mode().IsRegular() {
				return "", nil, fmt.Errorf("take %s out of %s: not a regular file", name, pkg)
			}
			return host, info, nil
		}
		target, err := os.Readlink(host)
		if err != nil {
			return "", nil, fmt.Errorf("take %s out of %s: %w", name, pkg, err)
		}
		if path.IsAbs(target) {
			name = target[1:]
		} else {
			name = path.Join(path.Dir(name), target)
		}
	}
	return "", nil, fmt.Errorf("take %s out of %s: too many symlinks", name, pkg)
}

// files returns the regular files below a package's directory, relative and sorted. A missing directory gives none.
func (p *pool) files(pkg, dir string) ([]string, error) {
	root := filepath.Join(p.roots[pkg], filepath.FromSlash(dir))
	var out []string
	err := filepath.WalkDir(root, func(host string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			rel, err := filepath.Rel(root, host)
			if err != nil {
				return err
			}
			out = append(out, filepath.ToSlash(rel))
		}
		return nil
	})
	if os.IsNotExist(err) {
		return nil, nil
	}
	sort.Strings(out)
	return out, err
}

// executable reports whether a package's file has an execute bit.
func (p *pool) executable(pkg, name string) bool {
	_, info, err := p.stat(pkg, name)
	return err == nil && info.Mode()&0o111 != 0
}

// libDirs are where Debian packages keep shared libraries.
func (p *pool) libDirs() []string {
	return []string{"lib/" + p.platform.triplet, "usr/lib/" + p.platform.triplet, "lib", "usr/lib"}
}

// library finds the package and path of the shared library with a soname.
func (p *pool) library(soname string) (pkg, name string, err error) {
	for _, pkg := range p.names() {
		for _, dir := range p.libDirs() {
			name := path.Join(dir, soname)
			if _, err := os.Lstat(filepath.Join(p.roots[pkg], filepath.FromSlash(name))); err == nil {
				return pkg, name, nil
			}
		}
	}
	return "", "", fmt.Errorf("find library %s: no package of the list holds it", soname)
}
