package profile

import (
	"strings"
	"testing"
)

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

func TestParseKeys(t *testing.T) {
	if keys, err := ParseKeys([]byte("# mine\n\n"+rsaKey+"\n"), "id.pub"); err != nil || len(keys) != 1 {
		t.Errorf("%q, %v", keys, err)
	}
	if _, err := ParseKeys([]byte("# mine\nhello\n"), "id.pub"); err == nil || !strings.Contains(err.Error(), "id.pub:2") {
		t.Errorf("the place is not named: %v", err)
	}
	for _, bad := range []string{"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n", "ssh-rsa notbase64", "hello"} {
		if _, err := ParseKeys([]byte(bad), "f"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestUnknownToOldServer(t *testing.T) {
	const ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMuyIVFgkkAW8uYFSBUSmOaQj7R9Rs2OzThEuMIwwfBA a@b"
	if UnknownToOldServer("4.5.2", []string{ed}) == "" {
		t.Error("ed25519 alone on 4.x: no warning")
	}
	if UnknownToOldServer("4.5.2", []string{ed, rsaKey}) != "" || UnknownToOldServer("15.0", []string{ed}) != "" {
		t.Error("a warning without need")
	}
}
