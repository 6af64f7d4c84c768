package rubygems

import (
	"path"
	"regexp"
	"strings"
)

// Limits on what expanding an rbconfig.rb may cost.
const (
	maxRbconfig    = 1 << 20 // bytes of the file; real ones are 10 to 20 KiB
	maxExpandDepth = 32      // nested $(name)
	maxExpansions  = 1000    // $(name) in one value, all levels together
	maxExpanded    = 4096    // bytes of one value: PATH_MAX
)

var (
	topdirForm  = regexp.MustCompile(`(?m)^\s*TOPDIR\s*=\s*File\.dirname\(__FILE__\)\.chomp!\("([^"\n]*)"\)`)
	configForm  = regexp.MustCompile(`(?m)^\s*CONFIG\["(\w+)"\]\s*=\s*(.*?)\s*$`)
	prefixForm  = regexp.MustCompile(`^\(\s*TOPDIR\s*\|\|\s*DESTDIR\s*\+\s*"([^"]*)"\s*\)$`)
	releaseForm = regexp.MustCompile(`ruby lib version \(([0-9.]+)\)`)
	nameForm    = regexp.MustCompile(`\$\$|\$\((\w+)\)|\$\{(\w+)\}`)
	escapeForm  = regexp.MustCompile(`\\(.)`)
)

// rbconfig is the CONFIG hash of an rbconfig.rb, its values as written.
type rbconfig struct {
	values  map[string]string
	release string // RUBY_VERSION that the file is for: "1.8.7"
}

// parseRbconfig reads the assignments of an rbconfig.rb that lies in directory dir, an absolute
// path inside the image. mkconfig.rb of Ruby writes one assignment a line, in 1.8 as today:
//
//	TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/1.8/i686-linux")
//	CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr/local")
//	CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"
//
// TOPDIR is where the file lies without that suffix: how a Ruby finds its prefix when it has been
// moved. Values that are computed in any other way are left out. DESTDIR is empty on a running system.
func parseRbconfig(text, dir string) rbconfig {
	c := rbconfig{values: map[string]string{"DESTDIR": ""}}
	if m := releaseForm.FindStringSubmatch(text); m != nil {
		c.release = m[1]
	}
	topdir := ""
	if m := topdirForm.FindStringSubmatch(text); m != nil && m[1] != "" {
		topdir, _ = strings.CutSuffix(dir, m[1])
		if topdir == dir {
			topdir = ""
		}
	}
	for _, m := range configForm.FindAllStringSubmatch(text, -1) {
		key, value := m[1], m[2]
		if p := prefixForm.FindStringSubmatch(value); p != nil {
			c.values[key] = p[1]
			if topdir != "" {
				c.values[key] = topdir
			}
		} else if literal, ok := rubyLiteral(value); ok {
			c.values[key] = literal
		}
	}
	return c
}

// rubyLiteral reads a quoted Ruby string without interpolation.
func rubyLiteral(s string) (string, bool) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return "", false
	}
	body := s[1 : len(s)-1]
	if s[0] == '"' && strings.Contains(strings.ReplaceAll(body, `\#`, ""), "#{") {
		return "", false
	}
	return escapeForm.ReplaceAllString(body, "$1"), true
}

// get returns a value with $(name) and ${name} expanded; names that are not known stay as they
// are, as in RbConfig.expand.
func (c rbconfig) get(key string) string {
	left := maxExpansions
	return c.expand(c.values[key], 0, &left)
}

// expand works level by level; left keeps values that name each other from growing without end.
func (c rbconfig) expand(s string, depth int, left *int) string {
	if depth > maxExpandDepth || len(s) > maxExpanded {
		return s
	}
	out := nameForm.ReplaceAllStringFunc(s, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		value, ok := c.values[ref[2:len(ref)-1]]
		if *left--; !ok || *left < 0 {
			return ref
		}
		return c.expand(value, depth+1, left)
	})
	return out[:min(len(out), maxExpanded)]
}

// dir returns an absolute directory, or "" when the value is none.
func (c rbconfig) dir(key string) string {
	p := c.get(key)
	if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "\x00\n$") {
		return ""
	}
	return path.Clean(p)
}
