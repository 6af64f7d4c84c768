package config

import (
	"strings"
	"testing"
)

func TestExtensionNames(t *testing.T) {
	for _, bad := range []string{"", ".tcz", "-x", "../x", "a..b", "a/b", "a b", strings.Repeat("a", 200)} {
		for where, edit := range map[string]func(*Config){
			"extensions": func(c *Config) { c.Extensions = []string{"ruby", bad} },
			"missing":    func(c *Config) { c.Missing = []string{bad} },
			"pick":       func(c *Config) { c.Picks = []Pick{{bad, []string{"bin/x"}}} },
		} {
			c := Default()
			edit(&c)
			if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "config "+where+": ") {
				t.Errorf("%s: %q: %v", where, bad, err)
			}
		}
	}
	c, err := Parse("mk.yaml", []byte("missing: [mktemp, scsi-KERNEL, a.tcz]\n"))
	if err == nil {
		err = c.Validate()
	}
	if err != nil || len(c.Missing) != 3 {
		t.Errorf("%q, %v", c.Missing, err)
	}
}
