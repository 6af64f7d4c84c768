package profile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// lockedPassword matches no hash (shadow(5)). It is not "!", which sshd takes as a locked account that may not
// use keys either (auth.c, LOCKED_PASSWD_PREFIX).
const lockedPassword = "*"

// accounts locks every password, in every profile: the stock tc account has an empty one, and
// mkbuild sets none.
func accounts(e *edit) error {
	if err := e.change("etc/shadow", lockAll("etc/shadow", false)); err != nil {
		return err
	}
	return e.change("etc/passwd", lockAll("etc/passwd", true))
}

// lockAll locks the second field of passwd(5) and shadow(5) lines. In passwd an "x" stays: it
// only points to shadow.
func lockAll(name string, keepX bool) func([]string) ([]string, error) {
	return func(ls []string) ([]string, error) {
		for i, l := range ls {
			if l == "" {
				continue
			}
			f := strings.Split(l, ":")
			if len(f) < 2 {
				return nil, notTinyCore(name, fmt.Sprintf("line %d is not an account", i+1))
			}
			if !keepX || f[1] != "x" {
				f[1] = lockedPassword
			}
			ls[i] = strings.Join(f, ":")
		}
		return ls, nil
	}
}

// sshAccount is sshd's unprivileged account (SSH_PRIVSEP_USER in OpenSSH's configure). An sshd built for it does
// not start without it, and Tiny Core lacks it.
const sshAccount = "sshd"

// sshNumber is that account's uid and gid in other distributions. Numbers below maxSystem are for system
// accounts.
const sshNumber, maxSystem = 74, 1000

// sshUser adds the account, locked, to dev and debug, unless the base has it. It follows [accounts], which
// changes the same files.
func sshUser(e *edit) error {
	if !e.hasSSH() {
		return nil
	}
	passwd, err := e.current("etc/passwd")
	if err != nil || hasAccount(passwd, sshAccount) {
		return err
	}
	group, err := e.current("etc/group")
	if err != nil {
		return err
	}
	groups := numbers(group)
	gid, hasGroup := groups[sshAccount]
	uid := freeNumber(numbers(passwd), groups)
	if !hasGroup {
		gid = uid
	}
	if err := e.addLine("etc/passwd", fmt.Sprintf("%s:x:%d:%d:sshd:/var/empty:/bin/false", sshAccount, uid, gid)); err != nil {
		return err
	}
	if !hasGroup && group != nil {
		if err := e.addLine("etc/group", fmt.Sprintf("%s:x:%d:", sshAccount, gid)); err != nil {
			return err
		}
	}
	shadow, err := e.current("etc/shadow")
	if err != nil || hasAccount(shadow, sshAccount) {
		return err
	}
	return e.addLine("etc/shadow", sshAccount+":"+lockedPassword+":::::::")
}

func (e *edit) addLine(name, line string) error {
	return e.change(name, func(ls []string) ([]string, error) { return append(ls, line), nil })
}

func hasAccount(ls []string, name string) bool {
	return slices.ContainsFunc(ls, func(l string) bool { return strings.HasPrefix(l, name+":") })
}

// numbers returns the third field of the lines of passwd(5) or group(5) by their names.
func numbers(ls []string) map[string]int {
	out := map[string]int{}
	for _, l := range ls {
		f := strings.Split(l, ":")
		if len(f) < 3 {
			continue
		}
		if n, err := strconv.Atoi(f[2]); err == nil {
			out[f[0]] = n
		}
	}
	return out
}

// freeNumber is the first number from sshNumber on that no account and no group has.
func freeNumber(users, groups map[string]int) int {
	taken := slices.AppendSeq(slices.Collect(maps.Values(users)), maps.Values(groups))
	for n := sshNumber; n < maxSystem; n++ {
		if !slices.Contains(taken, n) {
			return n
		}
	}
	return sshNumber // nearly a thousand system accounts: sharing a number harms least
}
