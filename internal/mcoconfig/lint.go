package mcoconfig

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/overlay"
)

// maxPool bounds the number of checked brokers of a pool.
const maxPool = 64

// Finding is a possible problem in a server.cfg. It shows no value that may be secret.
type Finding struct {
	// Key is the key of the finding.
	Key string
	// Text is the problem and its remedy, without the key.
	Text string
	// Sample marks the use of a published secret.
	Sample bool
}

// String returns "key: text".
func (f Finding) String() string { return f.Key + ": " + f.Text }

// Lint checks the server.cfg of an image against the MCollective in the same image: the known keys and their types
// in its config.rb, the plugins in its folders, and their requirements. has reports whether Ruby finds a library
// there; nil skips libraries.
//
// A finding is anything that breaks the daemon or cannot be checked. Findings have a fixed order. An image without
// MCollective or server.cfg has none.
func Lint(image *overlay.Tree, has func(feature string) bool) []Finding {
	home, err := image.Resolve(linkPath)
	if e := image.Get(home); err != nil || e == nil || !e.IsDir() {
		return nil
	}
	l := &linter{
		image: image, home: home, has: has, values: map[string]string{},
		version: "MCollective " + strings.TrimPrefix(path.Base(home), "mcollective-"), visited: map[string]bool{},
	}
	cfg := source(image, ServerCfg)
	if cfg == "" {
		return nil
	}
	l.boolean = readTruth(methodBody(source(image, home+"/lib/mcollective/util.rb"), "str_to_bool"))
	l.config = readConfigRB(source(image, home+"/lib/mcollective/config.rb"), l.boolean)
	keys := l.readCfg(cfg)
	l.secrets()
	l.libdir()
	if l.config == nil {
		l.add("server.cfg", "mkbuild cannot check its keys and plugins, because it finds no list of keys in %s of %s; compare them with the documentation of that version",
			"lib/mcollective/config.rb", l.version)
		return l.found
	}
	for _, key := range keys {
		l.key(key)
	}
	l.plugins()
	l.pluginKeys(keys)
	return l.found
}

// linter checks one server.cfg.
type linter struct {
	image   *overlay.Tree
	home    string // of MCollective: "usr/local/tce.installed/mcollective-1.2.1"
	version string // "MCollective 1.2.1"
	has     func(string) bool
	config  *configRB
	boolean *truth            // of str_to_bool
	values  map[string]string // of server.cfg and of the files in plugin.d
	dirs    []string          // search path of plugins and libraries
	visited map[string]bool   // files and libraries already checked
	found   []Finding
}

func (l *linter) add(key, format string, args ...any) {
	l.found = append(l.found, Finding{Key: key, Text: fmt.Sprintf(format, args...)})
}

// settingLine is MCollective's syntax of a setting; lines that begin with "#" are comments.
var settingLine = regexp.MustCompile(`^(.+?)\s*=\s*(.+)$`)

// readCfg reads server.cfg, and returns its keys in order. Files in plugin.d add the settings of the plugin in
// their name.
func (l *linter) readCfg(cfg string) []string {
	var keys []string
	take := func(text, prefix string) {
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, " \t\r\n\f\v")
			if m := settingLine.FindStringSubmatch(line); m != nil && line[0] != '#' {
				if l.config == nil || l.config.strips || prefix != "" {
					m[1] = strings.TrimSpace(m[1])
				}
				l.values[prefix+m[1]] = m[2]
				if prefix == "" && !slices.Contains(keys, m[1]) {
					keys = append(keys, m[1])
				}
			}
		}
	}
	take(cfg, "")
	for _, e := range l.image.Children(configDir + "/plugin.d") {
		if name, ok := strings.CutSuffix(path.Base(e.Path), ".cfg"); ok {
			take(source(l.image, e.Path), "plugin."+name+".")
		}
	}
	slices.Sort(keys)
	return keys
}

func (l *linter) secrets() {
	if l.values["plugin.psk"] == samplePSK {
		l.found = append(l.found, Finding{Key: "plugin.psk", Text: "is the published sample key: anyone can command these machines; set it from {env: NAME} or {file: PATH}", Sample: true})
	}
	for _, key := range slices.Sorted(maps.Keys(l.values)) {
		if strings.HasSuffix(key, ".password") && l.values[key] == samplePassword {
			l.found = append(l.found, Finding{Key: key, Text: "is the published sample password; set it from {env: NAME} or {file: PATH}", Sample: true})
		}
	}
}

