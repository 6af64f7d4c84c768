package settings

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Settings are the client's settings. Use [Load]: the zero value is not usable. A new setting needs a row in
// [Table], from which `go test ./internal/mkclient -run TestRuntimeDoc -update` writes docs/runtime.md.
type Settings struct {
	Server, Register, Extend string
	ExtendOff                bool
	ExtendSHA256             string
	AnyChange                bool
	CA, Commands             string
	FactTimeout              time.Duration
	Interval, Skew           time.Duration
	AllowSampleSecrets       bool
	Debug                    bool
	Facts                    map[string]string

	// From names the source of each active setting.
	From map[string]Source
	raw  map[string]string
}

// Source is a source of a setting.
type Source string

// The sources, strongest first.
const (
	FromEnvironment Source = "environment"
	FromCommandLine Source = "kernel command line"
	FromFile        Source = "configuration file"
	FromDefault     Source = "default"
)

// Setting is one row of the table for the parser, --help, docs/runtime.md and the tests.
type Setting struct {
	Key     string // without the "razor." prefix, lower-case
	Value   string // placeholder: "URL", "SECONDS"
	Default string // as text; empty if derived or unset
	Derived string // describes an empty default
	Help    string // one sentence
	Family  bool   // the key is a prefix: "fact." stands for razor.fact.NAME=VALUE
	apply   func(s *Settings, name, value string) error
}

// Table returns every setting, in reading order.
func Table() []Setting {
	return []Setting{{
		Key: "server", Value: "HOST[:PORT]", Default: "razor",
		Help:  "Razor server. The defaults of razor.register and razor.extend are derived from it; the node's id then comes from /svc/nodeid. Port 8150 unless given; an https:// prefix turns TLS on.",
		apply: to(func(s *Settings) *string { return &s.Server }, parseServer),
	}, {
		Key: "register", Value: "URL", Derived: "razor.server",
		Help:  "Check-in URL with the node's id, as the server's boot script passes it.",
		apply: to(func(s *Settings) *string { return &s.Register }, parseURL),
	}, {
		Key: "extend", Value: "URL|off", Derived: "the server of razor.register or razor.server",
		Help:  "URL of mk-extension.zip; off switches extensions off.",
		apply: applyExtend,
	}, {
		Key: "ca", Value: "FILE", Derived: "the system's certificates",
		Help:  "PEM file with the certificates that sign https servers.",
		apply: to(func(s *Settings) *string { return &s.CA }, parsePath),
	}, {
		Key: "commands", Value: "DIR", Default: "/usr/lib/razor",
		Help:  "Directory of the executables that the server may name as an action.",
		apply: to(func(s *Settings) *string { return &s.Commands }, parsePath),
	}, {
		Key: "extend_sha256", Value: "HEX",
		Help:  "SHA-256 of the only extension archive that may be used; without it, any archive of the server may be.",
		apply: to(func(s *Settings) *string { return &s.ExtendSHA256 }, parseSHA256),
	}, {
		Key: "extend_policy", Value: "newer|any-change", Default: "newer",
		Help:  "Take an extension only when the server's timestamp is newer than that of the copy in use, or on any change.",
		apply: to(func(s *Settings) *bool { return &s.AnyChange }, parsePolicy),
	}, {
		Key: "fact_timeout", Value: "SECONDS", Default: "60",
		Help:  "Time limit of Facter and its children.",
		apply: to(func(s *Settings) *time.Duration { return &s.FactTimeout }, seconds(time.Second, time.Hour)),
	}, {
		Key: "fact.", Value: "VALUE", Family: true,
		Help:  "razor.fact.NAME=VALUE adds a fact; names are lower-cased; it wins over all other sources.",
		apply: applyFact,
	}, {
		Key: "interval", Value: "SECONDS", Default: "15",
		Help:  "Pause from the end of one cycle to the start of the next.",
		apply: to(func(s *Settings) *time.Duration { return &s.Interval }, seconds(time.Second, 24*time.Hour)),
	}, {
		Key: "skew", Value: "SECONDS", Default: "15",
		Help:  "The first cycle starts after a random part of this, to spread machines that start together.",
		apply: to(func(s *Settings) *time.Duration { return &s.Skew }, seconds(0, time.Hour)),
	}, {
		Key: "mcollective.allow_sample_secrets", Value: "BOOL", Default: "off",
		Help:  "Start mcollectived even though its secrets are the published samples.",
		apply: to(func(s *Settings) *bool { return &s.AllowSampleSecrets }, parseBool),
	}, {
		Key: "debug", Value: "BOOL", Default: "off",
		Help:  "Log every step.",
		apply: to(func(s *Settings) *bool { return &s.Debug }, parseBool),
	}}
}

