package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/program"
)

// facter describes the installed Facter.
type facter struct {
	path         string
	stamp        time.Time // of the program, to notice a replaced one
	text         string    // full version, for the sources
	major, minor int       // the switches depend on it
	yaml         bool      // no JSON: Facter before 1.5.9, or without a JSON library
}

// before reports whether it is older than major.minor.
func (f *facter) before(major, minor int) bool {
	return f.major < major || f.major == major && f.minor < minor
}

var (
	errNoFacter   = errors.New("no usable facter")
	errNoFacts    = errors.New("no facts in its output")
	versionNumber = regexp.MustCompile(`(?m)^\s*v?(\d{1,4})\.(\d{1,4})(\.[0-9A-Za-z.]+)?\s*$`)
)

// runFacter collects Facter's facts with the extension in gen, or without one if gen is "".
func (c *Collector) runFacter(ctx context.Context, gen string) (Facts, error) {
	if err := c.findFacter(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoFacter, err)
	}
	facts, err := c.askFacter(ctx, gen, c.facter.yaml)
	if errors.Is(err, errNoFacts) && !c.facter.yaml && c.facter.before(3, 0) {
		// json_pure ends Facter 1 and 2 at one byte that is not UTF-8; YAML accepts any.
		if other, yerr := c.askFacter(ctx, gen, true); yerr == nil {
			facts, err = other, nil
		}
	}
	switch {
	case err != nil:
		return nil, err
	case c.facter.before(1, 7):
		c.addExternal(ctx, facts, gen, "")
	case c.facter.yaml: // without a JSON library Facter ignores external facts in JSON
		c.addExternal(ctx, facts, gen, ".json")
	}
	return facts, nil
}

// askFacter runs Facter once, for JSON or for YAML.
func (c *Collector) askFacter(ctx context.Context, gen string, asYAML bool) (Facts, error) {
	args, err := c.facter.args(gen, c.opt.externalDirs(gen))
	if err != nil {
		return nil, err
	}
	parse := parseFacts
	if asYAML {
		args[0], parse = "--yaml", parseYAMLFacts
	}
	res, err := c.run(ctx, gen, c.facter.path, args...)
	if err != nil {
		return nil, err
	}
	facts, err := parse(res.Stdout)
	if err != nil { // the exit status proves nothing: Facter 4 exits 1 with good facts
		return nil, fmt.Errorf("facter: exit status %d: %w%s", res.Code, err, res.Hint())
	}
	if gen != "" {
		c.opt.Log.Changed("facter says", clientlog.Warn, "%s", complaints(res.Stderr, gen))
	}
	return facts, nil
}

// maxComplaints bounds the lines of Facter's stderr that are logged.
const maxComplaints = 5

// decoration matches the colors and the time of Facter's log lines.
var decoration = regexp.MustCompile("\x1b\\[[0-9;]*m|(?m)^\\[[0-9][^]\\n]*\\] ")

// complaints returns the lines, as one text, in which Facter names files of the extension in gen: it drops their
// facts and succeeds.
func complaints(stderr []byte, gen string) string {
	var found []string
	for line := range strings.Lines(decoration.ReplaceAllString(string(stderr), "")) {
		if line = strings.TrimSpace(line); strings.Contains(line, gen+"/") && len(found) < maxComplaints {
			line = strings.ReplaceAll(line, gen+"/", "")
			found = append(found, line[:min(len(line), 300)])
		}
	}
	if found == nil {
		return ""
	}
	return "facter says: " + strings.Join(found, "; ")
}

// run runs a program under the facts' time limit, in the extension's directory and environment, and records the
// processes that it leaves behind.
func (c *Collector) run(ctx context.Context, gen, path string, args ...string) (program.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	dir := gen
	if dir == "" {
		dir = "/"
	}
	res, err := program.Run(ctx, program.Command{Path: path, Args: args, Env: c.opt.env(gen), Dir: dir})
	if res.Left != 0 {
		c.left = append(c.left, res.Left)
	}
	return res, err
}

