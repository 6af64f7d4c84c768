package mkclient

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestActionsNeverGetTheExtensionsPaths runs actions while an extension has programs of the same
// names as the client's own.
func TestActionsNeverGetTheExtensionsPaths(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter, func(o *Options, _ *Settings) {
		o.Environ = []string{"PATH=/opt/inherited:/usr/bin:/bin", "RUBYLIB=/opt/ruby", "LD_LIBRARY_PATH=/opt/lib", "LD_PRELOAD=", "FACTER_x=1"}
		o.Path = o.Path + ":/usr/bin:/bin"
	})
	evil := filepath.Join(m.base, "evil")
	var members []member
	for _, name := range []string{"facter", "lshw", "lscpu", "dmidecode", "reboot", "mcollectived"} {
		members = append(members, member{"bin/" + name, "#!/bin/sh\necho " + name + " >> " + evil + "\n", 0o755})
	}
	m.program("lshw", "env >> "+filepath.Join(m.base, "tool")+"; exit 1")
	m.program("reboot", "env > "+filepath.Join(m.base, "action"))
	srv.publish(pack(t, append(members, member{"facts.d/x.txt", "ext_x=1\n", 0o644})...), t0)
	m.cycle(srv)
	srv.answer = func(post) string { return "reboot" }
	m.cycle(srv)
	if b, err := os.ReadFile(evil); err == nil {
		t.Errorf("programs of the extension ran in place of the client's own: %q", b)
	}
	for _, name := range []string{"action", "tool"} {
		b, err := os.ReadFile(filepath.Join(m.base, name))
		if err != nil {
			t.Errorf("%v\n%s", err, m.log)
		}
		for line := range strings.Lines(string(b)) {
			key, _, _ := strings.Cut(line, "=")
			if strings.Contains(line, m.opt.ExtensionRoot) || strings.Contains(line, "/opt/") ||
				slices.Contains([]string{"RUBYLIB", "LD_LIBRARY_PATH", "LD_PRELOAD", "FACTER_x"}, key) {
				t.Errorf("%s got %q", name, line)
			}
		}
	}
}

// TestForeignDirectoryIsReplaced finds the extension's root made by somebody else, who could
// write into it, and one of its own that others may write into.
func TestForeignDirectoryIsReplaced(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]int{"foreign": 12345, "own": os.Geteuid()} {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, shFacter)
		m.write("ext/g-planted/facts.d/evil.txt", "evil=1\n")
		planted := `{"generations":[{"dir":"g-planted","url":"` + srv.URL + `/svc/mk/extension.zip","facts":null}]}`
		m.write("ext/state.json", planted)
		root := m.opt.ExtensionRoot
		if err := os.Chmod(root, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(root, owner, -1); err != nil {
			t.Logf("%s: needs root: %v", name, err)
			continue
		}
		if got := m.cycle(srv)["evil"]; name == "foreign" && got != nil {
			t.Error("a planted generation was used")
		}
		fi, err := os.Lstat(root)
		if err != nil || fi.Mode() != os.ModeDir|0o700 || int(fi.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
			t.Errorf("%s: root is %v, %v", name, fi.Mode(), err)
		}
	}
}

func TestNotARegularRootIsReplaced(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	m.write("ext", "a file took the name")
	srv.publish(fact(t, "ext_x", "1"), t0)
	if got := m.cycle(srv)["ext_x"]; got != "1" {
		t.Errorf("ext_x = %v\n%s", got, m.log)
	}
}

