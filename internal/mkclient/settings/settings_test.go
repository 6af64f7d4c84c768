package settings

import (
	"strings"
	"testing"
	"time"
)

// examples are accepted and refused values of each setting.
func examples() map[string]struct{ accepted, refused []string } {
	return map[string]struct{ accepted, refused []string }{
		"server":                           {[]string{"razor.example.com", "10.0.0.1:8151", "[fe80::1]:8150", "https://razor:8151"}, []string{"", "a b", "host:99999", "host/path", "ftp://host", "user@host"}},
		"register":                         {[]string{"http://razor:8150/svc/checkin/7", "https://razor/svc/checkin/7"}, []string{"", "razor", "ftp://razor/x", "http://", "off"}},
		"extend":                           {[]string{"http://razor:8150/svc/mk/extension.zip", "off", "OFF"}, []string{"", "no", "file:///x.zip"}},
		"ca":                               {[]string{"/etc/razor-ca.pem"}, []string{"", "ca.pem"}},
		"commands":                         {[]string{"/opt/actions"}, []string{"", "actions"}},
		"extend_sha256":                    {[]string{strings.Repeat("0a", 32), strings.Repeat("FF", 32)}, []string{"", "abc", strings.Repeat("zz", 32)}},
		"extend_policy":                    {[]string{"newer", "any-change"}, []string{"", "older"}},
		"fact_timeout":                     {[]string{"5", "90s", "2m"}, []string{"", "0", "-1", "x", "2h"}},
		"fact.":                            {[]string{"rack-12"}, []string{""}},
		"interval":                         {[]string{"15", "1m"}, []string{"", "0", "-5", "1e3", "48h"}},
		"skew":                             {[]string{"0", "30", "2m"}, []string{"", "-1", "2h"}},
		"mcollective.allow_sample_secrets": {[]string{"on", "true", "1", "off", "no"}, []string{"", "maybe"}},
		"debug":                            {[]string{"on", "yes", "0", "false"}, []string{"", "2"}},
	}
}

// TestExamples runs the examples of every setting through every source.
func TestExamples(t *testing.T) {
	for _, row := range Table() {
		key, ex := row.Key, examples()[row.Key]
		if row.Family {
			key += "site"
		}
		for _, v := range ex.accepted {
			for from, in := range inputsFor(key, v) {
				if s, warnings := Load(in); len(warnings) != 0 || s.From[key] != from {
					t.Errorf("%s: razor.%s=%s: from %q, warnings %v", from, key, v, s.From[key], warnings)
				}
			}
		}
		for _, v := range ex.refused {
			for from, in := range inputsFor(key, v) {
				if s, warnings := Load(in); s.From[key] == from || v != "" && len(warnings) == 0 {
					t.Errorf("%s: razor.%s=%q was taken, or dropped in silence: %v", from, key, v, warnings)
				}
			}
		}
		if len(ex.accepted) == 0 || len(ex.refused) == 0 || row.Help == "" {
			t.Errorf("razor.%s: no examples, or no help", key)
		}
	}
}

func inputsFor(key, v string) map[Source]Inputs {
	return map[Source]Inputs{
		FromEnvironment: {Environ: []string{"Razor." + key + "=" + v}},
		FromCommandLine: {CommandLine: `quiet RAZOR.` + key + `="` + v + `" ro`},
		FromFile:        {File: []byte(`{"` + strings.ToUpper(key) + `":"` + v + `"}`)},
	}
}

func TestPrecedence(t *testing.T) {
	in := Inputs{
		Environ:     []string{"razor.interval=1"},
		CommandLine: "razor.interval=2 razor.skew=2",
		File:        []byte(`{"interval":3,"skew":3,"fact_timeout":3}`),
	}
	s, warnings := Load(in)
	if s.Interval != time.Second || s.Skew != 2*time.Second || s.FactTimeout != 3*time.Second || len(warnings) != 0 {
		t.Errorf("got %v %v %v, warnings %v", s.Interval, s.Skew, s.FactTimeout, warnings)
	}
	if s.Commands != "/usr/lib/razor" || s.From["commands"] != FromDefault {
		t.Errorf("commands = %q from %q", s.Commands, s.From["commands"])
	}
}

func TestInvalidFallsBackToWeakerSource(t *testing.T) {
	s, warnings := Load(Inputs{CommandLine: "razor.interval=soon", File: []byte(`{"interval":30}`)})
	if s.Interval != 30*time.Second || len(warnings) != 1 {
		t.Errorf("interval %v, warnings %v", s.Interval, warnings)
	}
}

