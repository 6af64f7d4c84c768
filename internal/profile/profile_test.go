package profile

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

const rsaKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQClVzJ0W09R7/CXlUlXBLKJgIMGdLubx+xZnBO7fWA9Rb0oVwgDT0J8XyvNtJTzbrNGvMYr3zoc52YhJQ982Pz6wWiv8ck8a1VQKt7D8DMt3zmzVJUcUkTogWKSe18kZeK3ax6f1O7I2V8srs+EdrfQmCT+sXmGYOTw1GDFi4b5CQ== a@b"

func base(t *testing.T) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	for name, text := range map[string]string{
		"etc/shadow":          "root:*:13525:0:99999:7:::\nlp:*:13510:0:99999:7:::\ntc::13646:0:99999:7:::\n",
		"etc/passwd":          "root:x:0:0:root:/root:/bin/sh\nguest::5:5::/:/bin/sh\ntc:x:1001:50:Linux User,,,:/home/tc:/bin/sh\n",
		"etc/inittab":         "# comment\n::sysinit:/etc/init.d/rcS\ntty1::respawn:/sbin/getty -nl /sbin/autologin 38400 tty1\n#tty2::respawn:/sbin/getty 38400 tty2\n#tty4::askfirst:/sbin/getty 38400 tty4\n::ctrlaltdel:/sbin/reboot\n",
		"opt/bootsync.sh":     "#!/bin/sh\n# put other system startup commands here\n/usr/bin/sethostname box\n/opt/bootlocal.sh &\n",
		"usr/local/sbin/x":    "",
		"usr/sbin/telnetdump": "",
	} {
		e := overlay.File(name, 0o644, []byte(text))
		switch name {
		case "etc/shadow":
			e.Mode = overlay.TypeRegular | 0o640
		case "opt/bootsync.sh":
			e.Mode, e.GID = overlay.TypeRegular|0o755, 50
		}
		testkit.Must(t, tree.Put(e))
	}
	return tree
}

func withServer(t *testing.T, tree *overlay.Tree) *overlay.Tree {
	t.Helper()
	for _, n := range []string{"usr/local/sbin/sshd", "usr/local/bin/ssh-keygen", "usr/local/etc/ssh/sshd_config.example", "usr/local/libexec/sftp-server", "usr/share/doc/sshd_config"} {
		testkit.Must(t, tree.Put(overlay.File(n, 0o755, nil)))
	}
	return tree
}

// finished returns a tree with changes on top.
func finished(t *testing.T, tree, changes *overlay.Tree) *overlay.Tree {
	t.Helper()
	l := overlay.NewLayers(tree)
	testkit.Must(t, l.AddLastWins(changes))
	return l.Merged()
}

func text(t *testing.T, tree *overlay.Tree, name string) string {
	t.Helper()
	e, err := tree.Lookup(name)
	testkit.Must(t, err)
	b, err := e.Content(1 << 20)
	testkit.Must(t, err)
	return string(b)
}

func TestProd(t *testing.T) {
	tree := base(t)
	out, err := Apply(tree, Options{Profile: "prod", Version: "1.0", Client: true})
	testkit.Must(t, err)
	if open := fmt.Sprint(WaysIn(tree, Allow{})); !strings.Contains(open, "account tc needs no password") || !strings.Contains(open, "account guest needs no password") || !strings.Contains(open, "line 3") {
		t.Errorf("the stock base: %s", open)
	}
	if open := WaysIn(finished(t, tree, out), Allow{}); len(open) != 0 {
		t.Errorf("ways in: %q", open)
	}
	if e := out.Get("etc/shadow"); e.Perm() != 0o640 {
		t.Errorf("shadow's mode is %o", e.Perm())
	}
	if got := text(t, out, "etc/passwd"); strings.Contains(got, "guest::") || !strings.Contains(got, "tc:x:") {
		t.Errorf("passwd:\n%s", got)
	}
	inittab := "# comment\n::sysinit:/etc/init.d/rcS\n::ctrlaltdel:/sbin/reboot\n::respawn:/usr/local/sbin/mk-client run\n"
	if got := text(t, out, "etc/inittab"); got != inittab {
		t.Errorf("inittab:\n%s", got)
	}
	bootsync := "#!/bin/sh\n# put other system startup commands here\n/usr/bin/sethostname box\n/usr/local/etc/init.d/microkernel start\n/opt/bootlocal.sh &\n"
	if got := text(t, out, "opt/bootsync.sh"); got != bootsync {
		t.Errorf("bootsync.sh:\n%s", got)
	}
	if e := out.Get("opt/bootsync.sh"); e.Perm() != 0o755 || e.GID != 50 {
		t.Errorf("bootsync.sh: %o, group %d", e.Perm(), e.GID)
	}
	if got := text(t, out, "tmp/mk-version.yaml"); got != "---\nmk_version: \"1.0\"\n" {
		t.Errorf("mk-version.yaml: %q", got)
	}
	if s := text(t, out, InitScript); strings.Contains(s, "ssh") {
		t.Errorf("prod starts ssh:\n%s", s)
	}
}

