package mkclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// facterVersion is major and minor: all that the switches depend on.
type facterVersion struct{ Major, Minor int }

// before reports whether v is older than major.minor.
func (v facterVersion) before(major, minor int) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// facterProgram is what is known of the installed Facter.
type facterProgram struct {
	path    string
	stamp   time.Time // of the program, so that a replaced one is asked again
	text    string    // full version, for the sources
	version facterVersion
	yaml    bool // no JSON: Facter before 1.5.9, or without a JSON library
	broken  bool // the last cycle got nothing out of it, even without an extension
	left    stragglers
}

var (
	errNoFacter   = errors.New("no usable facter")
	errNoFacts    = errors.New("no facts in its output")
	versionNumber = regexp.MustCompile(`(?m)^\s*v?(\d{1,4})\.(\d{1,4})(\.[0-9A-Za-z.]+)?\s*$`)
)

// findFacter learns which Facter there is; it asks again only when the program changes.
func (c *Client) findFacter(ctx context.Context) (*facterProgram, error) {
	p, err := c.lookPath("facter")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoFacter, err)
	}
	fi, err := os.Stat(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoFacter, err)
	}
	if c.facter.path == p && c.facter.stamp.Equal(fi.ModTime()) {
		return &c.facter, nil
	}
	f := facterProgram{path: p, stamp: fi.ModTime()}
	res, err := c.runBounded(ctx, command{Path: p, Args: []string{"--version"}, Env: c.factEnv(""), Dir: "/"})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoFacter, err)
	}
	m := versionNumber.FindAllStringSubmatch(string(res.Stdout), -1)
	if m == nil {
		return nil, fmt.Errorf("%w: %s --version: exit status %d, no version in %q", errNoFacter, p, res.Code, firstLine(res.Stdout))
	}
	last := m[len(m)-1] // noise comes first
	f.text = strings.TrimSpace(last[0])
	f.version.Major, _ = strconv.Atoi(last[1])
	f.version.Minor, _ = strconv.Atoi(last[2])
	f.yaml = f.version.before(2, 0) && !c.speaksJSON(ctx, p)
	f.left = c.facter.left
	c.facter = f
	return &c.facter, nil
}

// speaksJSON tries --json: Facter 1.x leaves it out where Ruby has no JSON library.
func (c *Client) speaksJSON(ctx context.Context, program string) bool {
	res, err := c.runBounded(ctx, command{Path: program, Args: []string{"--json", "facterversion"}, Env: c.factEnv(""), Dir: "/"})
	if err != nil {
		return false
	}
	_, err = parseFacts(res.Stdout)
	return err == nil
}

// runBounded runs a command under the facts' wall limit and notes what it leaves behind.
func (c *Client) runBounded(ctx context.Context, cmd command) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.set.FactTimeout)
	defer cancel()
	res, err := runGroup(ctx, cmd)
	c.facter.left.note(res)
	return res, err
}

// runFacter collects Facter's facts with the extension in gen, or without any for "".
func (c *Client) runFacter(ctx context.Context, gen string) (Facts, error) {
	f, err := c.findFacter(ctx)
	if err != nil {
		return nil, err
	}
	dirs := c.externalDirs(gen)
	args, err := f.args(gen, dirs)
	if err != nil {
		return nil, err
	}
	dir := gen
	if dir == "" {
		dir = "/"
	}
	res, err := c.runBounded(ctx, command{Path: f.path, Args: args, Env: c.factEnv(gen), Dir: dir})
	if err != nil {
		return nil, err
	}
	parse := parseFacts
	if f.yaml {
		parse = parseYAMLFacts
	}
	facts, err := parse(res.Stdout)
	if err != nil { // the exit status alone proves nothing: Facter 4 exits 1 with good facts
		return nil, fmt.Errorf("facter: exit status %d: %w%s", res.Code, err, hint(res.Stderr))
	}
	if f.version.before(1, 7) {
		c.addExternal(ctx, facts, gen, dirs)
	}
	return facts, nil
}

// hint quotes the first line of what a program complained about.
func hint(stderr []byte) string {
	if line := firstLine(stderr); line != "" {
		return ": " + line
	}
	return ""
}

// args picks the switches that this version of Facter has: 3 and later print the facts that
// Razor identifies machines by only on request and take several directories; 1.7 and 2 take
// one; before that there are no external facts. Without an extension's facts.d the defaults
// stay in force.
func (f *facterProgram) args(gen string, dirs []string) ([]string, error) {
	args := []string{"--json"}
	if f.yaml {
		args[0] = "--yaml"
	}
	own := filepath.Join(gen, "facts.d")
	extended := gen != "" && len(dirs) > 0 && dirs[len(dirs)-1] == own
	switch {
	case !f.version.before(3, 0):
		args = append(args, "--show-legacy")
		if extended {
			for _, d := range slices.Backward(dirs) { // of two with one name the first wins
				args = append(args, "--external-dir", d)
			}
		}
	case !f.version.before(1, 7) && extended:
		one, err := oneDirectory(gen, dirs)
		if err != nil {
			return nil, err
		}
		args = append(args, "--external-dir", one)
	}
	return args, nil
}

// externalDirs lists the directories of external facts that exist, the strongest last: the
// image's own stay in force, the extension's wins.
func (c *Client) externalDirs(gen string) []string {
	var dirs []string
	for _, d := range c.opt.ExternalDirs {
		if isDir(c.path(d)) {
			dirs = append(dirs, c.path(d))
		}
	}
	if d := filepath.Join(gen, "facts.d"); gen != "" && isDir(d) {
		dirs = append(dirs, d)
	}
	return dirs
}

func isDir(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.IsDir()
}

// oneDirectory gives Facter 1.7 and 2 the single directory that they take. Only when the image
// has external facts of its own is it made of links, inside the generation, so that a script
// still finds its neighbours through $0. Those Facters let the first of two files win in
// sorted order: the image's get names that sort last.
func oneDirectory(gen string, dirs []string) (string, error) {
	own := dirs[len(dirs)-1]
	merged := filepath.Join(gen, ".facts.d")
	if isDir(merged) {
		return merged, nil
	}
	links := map[string]string{}
	for _, d := range dirs[:len(dirs)-1] {
		for _, name := range dirNames(d) {
			links["~"+name] = filepath.Join(d, name)
		}
	}
	if len(links) == 0 {
		return own, nil
	}
	for _, name := range dirNames(own) {
		links[name] = filepath.Join(own, name)
	}
	tmp, err := os.MkdirTemp(gen, ".facts.d-*")
	if err != nil {
		return "", err
	}
	for _, name := range sortedKeys(links) {
		if err := os.Symlink(links[name], filepath.Join(tmp, name)); err != nil {
			return "", errors.Join(err, os.RemoveAll(tmp))
		}
	}
	return merged, os.Rename(tmp, merged)
}

// dirNames lists a directory without dot files, sorted.
func dirNames(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}
