package profile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// prod is the tree of a prod image without any login.
func prod(t *testing.T) *overlay.Tree {
	t.Helper()
	tree := base(t)
	testkit.Must(t, tree.Put(overlay.File("bin/busybox", 0o4755, []byte("x"))))
	for link, to := range map[string]string{"sbin/init": "../bin/busybox", "bin/sh": "busybox", "usr/sbin/telnetd": "../../bin/busybox"} {
		testkit.Must(t, tree.Put(overlay.Symlink(link, to)))
	}
	with(t, tree, "etc/group", "root:x:0:\nlp:x:7:lp\n")
	with(t, tree, "init", "#!/bin/sh\ngrep -qw multivt /proc/cmdline && sed -i s/^#tty/tty/ /etc/inittab\nexec /sbin/init\n")
	out, err := Apply(tree, Options{Profile: "prod", Version: "1.0", Client: true})
	testkit.Must(t, err)
	return finished(t, tree, out)
}

// zipped is a runtime extension with one executable file.
func zipped(t *testing.T, name string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	testkit.Must(t, err)
	_, err = w.Write([]byte("x"))
	testkit.Must(t, err)
	testkit.Must(t, z.Close())
	return b.String()
}

// squashed is an extension of Tiny Core with one executable file.
func squashed(name, text string) string {
	return string(sqfs.Image([]sqfs.File{sqfs.Reg(name, 0o755, text)}))
}

const inittabText = "::sysinit:/etc/init.d/rcS\n::ctrlaltdel:/sbin/reboot\n"

