package main

import "testing"

// The command that accepts a file must ask its mirrors, but must not show their passwords.
func TestLockCommand(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]buildOptions{
		"mkbuild lock": {},
		"mkbuild lock --config site.yaml --release 4.7.7":                        {config: "site.yaml", release: "4.7.7"},
		`mkbuild lock --lockfile "my lock" --mirror air/gap --mirror http://h/x`: {lockFlags: lockFlags{lockfile: "my lock"}, mirrors: []string{"air/gap", "http://h/x"}},
		"mkbuild lock --mirror b":                                                {mirrors: []string{"https://me:s3cret@h/", "https://t0ken@h/", "b"}},
	} {
		if got := o.lockCommand(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