// TestFilesAreReplacedAtOnce holds a reader's handle while MCollective's facts and the state
// are written: it keeps the old text, whole, and the name leads to another file.
func TestFilesAreReplacedAtOnce(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	m.write("root"+mcoDir+"/server.cfg", "")
	srv.publish(fact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	for i, name := range []string{filepath.Join(m.base, "root", mcoFacts), filepath.Join(m.opt.ExtensionRoot, stateFile)} {
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		old, _ := f.Stat()
		srv.publish(fact(t, "ext_x", "another value"), t0.Add(time.Duration(i+1)*time.Minute))
		m.cycle(srv)
		if fi, err := os.Stat(name); err != nil || os.SameFile(fi, old) {
			t.Errorf("%s is written in place, %v", name, err)
		}
		held := make([]byte, len(before)+100)
		if n, _ := f.Read(held); string(held[:n]) != string(before) {
			t.Errorf("a reader of %s sees %q", name, held[:n])
		}
	}
	if left, _ := filepath.Glob(filepath.Join(m.base, "root", mcoDir, ".mk-client-*")); left != nil {
		t.Errorf("left %v", left)
	}
}

// TestBondSlavesKeepTheirOwnAddress enslaves two cards: a bond gives both the same address.
func TestBondSlavesKeepTheirOwnAddress(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	for i, name := range []string{"eth0", "eth1"} {
		dir := "root/sys/class/net/" + name
		m.write(dir+"/address", "52:54:00:00:00:01\n")
		m.write(dir+"/type", "1")
		m.write(dir+"/device/uevent", "")
		m.write(dir+"/bonding_slave/perm_hwaddr", fmt.Sprintf("52:54:00:00:00:A%d\n", i))
	}
	m.cycle(srv)
	if got, want := srv.last().HWID, "5254000000a0_5254000000a1"; got != want {
		t.Errorf("hw_id = %s, want %s", got, want)
	}
}

func TestAtMostFiveRedirects(t *testing.T) {
	t.Parallel()
	hops := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops++
		var left int
		fmt.Sscanf(r.URL.Path, "/%d", &left)
		if left > 0 {
			http.Redirect(w, r, fmt.Sprintf("/%d", left-1), http.StatusFound)
		}
	}))
	t.Cleanup(web.Close)
	m := newMachine(t, newRazor(t, razorKind), shFacter)
	for n, ok := range map[int]bool{0: true, 5: true, 6: false, 50: false} {
		hops = 0
		resp, err := m.web.do(t.Context(), http.MethodGet, fmt.Sprintf("%s/%d", web.URL, n), http.Header{}, nil)
		if (err == nil) != ok || hops > 6 {
			t.Errorf("%d redirects: %v after %d requests", n, err, hops)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
}

// TestTerminalStaysClean brings escape sequences from archives, servers and facts.
func TestTerminalStaysClean(t *testing.T) {
	t.Parallel()
	const esc = "\x1b]0;owned\x07\x1b[2J"
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	minutes := 0
	try := func(ext []byte, fault http.HandlerFunc) {
		minutes++
		srv.publish(ext, t0.Add(time.Duration(minutes)*time.Minute))
		srv.setFault(fault)
		m.cycle(srv)
	}
	try(pack(t, member{"../" + esc, "x", 0o755}), nil)
	try(pack(t, member{esc + "/facts.d/x.txt", "x", 0o755}), nil)
	try(pack(t, member{"bin/" + esc, "x", 0o020666}), nil)
	try(pack(t, member{"bin/l", "../../" + esc, 0o120777}), nil)
	try(nil, respond(302, map[string]string{"Location": "gopher://" + esc}, ""))
	try(pack(t, member{"facts.d/ok.txt", "ext_ok=1\n", 0o644}), nil)
	m.program("facter", "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\ncase \"$*\" in *external*) printf '\\033[2Jstderr' >&2; exit 1 ;; esac\n"+
		"echo '{\"facterversion\":\"2.5.7\"}'")
	try(pack(t, member{"facts.d/ok.txt", "ext_ok=2\n", 0o644}), nil) // its facts fail
	m.program("facter", "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\nprintf '\\033[2J' >&2\nexit 1")
	try(nil, nil)
	clean := func(what, text string) {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0) }); i >= 0 {
			t.Errorf("%s: %q", what, text)
		}
	}
	clean("log", m.log.String())
	clean("server's log", strings.Join(srv.logs, "\n"))
	if !strings.Contains(m.log.String(), "owned") || !strings.Contains(strings.Join(srv.logs, ""), "stderr") {
		t.Errorf("the texts do not get so far: the test proves nothing\n%s\n%q", m.log, srv.logs)
	}
}