// TestWaysIntoProd makes each change in turn to a closed image: each is refused, with its reason.
func TestWaysIntoProd(t *testing.T) {
	const stockPasswd = "root:x:0:0:root:/root:/bin/sh\ntc:x:1001:50::/home/tc:/bin/sh\n"
	inittab := func(line string) overlay.Entry {
		return overlay.File("etc/inittab", 0o644, []byte(inittabText+line+"\n"))
	}
	file := func(name, text string) overlay.Entry { return overlay.File(name, 0o755, []byte(text)) }
	const notStock = "is neither Tiny Core's nor mkbuild's"
	for _, tc := range []struct {
		name string
		put  overlay.Entry // no path: the named file is removed
		want string
	}{
		{"no inittab", overlay.Entry{Link: "etc/inittab"}, "it is missing"},
		{"dangling inittab", overlay.Symlink("etc/inittab", "/opt/none"), "leads nowhere"},
		{"inittab in a circle", overlay.Symlink("etc/inittab", "inittab"), "leads nowhere"},
		{"inittab is a folder", overlay.Dir("etc/inittab", 0o755), "not a regular file"},
		{"inittab is a device", overlay.Entry{Path: "etc/inittab", Mode: overlay.TypeChar | 0o644, Major: 1, Minor: 3}, "not a regular file"},
		{"empty inittab", file("etc/inittab", ""), "consoles of its own"},
		{"inittab with a zero byte", inittab("\x00"), "not a text file"},
		{"inittab of DOS", file("etc/inittab", "::sysinit:/etc/init.d/rcS\r\n"), "not a text file"},
		{"getty", inittab("tty1::respawn:/sbin/getty -nl /sbin/autologin 38400 tty1"), notStock},
		{"getty that multivt uncomments", inittab("#tty2::respawn:/sbin/getty 38400 tty2"), notStock},
		{"askfirst", inittab("ttyS0::askfirst:-/bin/sh"), "/etc/inittab: line 3, "},
		{"huge inittab", file("etc/inittab", strings.Repeat("#", maxText+1)), "it cannot be read"},
		{"ctrlaltdel", inittab("::ctrlaltdel:/bin/sh"), notStock},
		{"sysinit", inittab("::sysinit:/bin/ash"), notStock},
		{"restart", inittab("::restart:/bin/busybox sh"), notStock},
		{"shutdown", inittab("::shutdown:su -"), notStock},
		{"wait", inittab("::wait:setsid cttyhack ash"), notStock},
		{"once", inittab("::once:/opt/my-own"), notStock},
		{"a line in two halves", inittab("::once:/bin/s\\\nh"), notStock},
		{"known line with more behind", inittab("::sysinit:/etc/init.d/rcS; sh"), notStock},
		{"no passwd", overlay.Entry{Link: "etc/passwd"}, "it is missing"},
		{"passwd without a password", file("etc/passwd", stockPasswd+"bob::1002:50::/:/bin/sh\n"), "bob needs no password"},
		{"passwd with a hash", file("etc/passwd", stockPasswd+"bob:$1$a$b:1002:50::/:/bin/sh\n"), "bob has a password"},
		{"a second root", file("etc/passwd", stockPasswd+"toor:x:0:0::/:/bin/sh\n"), "has the uid 0"},
		{"uid 00", file("etc/passwd", stockPasswd+"toor:x:00:0::/:/bin/sh\n"), "not an account that can be judged"},
		{"uid that wraps", file("etc/passwd", stockPasswd+"toor:x:4294967296:0::/:/bin/sh\n"), "not an account that can be judged"},
		{"NIS", file("etc/passwd", stockPasswd+"+::::::\n"), "not an account that can be judged"},
		{"passwd with too few fields", file("etc/passwd", stockPasswd+"bob:x:5\n"), "line 3"},
		{"no shadow", overlay.Entry{Link: "etc/shadow"}, "it is missing"},
		{"dangling shadow", overlay.Symlink("etc/shadow", "/tmp/shadow"), "leads nowhere"},
		{"root without a password", file("etc/shadow", "root::13525:0:99999:7:::\n"), "root needs no password"},
		{"tc with the published password", file("etc/shadow", "root:*:1::::::\ntc:$1$x$y:1::::::\n"), "tc has a password"},
		{"shadow that is no shadow", file("etc/shadow", "root\n"), "line 1"},
		{"group is a link to nothing", overlay.Symlink("etc/group", "x"), "leads nowhere"},
		{"group that is none", file("etc/group", "root:x:zero:\n"), "line 1 is not a group"},
		{"securetty is a FIFO", overlay.Entry{Path: "etc/securetty", Mode: overlay.TypeFIFO | 0o644}, "not a regular file"},
		{"sudo without a password", file("etc/sudoers", "bob ALL=NOPASSWD: ALL\n"), "root without a password"},
		{"sudo, in two lines", file("etc/sudoers", "bob ALL = \\\n NOPASSWD: ALL\n"), "root without a password"},
		{"sudo, backslash at the end", file("etc/sudoers", "bob ALL=NOPASSWD: ALL\\\n"), "line 1 allows root without a password"},
		{"sudo, for tc and somebody", file("etc/sudoers", "tc , bob ALL=NOPASSWD: ALL\n"), "root without a password"},
		{"sudo, Defaults", file("etc/sudoers", "Defaults:bob !authenticate\n"), "root without a password"},
		{"sudo, by number", file("etc/sudoers", "#1002 ALL=NOPASSWD: ALL\n"), "root without a password"},
		{"sudo, stock's alias for everything", file("etc/sudoers", "Cmnd_Alias WRITE_CMDS = ALL\n"), "all commands"},
		{"sudo, another file", file("etc/sudoers", "#include /opt/rules\n"), "other rules"},
		{"sudo, no rule", file("etc/sudoers", "bob\n"), "not a rule"},
		{"sudoers.d", file("etc/sudoers.d/bob", "%bob ALL=(ALL) NOPASSWD: ALL\n"), "root without a password"},
		{"sshd", file("usr/local/sbin/sshd", ""), "by its name it is a server"},
		{"sshd in libexec", file("usr/local/libexec/sshd-session", ""), "by its name it is a server"},
		{"telnetd in libexec", file("usr/libexec/telnetd", ""), "by its name it is a server"},
		{"sshd where no programs lie", file("opt/x/sshd", ""), "by its name it is a server"},
		{"tinysshd", file("usr/bin/tinysshd", ""), "by its name it is a server"},
		{"utelnetd", file("bin/utelnetd", ""), "by its name it is a server"},
		{"rlogind", file("usr/sbin/rlogind", ""), "by its name it is a server"},
		{"in.rshd", file("usr/sbin/in.rshd", ""), "by its name it is a server"},
		{"rexecd", file("usr/sbin/rexecd", ""), "by its name it is a server"},
		{"dropbear", file("usr/local/bin/dropbearmulti", ""), "by its name it is a server"},
		{"inetd", file("usr/sbin/inetd", ""), "by its name it is a server"},
		{"udpsvd of something else", file("etc/init.d/services/tftpd", "udpsvd -E 0 69 sh -i $HOME\n"), "line 1 starts the server udpsvd"},
		{"udpsvd", file("usr/sbin/udpsvd", ""), "by its name it is a server"},
		{"telnetd of Debian", file("usr/sbin/telnetd.netkit", ""), "by its name it is a server"},
		{"telnetd, a link to the base's busybox", overlay.Symlink("usr/local/bin/telnetd", "/bin/busybox"), "by its name it is a server"},
		{"the base's own link is back", overlay.Symlink("usr/sbin/telnetd", "../../bin/busybox"), "by its name it is a server"},
		{"sshd, a link to a busybox elsewhere", overlay.Symlink("usr/sbin/sshd", "/opt/busybox-full"), "by its name it is a server"},
		{"sshd, a link to nothing yet", overlay.Symlink("usr/sbin/sshd", "/tmp/x"), "by its name it is a server"},
		{"TCZ with sshd", file("tmp/builtin/optional/openssh.tcz", squashed("sshd", "")), "in it, /sshd"},
		{"TCZ whose script starts a login", file("opt/tce/optional/x.tcz", squashed("usr/local/tce.installed/x", "getty 38400 tty1\n")), "in it, /usr/local/tce.installed/x"},
		{"TCZ that is none", file("tmp/builtin/optional/x.tcz", "hello"), "cannot be opened"},
		{"builtin cpio", file("tmp/builtin/more.gz", ""), "mkbuild does not judge it"},
		{"backup of Tiny Core", file("tmp/tce/mydata.tgz", ""), "mkbuild does not judge it"},
		{"zip with sshd", file("usr/lib/mk-client/mk-extension.zip", zipped(t, "bin/sshd")), "in it, /bin/sshd"},
		{"zip that is none", file("usr/lib/mk-client/mk-extension.zip", "PK"), "cannot be opened"},
		{"bootlocal.sh starts telnetd of busybox", file("opt/bootlocal.sh", "#!/bin/sh\nbusybox telnetd -l /bin/sh &\n"), "line 2 starts the server telnetd"},
		{"start-stop-daemon", file("opt/bootsync.sh", "start-stop-daemon --start --exec /opt/b/telnetd\n"), "the server telnetd"},
		{"a shell on a console", file("opt/bootlocal.sh", "if true; then setsid sh -c 'exec ash </dev/tty2 >/dev/tty2 2>&1' & fi\n"), "the shell ash"},
		{"a shell by cttyhack", file("etc/init.d/rcS", "setsid cttyhack sh\n"), "the shell sh"},
		{"openvt", file("usr/local/tce.installed/x", "openvt -c 2 -- /bin/bash\n"), "the shell bash"},
		{"su in a script", file("opt/bootlocal.sh", "su - tc </dev/ttyS0\n"), "a shell by su"},
		{"serial login of Tiny Core", file("opt/bootlocal.sh", "/usr/sbin/startserialtty &\n"), "the login startserialtty"},
		{"nc", file("opt/bootlocal.sh", "nc -lk -p 99 -e /bin/sh\n"), "nc, which listens"},
		{"a shell by its option", file("opt/bootlocal.sh", "bash --rcfile /etc/x -i\n"), "the shell bash"},
		{"a shell that reads a console", file("opt/bootlocal.sh", "sh +m /dev/ttyS0\n"), "the shell sh"},
		{"what is typed", file("opt/bootlocal.sh", ". /dev/tty1\n"), "typed at /dev/tty1"},
		{"command in printed text", file("opt/bootlocal.sh", "#!/bin/sh\necho \"up $(telnetd -l /bin/sh) now\"\n"), "line 2 starts the server telnetd"},
		{"command in printed text, in backquotes", file("opt/bootlocal.sh", "#!/bin/sh\necho \"up `telnetd -l /bin/sh` now\"\n"), "line 2 starts the server telnetd"},
		{"command around a command in printed text", file("opt/bootlocal.sh", "#!/bin/sh\necho \"up $(telnetd -l $(which sh)) now\"\n"), "line 2 starts the server telnetd"},
		{"command behind printed text", file("opt/bootlocal.sh", "#!/bin/sh\necho \"up\" && telnetd\n"), "line 2 starts the server telnetd"},
		{"script that setup.lst names", file("opt/x.sh", "getty 38400 tty1\n"), "/opt/x.sh: line 1 starts the login getty"},
		{"rules behind a link", overlay.Symlink("etc/sudoers.d", "/opt/rules"), "/opt/rules/bob: line 1"},
		{"scripts behind a link", overlay.Symlink("usr/local/etc/init.d", "/opt/rules"), "line 2 starts the shell sh"},
		{"builtin behind a link", overlay.Symlink("tmp/builtin", "/opt/rules"), "/opt/rules/more.gz"},
		{"sshd2", file("usr/sbin/sshd2", ""), "by its name it is a server"},
		{"init is a shell", overlay.Symlink("init", "/bin/bash"), "leads nowhere"},
		{"init is a link to a script", overlay.Symlink("init", "/tmp/setup.lst"), "not Tiny Core's script"},
		{"init that starts one", file("init", "#!/bin/sh\nmount -t proc proc /proc\nexec /bin/sh\n"), "the shell sh"},
		{"sbin/init is another", overlay.File("sbin/init", 0o755, []byte("x")), "not Tiny Core's busybox"},
		{"a function that is another program", file("etc/init.d/x", "ls() {\n\tbusybox telnetd \"$@\"\n}\n"), "line 2 starts the server telnetd"},
		{"a function that is called", file("etc/init.d/x", "ash() {\n\tbusybox ash \"$@\"\n}\nash\n"), "line 4 starts the shell ash"},
		{"udev", file("etc/udev/rules.d/9.rules", "# rules\nKERNEL==\"sda\", RUN+=\"/bin/sh -c 'telnetd -l /bin/sh'\"\n"), "line 2 starts the server telnetd"},
		{"udev, a program that is asked", file("usr/local/lib/udev/rules.d/9.rules", "IMPORT{program}==\"/usr/bin/openvt -c 2 sh\"\n"), "line 1 starts the shell sh"},
		{"mdev elsewhere", overlay.Symlink("etc/mdev.conf", "/mnt/sda1/mdev.conf"), "leads nowhere"},
		{"mdev", file("etc/mdev.conf", "ttyS0 0:0 660 @getty 9600 ttyS0\n"), "line 1 starts the login getty"},
		{"modprobe", file("etc/modprobe.d/x.conf", "install loop /bin/busybox telnetd; /sbin/insmod loop\n"), "line 1 starts the server telnetd"},
		{"cron", file("var/spool/cron/crontabs/root", "* * * * * nc -lp 9 -e sh\n"), "line 1 starts nc, which listens"},
		{"cron at the start", file("var/spool/cron/crontabs/root", "@reboot dropbear\n"), "line 1 starts the server dropbear"},
		{"udhcpc", file("usr/share/udhcpc/default.script", "#!/bin/sh\ntelnetd\n"), "line 2 starts the server telnetd"},
		{"rules that are a link to nothing", overlay.Symlink("etc/udev/rules.d/9.rules", "/mnt/x"), "leads nowhere"},
		{"script that is no text", file("etc/init.d/rcS", "\x7fELF\x00"), "not a text file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tree := prod(t)
			switch {
			case tc.put.Path == "":
				tree.Remove(tc.put.Link)
			case strings.HasSuffix(tc.name, "behind a link"):
				with(t, tree, "opt/rules/bob", "bob ALL=NOPASSWD: ALL\n( sh )\n")
				with(t, tree, "opt/rules/more.gz", "")
				tree.Remove(tc.put.Path)
				fallthrough
			default:
				with(t, tree, "tmp/setup.lst", "/opt/x.sh\n")
				testkit.Must(t, tree.Put(tc.put))
			}
			err := Closed(tree, Allow{})
			if fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestHarmlessNeighbours are similar to refused changes, but harmless.
func TestHarmlessNeighbours(t *testing.T) {
	allow := Allow{Inittab: []string{"ttyS0::respawn:/opt/menu", "tty2::once:/opt/report"}, Services: []string{"/usr/local/sbin/sshd", "/opt/bootlocal.sh", "/tmp/tce/mydata.tgz"}}
	for name, put := range map[string]overlay.Entry{
		"as built":                   overlay.File("etc/motd", 0o644, nil),
		"prose in inittab":           overlay.File("etc/inittab", 0o644, []byte("# what init starts: getty\n#\n\n"+inittabText+"::restart:/sbin/init\n::shutdown:/etc/init.d/rc.shutdown \n")),
		"inittab is a link":          overlay.Symlink("etc/inittab", "/opt/inittab"),
		"allowed lines":              overlay.File("etc/inittab", 0o644, []byte(inittabText+"ttyS0::respawn:/opt/menu\n#tty2::once:/opt/report\n")),
		"stock sudoers":              overlay.File("etc/sudoers", 0o440, []byte("# rules\nCmnd_Alias WRITE_CMDS = /usr/bin/tee /etc/sysconfig/backup, /usr/local/bin/wr_logs\nALL     ALL=PASSWD: ALL\nroot\tALL=(ALL) ALL\ntc\tALL=NOPASSWD: ALL\nALL     ALL=(ALL) NOPASSWD: WRITE_CMDS\nDefaults env_reset\n#includedir /etc/sudoers.d\n")),
		"locked with a mark":         overlay.File("etc/shadow", 0o640, []byte("root:!\n\ntc:!!:1::::::\nbob:*LK*:1:0:99999:7:::\n")),
		"old groups":                 overlay.File("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n\n")),
		"empty line in passwd":       overlay.File("etc/passwd", 0o644, []byte("root:x:0:0::/:/bin/sh\n\n")),
		"group without members":      overlay.File("etc/group", 0o644, []byte("root:x:0\n")),
		"text named after a server":  overlay.File("opt/notes/sshd", 0o644, nil),
		"init is a script":           overlay.File("init", 0o755, []byte("#!/bin/sh\nmount -t proc proc /proc\nexec /sbin/init\n")),
		"allowed server":             overlay.File("usr/local/sbin/sshd", 0o755, nil),
		"allowed script":             overlay.File("opt/bootlocal.sh", 0o755, []byte("telnetd\n")),
		"allowed backup":             overlay.File("tmp/tce/mydata.tgz", 0o644, nil),
		"script of an allowed one":   overlay.File("opt/bootsync.sh", 0o755, []byte("/usr/local/sbin/sshd\n")),
		"clients":                    overlay.File("usr/bin/telnet", 0o755, nil),
		"ssh":                        overlay.File("usr/local/bin/ssh", 0o755, nil),
		"completion":                 overlay.File("usr/local/share/bash-completion/completions/sshd", 0o644, nil),
		"configuration":              overlay.File("etc/ssh/sshd_config", 0o644, nil),
		"manual":                     overlay.File("usr/local/share/man/man8/in.tftpd.8", 0o644, nil),
		"folder":                     overlay.Dir("usr/local/bin/sshd", 0o755),
		"marker":                     overlay.File("usr/local/tce.installed/dropbear", 0o644, nil),
		"masked":                     overlay.Symlink("usr/sbin/in.telnetd", "/dev/null"),
		"klogd":                      overlay.Symlink("sbin/klogd", "../bin/busybox"),
		"TCZ without one":            overlay.File("tmp/builtin/optional/x.tcz", 0o644, []byte(squashed("ls", ""))),
		"zip without one":            overlay.File("usr/lib/mk-client/mk-extension.zip", 0o644, []byte(zipped(t, "facts.d/sshd.sh"))),
		"text that is printed":       overlay.File("etc/init.d/x", 0o755, []byte("#!/bin/sh\necho \"sshd; $(date); telnetd; $(uname)\"\necho \"console $(grep -c getty /etc/inittab) login lines\" >/dev/ttyS0\nprintf '%s\\n' \"sshd; telnetd | sh\"\n")),
		"words that start nothing":   overlay.File("opt/bootsync.sh", 0o755, []byte("#!/bin/sh\n# telnetd\nkillall telnetd\n.\n[ -x /usr/sbin/sshd ] && rm -f /usr/sbin/sshd\necho 'no getty here' >/dev/console\nsh /opt/x.sh\nsu tc -c 'tce-load -i x'\nexec >/dev/null 2>&1\nnc -w 1 host 80 </dev/null\n/opt/bootlocal.sh &\n")),
		"functions around busybox":   overlay.File("etc/init.d/busybox-aliases", 0o755, []byte("ash() {\n    busybox ash \"$@\"\n}\n\ninetd() {\n    sudo busybox inetd \"$@\"\n}\n")),
		"udev's rules":               overlay.File("etc/udev/rules.d/9.rules", 0o644, []byte("SUBSYSTEM==\"tty\", GROUP=\"tty\", SYMLINK+=\"sshd\"\nRUN+=\"/sbin/modprobe -bv $env{MODALIAS}\", RUN+=\"/bin/sh -c 'echo 1 > /sys/x'\"\n")),
		"modprobe's aliases":         overlay.File("etc/modprobe.conf", 0o644, []byte("# install x telnetd\nalias telnetd off\ninstall ipv6 /bin/true\n")),
		"crontab":                    overlay.File("var/spool/cron/crontabs/root", 0o600, []byte("0 3 * * * su tc -c /opt/report\n")),
		"init is a link to busybox":  overlay.Symlink("init", "sbin/init"),
		"a script of its own for sh": overlay.File("etc/init.d/rcS", 0o755, []byte("#!/bin/sh\n/bin/mount -a\n/etc/init.d/tc-config\n")),
		"stock service of tftpd":     overlay.File("etc/init.d/services/tftpd", 0o755, []byte("#!/bin/sh\ncase \"${1}\" in\n\tstart)\n\t\t/sbin/udpsvd -E 0 69 tftpd $HOME &\n\t\t/usr/bin/udpsvd -E 0 69 tftpd $HOME &\n\t\t;;\n\tstop)\n\t\tpkill udpsvd\n\t\t;;\nesac\n")),
		"functions around suid":      overlay.File("etc/init.d/busybox-aliases", 0o755, []byte("login() {\n    busybox.suid login \"$@\"\n}\n")),
		"a comment with colons":      overlay.File("etc/inittab", 0o644, []byte("# Format of each line: <id>:<runlevels>:<action>:<process>\n#\n"+inittabText)),
	} {
		t.Run(name, func(t *testing.T) {
			tree := with(t, prod(t), "opt/inittab", inittabText)
			testkit.Must(t, tree.Put(put))
			if err := Closed(tree, allow); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInitIsAHardLink: some tools make hard links of busybox's names.
func TestInitIsAHardLink(t *testing.T) {
	tree := prod(t)
	for _, name := range []string{"bin/busybox", "sbin/init"} {
		box := overlay.File(name, 0o4755, []byte("x"))
		box.HardLink = "1"
		testkit.Must(t, tree.Put(box))
	}
	testkit.Must(t, Closed(tree, Allow{}))
	tree.Get("sbin/init").HardLink = "2"
	if err := Closed(tree, Allow{}); err == nil || !strings.Contains(err.Error(), "not Tiny Core's busybox") {
		t.Errorf("another file: %v", err)
	}
}

// TestBusyboxServersAreMasked: a stock base has telnetd as a link of either kind to its busybox.
func TestBusyboxServersAreMasked(t *testing.T) {
	tree := base(t)
	box := overlay.File("bin/busybox", 0o4755, []byte("x"))
	box.HardLink = "1"
	testkit.Must(t, tree.Put(box))
	box.Path = "usr/sbin/inetd"
	testkit.Must(t, errors.Join(tree.Put(box), tree.Put(overlay.Symlink("usr/sbin/telnetd", "../../bin/busybox"))))
	out, err := Apply(tree, Options{Profile: "prod", Version: "1.0", Client: true})
	testkit.Must(t, err)
	for _, name := range []string{"usr/sbin/telnetd", "usr/sbin/inetd"} {
		if e := out.Get(name); e == nil || e.Link != "/dev/null" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestArchivesInArchives: small archives that unpack to large or many files are refused in time.
func TestArchivesInArchives(t *testing.T) {
	tree := prod(t)
	archive, opened := squashed("x.tcz", ""), 0 // each counts as two of 1 MiB
	for i := range 2000 {
		e := overlay.File(fmt.Sprintf("opt/tce/%d.tcz", i), 0o644, nil)
		e.Size = int64(len(archive))
		e.Open = func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(strings.NewReader(archive)), nil
		}
		testkit.Must(t, tree.Put(e))
	}
	if ways := WaysIn(tree, Allow{}); len(ways) != 2000 || opened != 512 || !strings.Contains(ways[1999].What, "more than") {
		t.Errorf("%d ways in, %d archives opened", len(ways), opened)
	}
	if err := Closed(with(t, prod(t), "opt/a.tcz", squashed("b.tcz", squashed("c.tcz", squashed("bin/sshd", "")))), Allow{}); err == nil || !strings.Contains(err.Error(), "/opt/a.tcz") {
		t.Errorf("three deep: %v", err)
	}
}

func TestWayNamesItsOrigin(t *testing.T) {
	for want, w := range map[string]Way{"/a: x": {Path: "a", What: "x"}, "/a (b.tcz): x": {Path: "a", What: "x", Origin: "b.tcz"}} {
		if got := w.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
