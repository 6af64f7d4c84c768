package mkclient

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Setting is one row of the table that the parser, --help, docs/runtime.md and the tests are
// all made from.
type Setting struct {
	Key      string   // without the "razor." prefix, lower-case
	Value    string   // placeholder for people: "URL", "SECONDS"
	Default  string   // as it would be written; empty when derived or unset
	Derived  string   // says where an empty default comes from
	Help     string   // one sentence
	Family   bool     // the key is a prefix: "fact." stands for razor.fact.NAME=VALUE
	Accepted []string // examples that parse
	Refused  []string // examples that do not
	apply    func(s *Settings, name, value string) error
}

// Table returns every setting, in the order in which people read them.
func Table() []Setting {
	return append(serverSettings(), append(extensionSettings(), cycleSettings()...)...)
}

func serverSettings() []Setting {
	return []Setting{
		{
			Key: "server", Value: "HOST[:PORT]", Default: "razor",
			Help:     "Razor server; both URLs are derived from it and the node's id comes from /svc/nodeid. Port 8150 unless given; an https:// prefix turns TLS on.",
			Accepted: []string{"razor.example.com", "10.0.0.1:8151", "[fe80::1]:8150", "https://razor:8151"},
			Refused:  []string{"", "a b", "host:99999", "host/path", "ftp://host", "user@host"},
			apply:    func(s *Settings, _, v string) (err error) { s.Server, err = parseServer(v); return },
		}, {
			Key: "register", Value: "URL", Derived: "razor.server",
			Help:     "Check-in URL with the node's id, as the server's boot script passes it.",
			Accepted: []string{"http://razor:8150/svc/checkin/7", "https://razor/svc/checkin/7"},
			Refused:  []string{"", "razor", "ftp://razor/x", "http://", "off"},
			apply:    func(s *Settings, _, v string) (err error) { s.Register, err = parseURL(v); return },
		}, {
			Key: "extend", Value: "URL|off", Derived: "the server of razor.register or razor.server",
			Help:     "URL of mk-extension.zip; off switches extensions off.",
			Accepted: []string{"http://razor:8150/svc/mk/extension.zip", "off", "OFF"},
			Refused:  []string{"", "no", "file:///x.zip"},
			apply:    applyExtend,
		}, {
			Key: "ca", Value: "FILE", Derived: "the system's certificates",
			Help:     "PEM file with the certificates that sign https servers.",
			Accepted: []string{"/etc/razor-ca.pem"}, Refused: []string{"", "ca.pem"},
			apply: func(s *Settings, _, v string) (err error) { s.CA, err = parsePath(v); return },
		}, {
			Key: "commands", Value: "DIR", Default: "/usr/lib/razor",
			Help:     "Directory of the executables that the server may name as an action.",
			Accepted: []string{"/opt/actions"}, Refused: []string{"", "actions"},
			apply: func(s *Settings, _, v string) (err error) { s.Commands, err = parsePath(v); return },
		},
	}
}

func extensionSettings() []Setting {
	return []Setting{
		{
			Key: "extend_sha256", Value: "HEX", Derived: "the server, whatever it has",
			Help:     "SHA-256 of the only extension archive that may be used.",
			Accepted: []string{strings.Repeat("0a", 32), strings.Repeat("FF", 32)},
			Refused:  []string{"", "abc", strings.Repeat("zz", 32)},
			apply:    func(s *Settings, _, v string) (err error) { s.ExtendSHA256, err = parseSHA256(v); return },
		}, {
			Key: "extend_policy", Value: "newer|any-change", Default: "newer",
			Help:     "Take an extension only when the server's timestamp is newer than that of the copy in use, or on any change.",
			Accepted: []string{"newer", "any-change"}, Refused: []string{"", "older"},
			apply: func(s *Settings, _, v string) error {
				if v != "newer" && v != "any-change" {
					return fmt.Errorf("want newer or any-change")
				}
				s.AnyChange = v == "any-change"
				return nil
			},
		}, {
			Key: "fact_timeout", Value: "SECONDS", Default: "60",
			Help:     "Longest run of Facter; then it and its children are killed.",
			Accepted: []string{"5", "90s", "2m"}, Refused: []string{"", "0", "-1", "x", "2h"},
			apply: func(s *Settings, _, v string) (err error) {
				s.FactTimeout, err = parseSeconds(v, time.Second, time.Hour)
				return
			},
		}, {
			Key: "fact.", Value: "VALUE", Family: true,
			Help:     "razor.fact.NAME=VALUE adds a fact; names are lower-cased; it wins over all other sources.",
			Accepted: []string{"rack-12"}, Refused: []string{""},
			apply: func(s *Settings, name, v string) error {
				if v == "" || !factName.MatchString(name) {
					return fmt.Errorf("want a name of letters, digits, _ . - and a value")
				}
				s.Facts[name] = v
				return nil
			},
		},
	}
}

func cycleSettings() []Setting {
	return []Setting{
		{
			Key: "interval", Value: "SECONDS", Default: "15",
			Help:     "Pause from the end of one cycle to the start of the next.",
			Accepted: []string{"15", "1m"}, Refused: []string{"", "0", "-5", "1e3", "48h"},
			apply: func(s *Settings, _, v string) (err error) {
				s.Interval, err = parseSeconds(v, time.Second, 24*time.Hour)
				return
			},
		}, {
			Key: "skew", Value: "SECONDS", Default: "15",
			Help:     "The first cycle starts after a random part of this, so that machines powered on together spread.",
			Accepted: []string{"0", "30", "2m"}, Refused: []string{"", "-1", "2h"},
			apply: func(s *Settings, _, v string) (err error) {
				s.Skew, err = parseSeconds(v, 0, time.Hour)
				return
			},
		}, {
			Key: "mcollective.allow_sample_secrets", Value: "BOOL", Default: "off",
			Help:     "Start mcollectived even though its secrets are the published samples.",
			Accepted: []string{"on", "true", "1", "off", "no"}, Refused: []string{"", "maybe"},
			apply: func(s *Settings, _, v string) (err error) { s.AllowSampleSecrets, err = parseBool(v); return },
		}, {
			Key: "debug", Value: "BOOL", Default: "off",
			Help:     "Log every step.",
			Accepted: []string{"on", "yes", "0", "false"}, Refused: []string{"", "2"},
			apply: func(s *Settings, _, v string) (err error) { s.Debug, err = parseBool(v); return },
		},
	}
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

// parseSeconds takes a plain number of seconds or a Go duration, within bounds.
func parseSeconds(v string, low, high time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if n, nerr := strconv.ParseUint(v, 10, 31); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < low || d > high {
		return 0, fmt.Errorf("want seconds from %s to %s", low, high)
	}
	return d, nil
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
