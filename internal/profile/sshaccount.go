package profile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/overlay"
)

// sshAccount is the account that sshd drops its privileges to (SSH_PRIVSEP_USER in OpenSSH's
// configure). An sshd built for it does not start without it, and Tiny Core has none.
const sshAccount = "sshd"

// sshNumber is the uid and gid that other distributions give that account. The numbers below
// maxSystem are for system accounts.
const sshNumber, maxSystem = 74, 1000

// sshUser adds the account, locked, to dev and debug, unless the base has it. It goes over what
// [accounts] has made of the same files.
func sshUser(t, out *overlay.Tree, o Options) error {
	if !hasSSH(o) {
		return nil
	}
	passwd, err := current(t, out, "etc/passwd")
	if err != nil || hasAccount(passwd, sshAccount) {
		return err
	}
	group, err := current(t, out, "etc/group")
	if err != nil {
		return err
	}
	gid, hasGroup := accountNumber(group, sshAccount)
	uid := freeNumber(passwd, group)
	if !hasGroup {
		gid = uid
	}
	if err := addLine(t, out, "etc/passwd", fmt.Sprintf("%s:x:%d:%d:sshd:/var/empty:/bin/false", sshAccount, uid, gid)); err != nil {
		return err
	}
	if !hasGroup && group != nil {
		if err := addLine(t, out, "etc/group", fmt.Sprintf("%s:x:%d:", sshAccount, gid)); err != nil {
			return err
		}
	}
	shadow, err := current(t, out, "etc/shadow")
	if err != nil || hasAccount(shadow, sshAccount) {
		return err
	}
	return addLine(t, out, "etc/shadow", sshAccount+":"+lockedPassword+":::::::")
}

// newest is the tree that has the last word on a file.
func newest(t, out *overlay.Tree, name string) *overlay.Tree {
	if out.Get(name) != nil {
		return out
	}
	return t
}

// current returns the lines of a file as the image will have it, none if there is none.
func current(t, out *overlay.Tree, name string) ([]string, error) {
	from := newest(t, out, name)
	if from.Get(name) == nil {
		return nil, nil
	}
	e, err := from.Lookup(name)
	if err != nil {
		return nil, err
	}
	b, err := e.Content(maxText)
	if err != nil {
		return nil, err
	}
	return lines(string(b)), nil
}

func addLine(t, out *overlay.Tree, name, line string) error {
	return replaceText(newest(t, out, name), out, name, func(text string) (string, error) {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text + line + "\n", nil
	})
}

func hasAccount(ls []string, name string) bool {
	return slices.ContainsFunc(ls, func(l string) bool { return strings.HasPrefix(l, name+":") })
}

// accountNumber returns the third field of a line of passwd(5) or group(5).
func accountNumber(ls []string, name string) (int, bool) {
	for _, l := range ls {
		if n, ok := thirdField(l); ok && strings.HasPrefix(l, name+":") {
			return n, true
		}
	}
	return 0, false
}

func thirdField(line string) (int, bool) {
	f := strings.Split(line, ":")
	if len(f) < 3 {
		return 0, false
	}
	n, err := strconv.Atoi(f[2])
	return n, err == nil
}

// freeNumber is sshNumber, or the next one above that neither an account nor a group has.
func freeNumber(lists ...[]string) int {
	taken := map[int]bool{}
	for _, ls := range lists {
		for _, l := range ls {
			if n, ok := thirdField(l); ok {
				taken[n] = true
			}
		}
	}
	for n := sshNumber; n < maxSystem; n++ {
		if !taken[n] {
			return n
		}
	}
	return sshNumber // nearly a thousand system accounts: sharing a number is the least harm
}
