package mcoconfig

import (
	"regexp"
	"strings"

	"mkbuild/internal/overlay"
)

// This file reads MCollective's own Ruby files, if they have the form of its releases 1.0 to 2.12. [Lint] reports
// what it cannot read.

// maxSource bounds the size of a file; MCollective's largest has 30 KiB.
const maxSource = 1 << 20

// source returns the text of a file in a tree, or "".
func source(t *overlay.Tree, name string) string {
	e, err := t.Lookup(name)
	if err != nil || !e.IsRegular() {
		return ""
	}
	b, err := e.Content(maxSource)
	if err != nil {
		return ""
	}
	return string(b)
}

// configRB holds the rules of MCollective's lib/mcollective/config.rb for the lines of a server.cfg.
type configRB struct {
	keys     map[string]*keyRule
	forms    []*regexp.Regexp  // keys accepted by their form: plugin.*
	closed   bool              // any other key ends the daemon
	identity *regexp.Regexp    // the required form of an identity; nil is any
	strips   bool              // blanks before a key are dropped
	defaults map[string]string // default values: "connector" is "Stomp"; "" is a default that is not text
}

// keyRule is the rule for reading the value of a key.
type keyRule struct {
	truth   *truth // of a boolean
	number  numberRule
	ignored bool // read and dropped, with a warning in the daemon's log
}

type numberRule int

const (
	noNumber    numberRule = iota
	looseNumber            // digits at the start count, otherwise it is 0
	strictInt              // anything else ends the daemon
	strictFloat
)

var (
	whenForm    = regexp.MustCompile(`^([ \t]*)when[ \t]+(\S.*)$`)
	literalForm = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|/((?:[^/\\]|\\.)+)/([a-z]*)`)
	defaultForm = regexp.MustCompile(`^[ \t]*@(\w+)[ \t]*=[ \t]*(?:"([^"]*)"|'([^']*)'|(\S.*))$`)
	defForm     = regexp.MustCompile(`^([ \t]*)def[ \t]+(?:self\.)?([\w?!]+)`)
)

// readConfigRB reads config.rb; boolean is str_to_bool's reading of a value, or nil. It returns nil for a text
// without a list of keys.
func readConfigRB(text string, boolean *truth) *configRB {
	c := &configRB{keys: map[string]*keyRule{}, defaults: map[string]string{}, strips: strings.Contains(text, "key = $1.strip")}
	rule, indent, other := (*keyRule)(nil), "", false
	for _, line := range methodBody(text, "loadconfig") {
		switch m := whenForm.FindStringSubmatch(line); {
		case m != nil && (indent == "" || m[1] == indent):
			rule, indent = &keyRule{}, m[1]
			c.take(m[2], rule)
		case rule != nil && line == indent+"else":
			rule, other = nil, true
		case rule != nil:
			rule.learn(line, boolean)
		case other && strings.TrimSpace(line) != "":
			c.closed, other = strings.Contains(line, "raise"), false
		}
	}
	if len(c.keys) == 0 {
		return nil
	}
	if _, check, ok := strings.Cut(text, "unless @identity.match("); ok {
		if m := literalForm.FindStringSubmatch(check); m != nil {
			c.identity = rubyRegexp(m[3], m[4])
		}
	}
	for _, line := range methodBody(text, "set_config_defaults") {
		if m := defaultForm.FindStringSubmatch(line); m != nil && m[4] != "nil" {
			c.defaults[m[1]] = m[2] + m[3]
		}
	}
	return c
}

// take adds the literals of a when line: texts, and regular expressions.
func (c *configRB) take(list string, rule *keyRule) {
	for _, m := range literalForm.FindAllStringSubmatch(list, -1) {
		if m[3] == "" {
			c.keys[m[1]+m[2]] = rule
		} else if re := rubyRegexp(m[3], m[4]); re != nil {
			c.forms = append(c.forms, re)
		}
	}
}

// learn records the rule in a line below a when line.
func (r *keyRule) learn(line string, boolean *truth) {
	switch m := literalForm.FindStringSubmatch(line); {
	case strings.Contains(line, "deprecated"):
		r.ignored = true
	case strings.Contains(line, "str_to_bool("):
		r.truth = boolean
	case m != nil && m[3] != "" && strings.Contains(line, "=~") && strings.Contains(line, "= true"):
		r.truth = &truth{yes: rubyRegexp(m[3], m[4])}
	case strings.Contains(line, "Integer("):
		r.number = strictInt
	case strings.Contains(line, "Float("):
		r.number = strictFloat
	case strings.Contains(line, ".to_i"):
		r.number = looseNumber
	}
}

// takes returns the rule of a key, or nil if config.rb does not know the key.
func (c *configRB) takes(key string) *keyRule {
	if r := c.keys[key]; r != nil {
		return r
	}
	for _, re := range c.forms {
		if re.MatchString(key) {
			return &keyRule{}
		}
	}
	return nil
}

