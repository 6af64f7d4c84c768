package facts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/program"
)

// Facts maps a fact's name to a JSON value: string, json.Number, bool, nil, []any or
// map[string]any.
type Facts map[string]any

// put adds a fact with a machine's text, unless it is empty.
func (f Facts) put(name, v string) {
	if v = strings.TrimSpace(strings.ToValidUTF8(v, "?")); v != "" {
		f[name] = v
	}
}

// Options are the options of a collection. [DefaultOptions] fits a booted microkernel.
type Options struct {
	Path         string        // path of the client's programs, as [program.BasePath]
	Root         Root          // "/" or, in tests, the directory of /proc and /sys
	Environ      []string      // the client's own environment
	ExternalDirs []string      // the image's own directories of external facts, below Root
	Timeout      time.Duration // time limit of Facter, and of each program that replaces it
	ToolTimeout  time.Duration // time limit of one hardware tool
	Log          *clientlog.Logger
}

// DefaultOptions are the client's options.
func DefaultOptions(environ []string) Options {
	return Options{
		Path: program.BasePath, Root: "/", Environ: environ, Timeout: time.Minute, ToolTimeout: 30 * time.Second,
		ExternalDirs: []string{"/etc/puppetlabs/facter/facts.d", "/etc/facter/facts.d", "/opt/puppetlabs/facter/facts.d"},
	}
}

// env is the environment of Facter and all its children: a fixed base and three search paths. An extension in
// gen, if any, prepends its directories to these three and can change nothing else. The client's own RUBYOPT,
// LD_PRELOAD or FACTER_x are left out.
func (o *Options) env(gen string) []string {
	env := []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "TERM=linux", "LANG=C.UTF-8"}
	for _, v := range []struct{ name, sub, inherited string }{
		{"PATH", "bin", o.searchPath()},
		{"LD_LIBRARY_PATH", "lib", LookupEnv(o.Environ, "LD_LIBRARY_PATH")},
		{"RUBYLIB", "lib/ruby", LookupEnv(o.Environ, "RUBYLIB")},
	} {
		var dirs []string
		if gen != "" {
			dirs = append(dirs, filepath.Join(gen, v.sub))
		}
		if v.inherited != "" {
			dirs = append(dirs, v.inherited)
		}
		if len(dirs) > 0 {
			env = append(env, v.name+"="+strings.Join(dirs, ":"))
		}
	}
	return env
}

// searchPath is the client's PATH, followed by the rest of the fixed one: init's is short.
func (o *Options) searchPath() string {
	var dirs []string
	for _, d := range filepath.SplitList(LookupEnv(o.Environ, "PATH") + ":" + o.Path) {
		if d != "" && !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	return strings.Join(dirs, ":")
}

// externalDirs lists the existing directories of external facts, the strongest last: the image's own still apply,
// the extension's wins.
func (o *Options) externalDirs(gen string) []string {
	var dirs []string
	for _, d := range o.ExternalDirs {
		if d = o.Root.Path(d); isDir(d) {
			dirs = append(dirs, d)
		}
	}
	if d := filepath.Join(gen, "facts.d"); gen != "" && isDir(d) {
		dirs = append(dirs, d)
	}
	return dirs
}

// LookupEnv finds a variable in a list like os.Environ; the last one counts.
func LookupEnv(environ []string, name string) (value string) {
	for _, kv := range environ {
		if n, v, ok := strings.Cut(kv, "="); ok && n == name {
			value = v
		}
	}
	return value
}

// Root is the directory of a machine's /proc and /sys.
type Root string

// Path returns a path of the system below the root.
func (r Root) Path(name string) string { return filepath.Join(string(r), name) }

// Line reads one short file, trimmed; "" if it cannot be read.
func (r Root) Line(name string) string {
	f, err := os.Open(r.Path(name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 4096)
	n, _ := f.Read(buf)
	return strings.TrimSpace(string(buf[:n]))
}

// names lists a directory without dot files, sorted.
func (r Root) names(dir string) []string { return dirNames(r.Path(dir)) }

// link is the last component of a link's target, "" without one.
func (r Root) link(name string) string {
	target, err := os.Readlink(r.Path(name))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

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

func isDir(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.IsDir()
}
