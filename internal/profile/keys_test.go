package profile

import "testing"

func TestIsKeyText(t *testing.T) {
	for s, want := range map[string]bool{
		rsaKey:                                  true,
		`from="10.0.0.0/8,*.example" ` + rsaKey: true,
		`command="echo \"a b\"",no-pty ` + rsaKey:           true,
		"restrict " + rsaKey:                                true,
		"# mine\n" + rsaKey + "\n":                          true,
		"ssh-rsa notbase64":                                 true,
		"-----BEGIN OPENSSH PRIVATE KEY-----":               true,
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r": true,
		"id_rsa.pub":      false,
		"~/.ssh/id_rsa":   false,
		"ssh-keys.txt":    false,
		"my keys/ssh-rsa": false,
		`from="x" a.pub`:  false,
		"":                false,
	} {
		if got := IsKeyText(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