// truth is a Ruby method's reading of a boolean.
type truth struct {
	yes, no *regexp.Regexp // no is nil if everything else is false
	raises  bool           // another value ends the daemon; otherwise the default counts
}

// readTruth reads a method that matches its argument against a regular expression for true and another for false.
// It returns nil if it does not find two.
func readTruth(body []string) *truth {
	t := &truth{}
	var last *regexp.Regexp
	for _, line := range body {
		if m := literalForm.FindStringSubmatch(line); m != nil && m[3] != "" {
			last = rubyRegexp(m[3], m[4])
		}
		switch strings.Join(strings.Fields(line), " ") {
		case "return true":
			t.yes = last
		case "return false":
			t.no = last
		}
		t.raises = t.raises || strings.Contains(line, "raise")
	}
	if t.yes == nil || t.no == nil {
		return nil
	}
	return t
}

// rubyRegexp compiles a Ruby regular expression, or returns nil if Go does not support it.
func rubyRegexp(body, options string) *regexp.Regexp {
	flags := "m" // ^ and $ match at lines
	switch options {
	case "":
	case "i":
		flags += "i"
	default:
		return nil
	}
	re, err := regexp.Compile("(?" + flags + ")" + body)
	if err != nil {
		return nil
	}
	return re
}

// methodBody returns the lines of a method, up to the end with the indent of its def.
func methodBody(text, name string) []string {
	var body []string
	indent, inside := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if !inside && strings.Contains(line, name) {
			if m := defForm.FindStringSubmatch(line); m != nil && m[2] == name {
				indent, inside = m[1], true
				continue
			}
		}
		if inside && line == indent+"end" {
			return body
		}
		if inside && !strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			body = append(body, line)
		}
	}
	return body
}

// option is a plugin.* setting that a file of MCollective reads, without "plugin.".
type option struct {
	name     string // "stomp.pool.host#{poolnum}"
	needed   bool   // the call fails without it
	boolean  bool
	prompted bool // a login whose default is typed by the user: empty in a daemon
}

var (
	optionForm  = regexp.MustCompile(`get_(env_or_|bool_)?option\(\s*(?:["'][A-Z_]+["']\s*,\s*)?["']([^"']+)["']\s*([,)])\s*(\w*)`)
	settingForm = regexp.MustCompile(`pluginconf(?:\[\s*|\.\w+\??[ (]\s*)["']([^"']+)["']\s*(\]\s*=[^=~])?`)
	insertForm  = regexp.MustCompile(`#\{[^}]*\}`)
	raiseForm   = regexp.MustCompile(`raise.*\bunless\b.*pluginconf\.include\?[ (]\s*["']([^"']+)["']`)
	requireForm = regexp.MustCompile(`^require[ (]\s*["']([^"'#]+)["']`)
)

// readOptions lists the settings that a Ruby file reads.
func readOptions(text string) []option {
	var out []option
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") || !strings.Contains(line, "pluginconf") && !strings.Contains(line, "option(") {
			continue
		}
		for _, m := range optionForm.FindAllStringSubmatch(line, -1) {
			out = append(out, option{
				name: m[2], needed: m[1] != "bool_" && m[3] == ")", boolean: m[1] == "bool_",
				prompted: strings.HasPrefix(m[4], "middleware_"),
			})
		}
		for _, m := range settingForm.FindAllStringSubmatch(line, -1) {
			if m[2] == "" {
				out = append(out, option{name: m[1]})
			}
		}
		if m := raiseForm.FindStringSubmatch(line); m != nil {
			out = append(out, option{name: m[1], needed: true})
		}
	}
	return out
}

// matches reports whether the option matches a name: a text without a dot can replace Ruby's interpolation.
func (o *option) matches(name string) bool {
	before, _, inserts := strings.Cut(o.name, "#{")
	if !inserts || !strings.HasPrefix(name, before) {
		return o.name == name
	}
	pieces := insertForm.Split(o.name, -1)
	for i := range pieces {
		pieces[i] = regexp.QuoteMeta(pieces[i])
	}
	return regexp.MustCompile(`^` + strings.Join(pieces, `[^.]+`) + `$`).MatchString(name)
}

// at returns the option's name for one broker of a pool.
func (o *option) at(broker string) string { return insertForm.ReplaceAllLiteralString(o.name, broker) }

// pooled reports whether each broker has this option.
func (o *option) pooled() bool { return insertForm.MatchString(o.name) }

// readRequires lists the libraries that a Ruby file loads first: its require lines without indent.
func readRequires(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "require") {
			continue
		}
		if m := requireForm.FindStringSubmatch(line); m != nil {
			out = append(out, strings.TrimSuffix(m[1], ".rb"))
		}
	}
	return out
}