func TestDev(t *testing.T) {
	out, err := Apply(withServer(t, base(t)), Options{Profile: "dev", Version: "1.0", Keys: []string{rsaKey}})
	testkit.Must(t, err)
	if got := text(t, out, KeyFile); got != rsaKey+"\n" {
		t.Errorf("keys: %q", got)
	}
	cfg := text(t, out, "usr/local/etc/ssh/sshd_config")
	for _, want := range []string{"PasswordAuthentication no\n", "AuthorizedKeysFile /" + KeyFile + "\n", "Subsystem sftp /usr/local/libexec/sftp-server\n"} {
		if !strings.Contains(cfg, want) {
			t.Errorf("sshd_config lacks %q:\n%s", want, cfg)
		}
	}
	for _, e := range out.Entries() {
		if strings.Contains(e.Path, "ssh_host_") {
			t.Errorf("a host key is baked in: %s", e.Path)
		}
	}
	if s := text(t, out, InitScript); !strings.Contains(s, "ssh-keygen") || !strings.Contains(s, "/usr/local/sbin/sshd") {
		t.Errorf("script:\n%s", s)
	}
	if strings.Contains(text(t, out, "etc/inittab"), "getty") {
		t.Error("dev has a console login")
	}
}

func TestDebugKeepsTheConsole(t *testing.T) {
	out, err := Apply(withServer(t, base(t)), Options{Profile: "debug", Version: "1.0", Keys: []string{rsaKey}})
	testkit.Must(t, err)
	if !strings.Contains(text(t, out, "etc/inittab"), "getty -nl /sbin/autologin") {
		t.Error("debug lost the automatic login")
	}
	for _, w := range WaysIn(finished(t, withServer(t, base(t)), out), Allow{Services: []string{"/usr/local/sbin/sshd"}}) {
		if w.Path != "etc/inittab" {
			t.Errorf("debug has more ways in than its console: %s", w)
		}
	}
}

func TestRefusals(t *testing.T) {
	_, err := Apply(base(t), Options{Profile: "dev", Keys: []string{rsaKey}})
	if fail.ClassOf(err) != fail.Usage || fail.HintOf(err) == "" {
		t.Errorf("dev without sshd: %v", err)
	}
	if _, err = Apply(withServer(t, base(t)), Options{Profile: "dev"}); err == nil {
		t.Error("dev without a key: no error")
	}
	tree := base(t)
	tree.Remove("etc/shadow")
	if _, err = Apply(tree, Options{Profile: "prod"}); fail.ClassOf(err) != fail.Verification || fail.HintOf(err) == "" {
		t.Errorf("no shadow: %v", err)
	}
	if _, err = Apply(with(t, base(t), "etc/passwd", "root:x:0:0::/:/bin/sh\nbob\n"), Options{Profile: "prod"}); fail.ClassOf(err) != fail.Verification || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("no account: %v", err)
	}
}

// TestDmidecode: Facter finds the program, and an existing file of the base stays in place of the link.
func TestDmidecode(t *testing.T) {
	const program, link = "usr/local/sbin/dmidecode", "usr/sbin/dmidecode"
	for _, tt := range []struct {
		files []string
		want  string
	}{{nil, ""}, {[]string{program}, "/" + program}, {[]string{program, link}, ""}, {[]string{link}, ""}} {
		tree := base(t)
		for _, f := range tt.files {
			with(t, tree, f, "")
		}
		out, err := Apply(tree, Options{Profile: "prod"})
		testkit.Must(t, err)
		if e := out.Get(link); (e == nil) != (tt.want == "") || e != nil && e.Link != tt.want {
			t.Errorf("%q: %+v", tt.files, e)
		}
	}
}

// TestConsoles runs the script of a debug image, with kernel arguments and a fake getty.
func TestConsoles(t *testing.T) {
	for args, want := range map[string]string{
		"quiet console=ttyS0,115200n8 console=tty0":       "-nL -l SELF 115200 ttyS0 vt102\n",
		"console=ttyS1 x=console=ttyS2 console=hvc0":      "-nL -l SELF 9600 hvc0 vt102\n-nL -l SELF 9600 ttyS1 vt102\n",
		"console=tty1 noautologin consoleblank=0 console": "",
	} {
		dir := t.TempDir()
		testkit.WriteFile(t, filepath.Join(dir, "cmdline"), args+"\n", 0o644)
		text := strings.NewReplacer("/proc/cmdline", dir+"/cmdline", "/sbin/getty", "echo", "while :; do", "{", "sleep 1; done", "}", `"$0"`, "SELF").Replace(consoles)
		got := strings.SplitAfter(testkit.Run(t, "sh", "-c", text, "consoles"), "\n")
		if slices.Sort(got); strings.Join(got, "") != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	out, err := Apply(withServer(t, base(t)), Options{Profile: "debug", Version: "1.0", Keys: []string{rsaKey}})
	testkit.Must(t, err)
	if !strings.Contains(text(t, out, "etc/inittab"), "\n::once:/usr/local/sbin/mk-consoles\n") || out.Get(consolesPath).Perm() != 0o755 {
		t.Error("nothing starts the script")
	}
}
