package profile

import (
	"fmt"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// with puts a file into a tree.
func with(t *testing.T, tree *overlay.Tree, name, text string) *overlay.Tree {
	t.Helper()
	testkit.Must(t, tree.Put(overlay.File(name, 0o644, []byte(text))))
	return tree
}

func TestSSHAccount(t *testing.T) {
	many := ""
	for n := 74; n < 1000; n++ {
		many += fmt.Sprintf("u%d:x:%d:\n", n, n)
	}
	const root = "root:x:0:0:root:/root:/bin/sh\n"
	tests := []struct {
		name, passwd, group  string
		wantUser, wantGroup  string
		alreadyThere, noFile bool
	}{
		{name: "none", passwd: root, group: "root:x:0:\n", wantUser: "sshd:x:74:74:sshd:/var/empty:/bin/false\n", wantGroup: "sshd:x:74:\n"},
		{name: "number taken by an account and a group", passwd: root + "a:x:74:1::/:/bin/sh\n", group: "b:x:75:\n", wantUser: "sshd:x:76:76:", wantGroup: "sshd:x:76:\n"},
		{name: "number taken by a group without members", passwd: root, group: "b:x:74\n", wantUser: "sshd:x:75:75:", wantGroup: "sshd:x:75:\n"},
		{name: "group there", passwd: root, group: "sshd:x:33:\nb:x:74:\n", wantUser: "sshd:x:75:33:", wantGroup: "sshd:x:33:\n"},
		{name: "no final newline", passwd: strings.TrimSpace(root), group: "root:x:0:", wantUser: "\nsshd:x:74:74:", wantGroup: "\nsshd:x:74:\n"},
		{name: "similar names", passwd: root + "sshd2:x:1:1::/:/bin/sh\n", group: "xsshd:x:2:\n", wantUser: "sshd:x:74:74:", wantGroup: "sshd:x:74:\n"},
		{name: "broken lines", passwd: root + "x:y\nz:x:what:1::/:\n", group: "\n", wantUser: "sshd:x:74:74:", wantGroup: "sshd:x:74:\n"},
		{name: "all taken", passwd: root, group: many, wantUser: "sshd:x:74:74:", wantGroup: "sshd:x:74:\n"},
		{name: "account there", passwd: root + "sshd:x:33:34::/:/bin/false\n", group: "root:x:0:\n", alreadyThere: true},
		{name: "no group file", passwd: root, noFile: true, wantUser: "sshd:x:74:74:"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tree := with(t, withServer(t, base(t)), "etc/passwd", tc.passwd)
			if !tc.noFile {
				with(t, tree, "etc/group", tc.group)
			}
			out, err := Apply(tree, Options{Profile: "dev", Keys: []string{rsaKey}})
			testkit.Must(t, err)
			passwd, shadow := text(t, out, "etc/passwd"), text(t, out, "etc/shadow")
			if tc.alreadyThere {
				if passwd != tc.passwd || strings.Contains(shadow, "sshd") || out.Get("etc/group") != nil {
					t.Errorf("passwd:\n%sshadow:\n%s", passwd, shadow)
				}
				return
			}
			if strings.Count(passwd, tc.wantUser) != 1 || strings.Count(shadow, "\nsshd:*:::::::\n") != 1 {
				t.Errorf("passwd:\n%sshadow:\n%s", passwd, shadow)
			}
			if tc.noFile {
				if out.Get("etc/group") != nil {
					t.Error("a group file came from nowhere")
				}
				return
			}
			group := tc.group
			if out.Get("etc/group") != nil {
				group = text(t, out, "etc/group")
			}
			if strings.Count(group, tc.wantGroup) != 1 {
				t.Errorf("group:\n%s", group)
			}
			if e := out.Get("etc/shadow"); e.Perm() != 0o640 {
				t.Errorf("shadow's mode is %o", e.Perm())
			}
			for _, w := range WaysIn(out, Allow{}) {
				if strings.HasPrefix(w.Path, "etc/") && w.Path != "etc/inittab" && !strings.Contains(w.What, "can be judged") {
					t.Errorf("a way in: %s", w)
				}
			}
		})
	}
}

func TestProdHasNoSSHAccount(t *testing.T) {
	out, err := Apply(with(t, base(t), "etc/group", "root:x:0:\n"), Options{Profile: "prod"})
	if err != nil || strings.Contains(text(t, out, "etc/passwd")+text(t, out, "etc/shadow"), "sshd") || out.Get("etc/group") != nil {
		t.Errorf("prod has an account for sshd: %v", err)
	}
}

func TestFindSSHTakesPrograms(t *testing.T) {
	tree := withServer(t, base(t))
	for _, n := range []string{
		"usr/local/share/bash-completion/completions/ssh-keygen", "usr/local/share/doc/openssh/sftp-server",
		"usr/local/share/bin/ssh-keygen", "usr/local/tests/ssh-keygen", "var/sftp-server", "usr/local/xsbin/sshd", "zzz/doc/sbin/sshd",
	} {
		with(t, tree, n, "")
	}
	s, err := findSSH(tree)
	if err != nil || s.sshd != "/usr/local/sbin/sshd" || s.keygen != "/usr/local/bin/ssh-keygen" || s.sftp != "/usr/local/libexec/sftp-server" {
		t.Errorf("%+v, %v", s, err)
	}
	if start := s.start(); !strings.Contains(start, "/usr/local/sbin/sshd -f /usr/local/etc/ssh/sshd_config") {
		t.Errorf("without a script of its own:\n%s", start)
	}
	with(t, tree, "usr/local/etc/init.d/openssh", "")
	if s, err = findSSH(tree); err != nil || !strings.Contains(s.start(), "/usr/local/etc/init.d/openssh start") {
		t.Errorf("with one: %+v, %v", s, err)
	}
	for _, place := range []string{"usr/lib/openssh/sftp-server", "usr/local/lib/ssh/sftp-server", "usr/local/lib/sftp-server", "usr/local/sbin/sftp-server"} {
		tree.Remove("usr/local/libexec/sftp-server")
		with(t, tree, place, "")
		if s, err = findSSH(tree); err != nil || s.sftp != "/"+place {
			t.Errorf("%s: %+v, %v", place, s, err)
		}
		tree.Remove(place)
	}
}