// to makes the setter of a field.
func to[T any](field func(*Settings) *T, parse func(string) (T, error)) func(*Settings, string, string) error {
	return func(s *Settings, _, v string) (err error) {
		*field(s), err = parse(v)
		return err
	}
}

// Has reports whether a key is the row's, or has its prefix.
func (r Setting) Has(key string) bool {
	return key == r.Key || r.Family && strings.HasPrefix(key, r.Key)
}

// Usage is the setting's form on the kernel's command line.
func (r Setting) Usage() string {
	if r.Family {
		return "razor." + r.Key + "NAME=" + r.Value
	}
	return "razor." + r.Key + "=" + r.Value
}

// DefaultText describes the default.
func (r Setting) DefaultText() string {
	if r.Derived != "" {
		return "from " + r.Derived
	}
	return cmp.Or(r.Default, "none")
}

var (
	factName = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.-]{0,127}$`)
	hostPort = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(%25[A-Za-z0-9._-]+)?\])(:[0-9]{1,5})?$`)
	hex64    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

const defaultPort = "8150" // razor-server's since 1.1.0

// parseServer turns HOST[:PORT], with or without a scheme, into the URL of a server's root.
func parseServer(v string) (string, error) {
	scheme, host := "http", v
	if s, rest, ok := strings.Cut(v, "://"); ok {
		scheme, host = strings.ToLower(s), strings.TrimSuffix(rest, "/")
	}
	m := hostPort.FindStringSubmatch(host)
	if m == nil || scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("want HOST[:PORT]")
	}
	if m[3] == "" {
		return scheme + "://" + host + ":" + defaultPort, nil
	}
	if n, err := strconv.Atoi(m[3][1:]); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("port is not in 1..65535")
	}
	return scheme + "://" + host, nil
}

func parseURL(v string) (string, error) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", fmt.Errorf("want an http or https URL")
	}
	return u.String(), nil
}

func applyExtend(s *Settings, _, v string) (err error) {
	if s.ExtendOff = strings.EqualFold(v, "off"); s.ExtendOff {
		return nil
	}
	s.Extend, err = parseURL(v)
	return err
}

func applyFact(s *Settings, name, v string) error {
	if v == "" || !factName.MatchString(name) {
		return fmt.Errorf("want a name of letters, digits, _ . - and a value")
	}
	s.Facts[name] = v
	return nil
}

func parsePath(v string) (string, error) {
	if !path.IsAbs(v) {
		return "", fmt.Errorf("want an absolute path")
	}
	return path.Clean(v), nil
}

func parseSHA256(v string) (string, error) {
	if v = strings.ToLower(v); !hex64.MatchString(v) {
		return "", fmt.Errorf("want 64 hexadecimal digits")
	}
	return v, nil
}

func parsePolicy(v string) (anyChange bool, err error) {
	if v != "newer" && v != "any-change" {
		return false, fmt.Errorf("want newer or any-change")
	}
	return v == "any-change", nil
}

// seconds parses a plain number of seconds or a Go duration, within bounds.
func seconds(low, high time.Duration) func(string) (time.Duration, error) {
	return func(v string) (time.Duration, error) {
		d, err := time.ParseDuration(v)
		if n, nerr := strconv.ParseUint(v, 10, 31); nerr == nil {
			d, err = time.Duration(n)*time.Second, nil
		}
		if err != nil || d < low || d > high {
			return 0, fmt.Errorf("want a number of seconds from %.0f to %.0f", low.Seconds(), high.Seconds())
		}
		return d, nil
	}
}

func parseBool(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("want on or off")
}
