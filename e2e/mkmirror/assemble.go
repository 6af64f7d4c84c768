package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// mirror is one series during the build: its target and its inputs.
type mirror struct {
	series  series
	dir     string // temporary directory next to out, shared by all series
	pool    *pool
	kernels []*kernel // kernels of the ISO and of the modules next to it
	core    *overlay.Tree
	initrd  []byte // core, packed
	sink    ui.Sink
}

// assemble makes the mirror in a temporary directory and renames it into place.
func assemble(ctx context.Context, o options, sink ui.Sink) error {
	stamp, err := o.stamp()
	if err != nil {
		return err
	}
	if b, err := os.ReadFile(filepath.Join(o.out, stampFile)); err == nil && holds(string(b), stamp) && !o.refresh {
		return nil
	}
	if err := checkTools(); err != nil {
		return err
	}
	if _, err := os.Lstat(o.out); err == nil {
		if err := checkReplaceable(o.out); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.work, 0o755); err != nil {
		return fmt.Errorf("make work directory: %w", err)
	}
	all, err := o.collect(ctx, sink)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", filepath.Dir(o.out), err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(o.out), "."+filepath.Base(o.out)+".tmp-")
	if err != nil {
		return fmt.Errorf("make temporary directory: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // gone after the rename
	for _, m := range all {
		m.dir = tmp
		if err := m.build(ctx); err != nil {
			return err
		}
	}
	if err := all[0].archives(ctx); err != nil { // equal for all
		return err
	}
	if err := documents(tmp, all); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, stampFile), []byte(stamp), 0o644); err != nil {
		return fmt.Errorf("finish mirror: %w", err)
	}
	return replaceDir(tmp, o.out)
}

// stampFile identifies the maker of a mirror.
const stampFile = ".made-by"

// stamp is a digest of this program, and the folders of its series.
func (o options) stamp() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	program, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	stamp := fmt.Sprintf("%x", sha256.Sum256(program))
	for _, s := range matching(o.only) {
		stamp += " " + s.folder()
	}
	return stamp + "\n", nil
}

// holds reports whether a mirror is up to date: the same program made it, with all series that are wanted.
func holds(have, want string) bool {
	series := strings.Fields(have)
	for _, s := range strings.Fields(want) {
		if !slices.Contains(series, s) {
			return false
		}
	}
	return true
}

// collect fetches and unpacks the inputs of each series. Series of one platform share its packages.
func (o options) collect(ctx context.Context, sink ui.Sink) ([]*mirror, error) {
	pools := make(map[platform]*pool)
	var out []*mirror
	for _, s := range matching(o.only) {
		m := &mirror{series: s, sink: sink}
		for _, from := range append([]platform{s.platform}, s.others...) {
			if pools[from] == nil {
				p, err := o.pool(ctx, from, sink)
				if err != nil {
					return nil, err
				}
				pools[from] = p
			}
			k, err := pools[from].kernel.forSeries()
			if err != nil {
				return nil, err
			}
			m.kernels = append(m.kernels, k)
		}
		m.pool = pools[s.platform]
		out = append(out, m)
	}
	return out, nil
}

// pool fetches and unpacks the packages of one platform.
func (o options) pool(ctx context.Context, from platform, sink ui.Sink) (*pool, error) {
	sources, err := debianSources("/etc/apt")
	if err != nil {
		return nil, err
	}
	a := apt{dir: filepath.Join(o.work, from.work), sources: sources, platform: from, pauses: []time.Duration{2 * time.Second, 8 * time.Second}, sink: sink}
	debs, err := a.fetch(ctx, packages(from), o.refresh)
	if err != nil {
		return nil, err
	}
	sink.Event(ui.Event{Level: ui.Info, Step: "unpack", Text: fmt.Sprintf("%d %s packages", len(debs), from.debian)})
	return unpack(ctx, o.work, from, debs)
}

// build runs the steps of one series in order.
func (m *mirror) build(ctx context.Context) error {
	m.sink.Event(ui.Event{Level: ui.Info, Step: "core", Item: m.series.initrd, Text: m.series.folder() + ", kernel " + m.kernels[0].release})
	if err := m.buildCore(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{m.releases, m.extensions, m.plus} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// replaceDir renames dir to out. It first moves an earlier mirror away: rename(2) cannot replace a non-empty
// directory.
func replaceDir(dir, out string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("finish mirror: %w", err)
	}
	old := ""
	if _, err := os.Lstat(out); err == nil {
		if err := checkReplaceable(out); err != nil {
			return err
		}
		old = dir + ".old"
		if err := os.Rename(out, old); err != nil {
			return fmt.Errorf("replace %s: %w", out, err)
		}
	}
	if err := os.Rename(dir, out); err != nil {
		return fmt.Errorf("finish mirror: %w", err)
	}
	if old != "" {
		return os.RemoveAll(old)
	}
	return nil
}

// checkReplaceable refuses to replace anything but an earlier mirror or an empty directory, because the old content
// is deleted. The first line of its README identifies a mirror.
func checkReplaceable(out string) error {
	names, err := os.ReadDir(out)
	if err != nil {
		return fmt.Errorf("replace %s: %w", out, err)
	}
	readme, err := os.ReadFile(filepath.Join(out, "README"))
	if len(names) == 0 || err == nil && strings.HasPrefix(string(readme), readmeTitle+"\n") {
		return nil
	}
	return fmt.Errorf("replace %s: not empty and not a mirror that mkmirror made", out)
}

// tools are the programs of an assembly, with the Debian package of each.
func tools() map[string]string {
	return map[string]string{
		"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg", "mksquashfs": "squashfs-tools", "xorriso": "xorriso",
	}
}

// checkTools reports all missing programs in one error.
func checkTools() error {
	var lost []string
	need := make(map[string]bool)
	for program, pkg := range tools() {
		if _, err := exec.LookPath(program); err != nil {
			lost = append(lost, program)
			need[pkg] = true
		}
	}
	if len(lost) == 0 {
		return nil
	}
	var pkgs []string
	for p := range need {
		pkgs = append(pkgs, p)
	}
	sort.Strings(lost)
	sort.Strings(pkgs)
	return fmt.Errorf("find %s: not installed; run: apt-get install %s", strings.Join(lost, ", "), strings.Join(pkgs, " "))
}