// findFacter finds Facter and its version; it asks again only if the program changes.
func (c *Collector) findFacter(ctx context.Context) error {
	p, err := program.Find("facter", c.opt.Path)
	if err != nil {
		return err
	}
	fi, err := os.Stat(p)
	if err != nil {
		return err
	}
	if c.facter.path == p && c.facter.stamp.Equal(fi.ModTime()) {
		return nil
	}
	res, err := c.run(ctx, "", p, "--version")
	if err != nil {
		return err
	}
	m := versionNumber.FindAllStringSubmatch(string(res.Stdout), -1)
	if m == nil {
		return fmt.Errorf("%s --version: exit status %d, no version in %.200q", p, res.Code, res.Stdout)
	}
	last := m[len(m)-1] // noise comes first
	f := facter{path: p, stamp: fi.ModTime(), text: strings.TrimSpace(last[0])}
	f.major, _ = strconv.Atoi(last[1])
	f.minor, _ = strconv.Atoi(last[2])
	if f.before(2, 0) { // 1.x leaves --json out if Ruby has no JSON library
		res, err := c.run(ctx, "", p, "--json", "facterversion")
		if err == nil {
			_, err = parseFacts(res.Stdout)
		}
		f.yaml = err != nil
	}
	c.facter = f
	return nil
}

// args returns the switches of this version of Facter: 3 and later print Razor's identifying facts only on
// request and take several directories; 1.7 and 2 take one; earlier ones have no external facts. Without an
// extension's facts.d the defaults apply.
func (f *facter) args(gen string, dirs []string) ([]string, error) {
	args := []string{"--json"}
	extended := gen != "" && slices.Contains(dirs, filepath.Join(gen, "facts.d"))
	switch {
	case !f.before(3, 0):
		args = append(args, "--show-legacy")
		if extended {
			for _, d := range slices.Backward(dirs) { // the first of two with the same name wins
				args = append(args, "--external-dir", d)
			}
		}
	case !f.before(1, 7) && extended:
		one, err := oneDirectory(gen, dirs)
		if err != nil {
			return nil, err
		}
		args = append(args, "--external-dir", one)
	}
	return args, nil
}

// oneDirectory returns the single directory for Facter 1.7 and 2. If the image has external facts, too, it is a
// directory of links inside the generation, so that a script finds its neighbours through $0. The first of two
// files wins: the image's get names that sort last.
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
	for _, name := range slices.Sorted(maps.Keys(links)) {
		if err := os.Symlink(links[name], filepath.Join(tmp, name)); err != nil {
			return "", errors.Join(err, os.RemoveAll(tmp))
		}
	}
	return merged, os.Rename(tmp, merged)
}

// maxStarts bounds the number of starts that parseFacts tries.
const maxStarts = 64

// parseFacts finds the facts in Facter's output. Facts may print noise, even JSON, before or after the object, so
// it tries every line that starts with "{", and then every "{".
func parseFacts(out []byte) (Facts, error) {
	best := tryStarts(out, lineStarts(out))
	if !named(best) {
		if other := tryStarts(out, braceStarts(out)); best == nil || named(other) {
			best = other
		}
	}
	if len(best) == 0 {
		return nil, fmt.Errorf("%w: it is not a JSON object", errNoFacts)
	}
	return best, nil
}

// named reports whether facts include Facter's version, as every version prints it.
func named(facts Facts) bool { return facts["facterversion"] != nil }

// tryStarts picks Facter's object among those that begin at these offsets. Facter prints it after all facts have
// run, so it is the last named one, or else the last one that is not empty. Objects inside another object are
// skipped.
func tryStarts(out []byte, starts []int) (best Facts) {
	end := 0
	for _, at := range starts {
		if at < end {
			continue
		}
		facts, n, err := decodeObject(out[at:])
		if err != nil || len(facts) == 0 {
			continue
		}
		end = at + n
		if named(facts) || !named(best) {
			best = facts
		}
	}
	return best
}

// lineStarts lists the offsets of lines that begin with "{", the last maxStarts of them.
func lineStarts(out []byte) (starts []int) {
	at := 0
	for line := range bytes.Lines(out) {
		if line[0] == '{' {
			starts = append(starts, at)
		}
		at += len(line)
	}
	return starts[max(0, len(starts)-maxStarts):]
}

// braceStarts lists the offsets of the first maxStarts "{" anywhere.
func braceStarts(out []byte) (starts []int) {
	for at := 0; len(starts) < maxStarts; at++ {
		next := bytes.IndexByte(out[at:], '{')
		if next < 0 {
			break
		}
		at += next
		starts = append(starts, at)
	}
	return starts
}

// parseYAMLFacts reads the output of Facters without JSON; noise precedes the "---".
func parseYAMLFacts(out []byte) (Facts, error) {
	if at := bytes.LastIndex(out, []byte("\n---")); at >= 0 {
		out = out[at+1:]
	}
	facts, err := parseSyck(out)
	if err == nil && len(facts) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoFacts, err)
	}
	return facts, nil
}
