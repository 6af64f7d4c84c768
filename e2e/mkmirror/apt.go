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
	"time"

	"mkbuild/internal/ui"
)

// apt runs apt-get for one platform with separate lists and a separate cache, so that the machine's architectures
// and package state neither matter nor change.
type apt struct {
	dir      string // below --work
	sources  string // text of a .sources file
	platform platform
	pauses   []time.Duration // pause before each retry of reading the lists
	sink     ui.Sink
}

// listFile lists the package files of the last complete download, one a line.
const listFile = "packages.list"

// fetch returns the paths of the .deb files of all packages, by package name. Without refresh it uses files of an
// earlier run if all exist; with refresh, only if nothing else is available.
func (a apt) fetch(ctx context.Context, packages []string, refresh bool) (map[string]string, error) {
	earlier := a.known(packages)
	if earlier != nil && !refresh {
		return earlier, nil
	}
	found, err := a.fetchNew(ctx, packages)
	if err != nil && earlier != nil && ctx.Err() == nil {
		a.warn("going on with the packages of an earlier run: " + err.Error())
		return earlier, nil
	}
	return found, err
}

// fetchNew reads the lists and downloads. A suite whose index is out of step with its mirror ("File has unexpected
// size") is not a failure if others have the packages. apt keeps the old index of such a suite, which may name
// deleted files: then fetchNew reads the lists again without that suite.
func (a apt) fetchNew(ctx context.Context, packages []string) (map[string]string, error) {
	if err := a.prepare(); err != nil {
		return nil, err
	}
	a.sink.Event(ui.Event{Level: ui.Info, Step: "apt", Text: "reading Debian's " + a.platform.debian + " package lists"})
	for again := false; ; again = true {
		updateErr := a.update(ctx)
		if updateErr != nil {
			a.warn("going on with the lists that could be read: " + updateErr.Error())
		}
		found, err := a.download(ctx, packages)
		if err == nil || updateErr == nil {
			return found, err
		}
		if again || ctx.Err() != nil {
			return nil, fmt.Errorf("%w (apt-get update: %w)", err, updateErr)
		}
		if err := os.RemoveAll(a.lists()); err != nil {
			return nil, fmt.Errorf("read package lists: %w", err)
		}
		if err := a.prepare(); err != nil {
			return nil, err
		}
	}
}

// update reads the package lists. A proxy may hold an index that is older than its signed list of digests, so
// retries request the mirror's own.
func (a apt) update(ctx context.Context) error {
	err := a.run(ctx, "apt-get", "update", "-q")
	for _, pause := range a.pauses {
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		err = a.run(ctx, "apt-get", "update", "-q", "-oAcquire::http::No-Cache=true")
	}
	return err
}

// download fetches the packages, and the kernel that the platform's metapackage names.
func (a apt) download(ctx context.Context, packages []string) (map[string]string, error) {
	kernel, err := a.kernelPackage(ctx)
	if err != nil {
		return nil, err
	}
	want := append([]string{kernel}, packages...)
	a.sink.Event(ui.Event{Level: ui.Info, Step: "apt", Text: fmt.Sprintf("downloading %d packages", len(want))})
	if err := a.run(ctx, "apt-get", append([]string{"download", "-q"}, want...)...); err != nil {
		return nil, err
	}
	return a.record(ctx, want)
}

func (a apt) warn(text string) {
	a.sink.Event(ui.Event{Level: ui.Warning, Step: "apt", Text: text})
}

// known returns the files of an earlier download, or nil if one is missing.
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

// record finds the file of each package among the downloads and writes listFile. Of several versions in the
// directory it uses apt's candidate.
func (a apt) record(ctx context.Context, packages []string) (map[string]string, error) {
	versions, err := a.output(ctx, "apt-cache", append([]string{"show", "--no-all-versions"}, packages...)...)
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

var kernelDepends = regexp.MustCompile(`(?m)^Depends: .*?\b(linux-image-[0-9][^ ,\n]*)`)

// kernelPackage resolves the platform's metapackage to the package of one kernel version.
func (a apt) kernelPackage(ctx context.Context) (string, error) {
	out, err := a.output(ctx, "apt-cache", "show", "--no-all-versions", a.platform.kernel)
	if err != nil {
		return "", err
	}
	m := kernelDepends.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("find kernel package: %s names none", a.platform.kernel)
	}
	return m[1], nil
}

func (a apt) debs() string  { return filepath.Join(a.dir, "debs") }
func (a apt) lists() string { return filepath.Join(a.dir, "lists") }

// prepare makes apt's directories and sources file.
func (a apt) prepare() error {
	for _, d := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return fmt.Errorf("prepare apt directory: %w", err)
		}
	}
	return os.WriteFile(filepath.Join(a.dir, "debian.sources"), []byte(a.sources), 0o644)
}

// flags direct an apt program to the separate directory.
func (a apt) flags() []string {
	return []string{
		"-oAPT::Architecture=" + a.platform.debian, "-oAPT::Architectures=" + a.platform.debian,
		"-oDir::State::Lists=" + a.lists(),
		"-oDir::State::status=/dev/null",
		"-oDir::Cache=" + filepath.Join(a.dir, "cache"),
		"-oDir::Etc::sourcelist=" + filepath.Join(a.dir, "debian.sources"),
		"-oDir::Etc::sourceparts=/dev/null",
		"-oAcquire::Languages=none",
		"-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-oAcquire::Retries=3",
		"-oAPT::Sandbox::User=", // the work directory may be unreadable for apt's own user
	}
}

func (a apt) run(ctx context.Context, program string, args ...string) error {
	_, err := a.output(ctx, program, args...)
	return err
}

// output runs an apt program among the downloads and returns its output.
func (a apt) output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, append(a.flags(), args...)...)
	cmd.Dir = a.debs()
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run %s %s: %w: %s", program, args[0], err, complaints(errs.String()))
	}
	return out.String(), nil
}

// complaints returns the errors that apt's programs printed.
func complaints(text string) string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if e, ok := strings.CutPrefix(line, "E: "); ok {
			out = append(out, e)
		}
	}
	return lastLines(strings.Join(out, "\n"), 3)
}

// lastLines shortens a program's messages for an error of one line.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "; ")
}
