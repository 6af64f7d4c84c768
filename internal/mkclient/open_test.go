package mkclient

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/mkclient/facts"
)

// TestOpen reads a /proc with sockets of all families and terminals of all kinds, as in Linux 3.0 and 6.1.
func TestOpen(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put := func(name, text string) { testkit.Put(t, filepath.Join(root, "proc", name), []byte(text)) }
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := func(local, remote, state string, inode int) string {
		return fmt.Sprintf("   0: %s %s %s 00000000:00000000 00:00000000 00000000     0        0 %d 1 f5b6a000 300 0\n", local, remote, state, inode)
	}
	const none4, none6 = "00000000:0000", "00000000000000000000000000000000:0000"
	put("net/tcp", head+line("00000000:0017", none4, "0A", 1)+line("0F02000A:0016", "0202000A:8235", "01", 2)+line("0100007F:1F90", none4, "0A", 3))
	put("net/tcp6", head+line("00000000000000000000000000000000:0016", none6, "0A", 4))
	put("net/udp", head+line("00000000:0045", none4, "07", 5)+line("0F02000A:9C40", "0302000A:0035", "01", 6)+line("00000000:0044", none4, "07", 7))
	put("net/udp6", head+line("00000000000000000000000001000000:0202", none6, "07", 8))
	put("net/raw", head+line("00000000:0001", none4, "07", 9))
	put("net/packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\nf5b6a000 3      3    0003   2     1 0      0      10\nf5b6a400 3      2    0800   2     1 0      0      11\n")
	put("net/unix", "Num       RefCount Protocol Flags    Type St Inode Path\nf5b6a000: 00000002 00000000 00010000 0001 01    12 /dev/log\n")
	process := func(pid int, exe, cmdline string, fds ...string) {
		dir := fmt.Sprintf("%d/", pid)
		put(dir+"cmdline", cmdline)
		testkit.Must(t, os.Symlink(exe, filepath.Join(root, "proc", dir, "exe")))
		testkit.Must(t, os.MkdirAll(filepath.Join(root, "proc", dir, "fd"), 0o755))
		for i, fd := range fds {
			target, flags, ok := strings.Cut(fd, " ")
			if !ok {
				flags = "0100002"
			}
			put(fmt.Sprintf("%sfdinfo/%d", dir, i), "pos:\t0\nflags:\t"+flags+"\n")
			testkit.Must(t, os.Symlink(target, filepath.Join(root, "proc", dir, "fd", fmt.Sprint(i))))
		}
	}
	process(1, "/bin/busybox", "init\x00", "/dev/console")
	process(os.Getpid(), "/usr/local/sbin/mk-client", "mk-client\x00run\x00", "/dev/console", "socket:[2]", "socket:[6]")
	process(20, "/bin/busybox", "busybox\x00telnetd\x00-F\x00", "/dev/null", "socket:[1]")
	process(21, "/usr/local/bin/ruby", "ruby\x00/opt/served.rb\x00", "/dev/null", "/dev/console", "socket:[3]", "socket:[5]")
	process(22, "/usr/local/sbin/sshd (deleted)", "sshd: /usr/local/sbin/sshd\x00", "socket:[4]", "socket:[4]", "/dev/pts/0")
	process(23, "/bin/busybox", "udhcpc\x00-b\x00", "socket:[7]", "socket:[11]")
	process(24, "/bin/busybox", "-sh\x00", "/dev/ttyS0", "/dev/ttyS0")
	process(25, "/bin/busybox", "/sbin/getty\x0038400\x00tty2\x00", "/dev/tty2 00")
	process(26, "/usr/bin/odd\x1b[2J", "odd\x00", "/dev/hvc0", "socket:[9]", "socket:[10]")
	process(28, "/usr/local/bin/askd", "askd\x00", "/dev/console")
	process(27, "/bin/busybox", "syslogd\x00", "socket:[12]", "/dev/tty4 01")
	got := findOpen(facts.Root(root))
	want := []string{
		"packet protocol 0003 /usr/bin/odd?[2J odd", "raw 0.0.0.0:1 /usr/bin/odd?[2J odd", "tcp 0.0.0.0:23 /bin/busybox telnetd",
		"tcp 127.0.0.1:8080 /usr/local/bin/ruby /opt/served.rb", "tcp6 [::]:22 /usr/local/sbin/sshd (deleted) sshd: /usr/local/sbin/sshd",
		"udp 0.0.0.0:69 /usr/local/bin/ruby /opt/served.rb", "udp6 [::1]:514 no program",
	}
	if text := strings.Join(got.Listening, "\n"); text != strings.Join(want, "\n") {
		t.Errorf("listening:\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	want = []string{"console /usr/local/bin/askd", "hvc0 /usr/bin/odd?[2J odd", "tty2 /bin/busybox /sbin/getty", "ttyS0 /bin/busybox -sh"}
	if text := strings.Join(got.Consoles, "\n"); text != strings.Join(want, "\n") {
		t.Errorf("consoles:\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	if got := findOpen(facts.Root(t.TempDir())); len(got.Listening) != 1 || !strings.Contains(got.Listening[0], "cannot list") {
		t.Errorf("without /proc: %q", got.Listening)
	}
}

// TestOpenIsReported: a real socket of a real kernel is reported in the facts and on the console, once.
func TestOpenIsReported(t *testing.T) {
	srv, m := boot(t, "", realProc)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer l.Close()
	socket := "tcp " + l.Addr().String() + " "
	for range 2 {
		m.cycle(srv)
		if got, _ := srv.Last().Facts["mk_listening"].(string); !strings.Contains(got, socket) {
			t.Errorf("the fact does not say %s: %s", socket, got)
		}
	}
	if n := strings.Count(m.log.String(), socket); n == 0 {
		t.Errorf("the log does not say it:\n%s", m.log)
	}
}