func TestConfigFileShapes(t *testing.T) {
	tests := []struct {
		file, want string
		warned     bool
	}{
		{`{"razor.fact.site":"a"}`, "a", false},
		{`{"fact":{"site":"a"}}`, "a", false},
		{`{"razor":{"fact":{"Site":"a"}}}`, "a", false},
		{`{"fact":{"site":7}}`, "7", false},
		{`{"fact":{"site":null}}`, "", false},
		{`["fact"]`, "", true},
		{`{"fact":`, "", true},
		{``, "", false},
	}
	for _, tt := range tests {
		s, warnings := Load(Inputs{File: []byte(tt.file)})
		if s.Facts["site"] != tt.want || (len(warnings) != 0) != tt.warned {
			t.Errorf("%s: %q, warnings %v", tt.file, s.Facts["site"], warnings)
		}
	}
}

func TestURLs(t *testing.T) {
	tests := []struct {
		line, register, extend string
		needsID                bool
	}{
		{"", "http://razor:8150/svc/checkin", "http://razor:8150/svc/mk/extension.zip", true},
		{"razor.server=r:81", "http://r:81/svc/checkin", "http://r:81/svc/mk/extension.zip", true},
		{"razor.register=http://a:1/svc/checkin/3", "http://a:1/svc/checkin/3", "http://a:1/svc/mk/extension.zip", false},
		{"razor.register=http://a:1/svc/checkin/3 razor.server=b", "http://a:1/svc/checkin/3", "http://b:8150/svc/mk/extension.zip", false},
		{"razor.server=b razor.extend=http://c/x.zip", "http://b:8150/svc/checkin", "http://c/x.zip", true},
		{"razor.extend=off", "http://razor:8150/svc/checkin", "", true},
	}
	for _, tt := range tests {
		s, _ := Load(Inputs{CommandLine: tt.line})
		reg, id := s.RegisterURL()
		if reg != tt.register || s.ExtendURL() != tt.extend || id != tt.needsID {
			t.Errorf("%q: %q %q %v", tt.line, reg, s.ExtendURL(), id)
		}
	}
}

func TestOffIsUndoneByStrongerSource(t *testing.T) {
	s, _ := Load(Inputs{CommandLine: "razor.extend=http://c/x.zip", File: []byte(`{"extend":"off"}`)})
	if s.ExtendURL() != "http://c/x.zip" {
		t.Errorf("extend = %q", s.ExtendURL())
	}
	s, _ = Load(Inputs{CommandLine: "razor.extend=off", File: []byte(`{"extend":"http://c/x.zip"}`)})
	if s.ExtendURL() != "" {
		t.Errorf("extend = %q, want off", s.ExtendURL())
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct{ line, key, want string }{
		{"quiet razor.a=1 ro", "a", "1"},
		{"razor.a=1 razor.A=2", "a", "2"},
		{"razor.a=", "a", ""},
		{"razor.a", "a", ""},
		{"x-razor.a=1 razor=2 razor.=3", "a", ""},
		{`razor.a="b c" d`, "a", "b c"},
		{`"razor.a=b c" d`, "a", "b c"},
		{`razor.a="b`, "a", "b"},
		{"razor.a=b=c\n", "a", "b=c"},
		{"razor.fact.Site=ams1", "fact.site", "ams1"},
	}
	for _, tt := range tests {
		if got := parseCommandLine(tt.line)[tt.key]; got != tt.want {
			t.Errorf("%q: %s = %q, want %q", tt.line, tt.key, got, tt.want)
		}
	}
}

func TestRedact(t *testing.T) {
	for _, v := range []string{"ftp://u:geheim@h/", "http://u:geheim@h:x/", "http://u:geh/geheim@%zz"} {
		_, warnings := Load(Inputs{CommandLine: "razor.register=" + v})
		if len(warnings) != 1 || strings.Contains(warnings[0].Error(), "geheim") {
			t.Errorf("%s: %v", v, warnings)
		}
	}
}

func FuzzCommandLine(f *testing.F) {
	f.Add(`quiet razor.a="b c" razor.fact.x=1`)
	f.Add(`"razor.server=h:1" razor.interval=x "`)
	f.Fuzz(func(t *testing.T, line string) {
		for k, v := range parseCommandLine(line) {
			if k == "" || v == "" || k != strings.ToLower(k) {
				t.Errorf("%q gave %q=%q", line, k, v)
			}
		}
		s, _ := Load(Inputs{CommandLine: line})
		if s.Interval < time.Second || s.FactTimeout < time.Second || s.Commands == "" || s.Server == "" {
			t.Errorf("%q left unusable settings %+v", line, s)
		}
	})
}