// libdir checks each directory of libdir, a list separated by ":".
func (l *linter) libdir() {
	value := l.values["libdir"]
	if value == "" {
		l.add("libdir", "is missing: mcollectived finds no plugins; set it to /usr/local/mcollective/plugins")
	}
	for _, dir := range strings.Split(value, ":") {
		e, err := l.image.Lookup(dir)
		switch {
		case dir == "":
		case !strings.HasPrefix(dir, "/"):
			l.add("libdir", "has %q, which is not absolute; write an absolute path", dir)
		case err != nil || !e.IsDir():
			l.add("libdir", "has %s, which the image does not have; set it to /usr/local/mcollective/plugins, or add the directory by `overlay`", dir)
		default:
			l.dirs = append(l.dirs, e.Path)
		}
	}
	l.dirs = append(l.dirs, l.home+"/lib")
}

// key checks one key against config.rb.
func (l *linter) key(key string) {
	rule, value := l.config.takes(key), l.values[key]
	switch {
	case rule == nil && l.config.closed:
		l.add(key, "is unknown to %s, which then exits; correct its name under mcollective.server, or remove it", l.version)
	case rule == nil:
		l.add(key, "is unknown to %s; correct its name under mcollective.server, or remove it", l.version)
	case rule.ignored:
		l.add(key, "is ignored by %s; remove it from mcollective.server", l.version)
	case rule.truth != nil:
		l.boolValue(key, rule.truth)
	case key == "identity" && l.config.identity != nil && !l.config.identity.MatchString(value):
		l.add(key, "is invalid for %s, which then exits; use only letters, digits, dots and hyphens", l.version)
	case key == "loglevel" && !slices.Contains(logLevels, value):
		l.add(key, "is not one of %s: everything is logged; choose one of them", strings.Join(logLevels, ", "))
	case rule.number != noNumber && !numberForms[rule.number].MatchString(value):
		if rule.number == looseNumber {
			l.add(key, "is not a whole number: %s reads its first digits, or 0; use only digits", l.version)
		} else {
			l.add(key, "is not a number: %s exits; use only digits", l.version)
		}
	}
}

// logLevels are the log levels of every release.
var logLevels = []string{"fatal", "error", "warn", "info", "debug"}

// numberForms are the texts that Ruby's to_i reads completely, and the texts that Integer and Float accept.
var numberForms = map[numberRule]*regexp.Regexp{
	looseNumber: regexp.MustCompile(`^[+-]?[0-9]+$`),
	strictInt:   regexp.MustCompile(`^[+-]?(0|[1-9](_?[0-9])*|0_?[0-7](_?[0-7])*|0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+)$`),
	strictFloat: regexp.MustCompile(`^[+-]?[0-9](_?[0-9])*(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9]+)?$`),
}

// intents are the intended meanings of values of booleans.
var intents = map[string]bool{
	"1": true, "y": true, "yes": true, "t": true, "true": true, "on": true,
	"0": false, "n": false, "no": false, "f": false, "false": false, "off": false,
}

// boolValue checks whether MCollective reads the value of a boolean as intended.
func (l *linter) boolValue(key string, t *truth) {
	value := l.values[key]
	meant, clear := intents[strings.ToLower(value)]
	got := t.yes.MatchString(value)
	switch {
	case !got && t.no != nil && !t.no.MatchString(value) && t.raises:
		l.add(key, "is neither true nor false for %s, which then exits; write 1 or 0", l.version)
	case !got && t.no != nil && !t.no.MatchString(value):
		l.add(key, "is neither true nor false for %s, which then uses its default; write 1 or 0", l.version)
	case !clear || meant != got:
		l.add(key, "is read as %t by %s; write 1 or 0", got, l.version)
	}
}

// on reports whether a boolean key is set and read as true.
func (l *linter) on(key string) bool {
	rule := l.config.takes(key)
	return rule != nil && rule.truth != nil && rule.truth.yes.MatchString(l.values[key])
}

// setting returns a value in lower case, or the default of config.rb.
func (l *linter) setting(key string) string {
	return strings.ToLower(cmp.Or(l.values[key], l.config.defaults[key]))
}
