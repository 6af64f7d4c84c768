package profile

import (
	"fmt"
	"strings"

	"mkbuild/internal/overlay"
)

// lockedPassword matches no hash (shadow(5)). Not "!": sshd takes that as a locked account and
// refuses keys too (auth.c, LOCKED_PASSWD_PREFIX).
const lockedPassword = "*"

// accounts locks every password, in every profile: the stock tc account has an empty one, and
// mkbuild sets none.
func accounts(t, out *overlay.Tree, _ Options) error {
	if err := replaceText(t, out, "etc/shadow", lockAll("etc/shadow", false)); err != nil {
		return err
	}
	return replaceText(t, out, "etc/passwd", lockAll("etc/passwd", true))
}

// lockAll locks the second field of passwd(5) and shadow(5) lines. In passwd an "x" stays: it
// only points to shadow.
func lockAll(name string, keepX bool) func(string) (string, error) {
	return func(text string) (string, error) {
		ls := lines(text)
		for i, l := range ls {
			if l == "" {
				continue
			}
			f := strings.Split(l, ":")
			if len(f) < 2 {
				return "", &BaseError{name, fmt.Sprintf("line %d is no account", i+1)}
			}
			if !keepX || f[1] != "x" {
				f[1] = lockedPassword
			}
			ls[i] = strings.Join(f, ":")
		}
		return join(ls), nil
	}
}

// Unlocked returns the accounts that some password, or none, would open. A finished prod image
// must have none.
func Unlocked(t *overlay.Tree) ([]string, error) {
	e, err := t.Lookup("etc/shadow")
	if err != nil {
		return nil, err
	}
	b, err := e.Content(maxText)
	if err != nil {
		return nil, err
	}
	var open []string
	for _, l := range lines(string(b)) {
		f := strings.Split(l, ":")
		if len(f) > 1 && !strings.HasPrefix(f[1], "*") && !strings.HasPrefix(f[1], "!") {
			open = append(open, f[0])
		}
	}
	return open, nil
}
