package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"mkbuild/internal/ui"
)

// apt runs apt-get for one architecture with lists and a cache of its own, so that neither the
// machine's architectures nor its package state matter or change.
type apt struct {
	dir  string // below --work
	port port
	sink ui.Sink
}

// listFile names, one a line, the package files of the last complete download.
const listFile = "packages.list"

// fetch returns the paths of the .deb files of all packages, by package name. Without refresh,
// files of an earlier run are taken when all are there.
func (a apt) fetch(ctx context.Context, packages []string, refresh bool) (map[string]string, error) {
	if !refresh {
		if found := a.known(packages); found != nil {
			return found, nil
		}
	}
	if err := a.prepare(); err != nil {
		return nil, err
	}
	a.sink.Event(ui.Event{Level: ui.Info, Step: "apt", Text: "reading Debian's " + a.port.debian + " package lists"})
	updateErr := a.run(ctx, "apt-get", "-q", "update")
	kernel, err := a.kernelPackage(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w (apt-get update: %w)", err, updateErr)
	}
	if updateErr != nil {
		a.sink.Event(ui.Event{Level: ui.Warning, Step: "apt", Text: "going on with the lists that could be read: " + updateErr.Error()})
	}
	want := append([]string{kernel}, packages...)
	a.sink.Event(ui.Event{Level: ui.Info, Step: "apt", Text: fmt.Sprintf("downloading %d packages", len(want))})
	if err := a.run(ctx, "apt-get", append([]string{"-q", "download"}, want...)...); err != nil {
		return nil, err
	}
	return a.record(ctx, want)
}

// known returns the files of an earlier download, or nil when one is missing.
func (a apt) known(packages []string) map[string]string {
	b, err := os.ReadFile(filepath.Join(a.dir, listFile))
	if err != nil {
		return nil
	}
	found := make(map[string]string)
	for _, name := range strings.Fields(string(b)) {
		p := filepath.Join(a.debs(), name)
		if _, err := os.Stat(p); err != nil {
			return nil
		}
		found[packageOf(name)] = p
	}
	for _, p := range packages {
		if found[p] == "" {
			return nil
		}
	}
	return found
}

// record finds the file of each package among the downloads and writes listFile. Of several
// versions in the directory, the one that apt would install counts.
func (a apt) record(ctx context.Context, packages []string) (map[string]string, error) {
	versions, err := a.output(ctx, "apt-cache", append([]string{"--no-all-versions", "show"}, packages...)...)
	if err != nil {
		return nil, err
	}
	found := make(map[string]string)
	var names []string
	for _, name := range debNames(versions) {
		p := filepath.Join(a.debs(), name)
		if _, err := os.Stat(p); err != nil {
			return nil, fmt.Errorf("find downloaded package: %w", err)
		}
		found[packageOf(name)] = p
		names = append(names, name)
	}
	sort.Strings(names)
	err = os.WriteFile(filepath.Join(a.dir, listFile), []byte(strings.Join(names, "\n")+"\n"), 0o644)
	return found, err
}

// debNames returns the file names that apt-get download gives the packages of an apt-cache show
// listing: NAME_VERSION_ARCH.deb with ":" in the version written as %3a.
func debNames(show string) []string {
	var out []string
	for _, stanza := range splitStanzas(show) {
		f := stanzaFields(stanza)
		if f["package"] == "" || f["version"] == "" {
			continue
		}
		v := strings.ReplaceAll(f["version"], ":", "%3a")
		out = append(out, f["package"]+"_"+v+"_"+f["architecture"]+".deb")
	}
	return out
}

// packageOf returns the package name in a .deb's file name.
func packageOf(deb string) string {
	name, _, _ := strings.Cut(filepath.Base(deb), "_")
	return name
}

// versionOf returns the version in a .deb's file name.
func versionOf(deb string) string {
	parts := strings.Split(filepath.Base(deb), "_")
	if len(parts) < 2 {
		return ""
	}
	return strings.ReplaceAll(parts[1], "%3a", ":")
}

var kernelDepends = regexp.MustCompile(`(?m)^Depends: .*?\b(linux-image-[0-9][^ ,]*)`)

// kernelPackage resolves the port's metapackage to the package of one kernel version.
func (a apt) kernelPackage(ctx context.Context) (string, error) {
	out, err := a.output(ctx, "apt-cache", "--no-all-versions", "show", a.port.kernel)
	if err != nil {
		return "", err
	}
	m := kernelDepends.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("find kernel package: %s names none", a.port.kernel)
	}
	return m[1], nil
}

func (a apt) debs() string { return filepath.Join(a.dir, "debs") }

// prepare makes the directories and the sources file that apt is pointed at.
func (a apt) prepare() error {
	for _, d := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return fmt.Errorf("prepare apt directory: %w", err)
		}
	}
	sources, err := debianSources("/etc/apt")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.dir, "debian.sources"), []byte(sources), 0o644)
}

// flags point an apt program at the directory of our own.
func (a apt) flags() []string {
	return []string{
		"-oAPT::Architecture=" + a.port.debian, "-oAPT::Architectures=" + a.port.debian,
		"-oDir::State::Lists=" + filepath.Join(a.dir, "lists"),
		"-oDir::State::status=/dev/null",
		"-oDir::Cache=" + filepath.Join(a.dir, "cache"),
		"-oDir::Etc::sourcelist=" + filepath.Join(a.dir, "debian.sources"),
		"-oDir::Etc::sourceparts=/dev/null",
		"-oAcquire::Languages=none",
		"-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-oAcquire::Retries=3",
		"-oAPT::Sandbox::User=", // the work directory need not be readable for apt's own user
	}
}

func (a apt) run(ctx context.Context, program string, args ...string) error {
	_, err := a.output(ctx, program, args...)
	return err
}

// output runs an apt program among the downloads and returns what it printed.
func (a apt) output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, append(a.flags(), args...)...)
	cmd.Dir = a.debs()
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run %s %s: %w: %s", program, args[0], err, lastLines(errs.String(), 3))
	}
	return out.String(), nil
}

// lastLines shortens a program's complaints for an error of one line.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "; ")
}
