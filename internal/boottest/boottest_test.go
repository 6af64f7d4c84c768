package boottest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/fail"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/qemu"
	"mkbuild/internal/wholefile"
)

// emulator is a fake QEMU: a shell script that gets QEMU's arguments.
func emulator(t *testing.T, script string) string {
	t.Helper()
	return put(t, filepath.Join(t.TempDir(), "qemu"), "#!/bin/sh\n"+script, 0o755)
}

func put(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	testkit.WriteFile(t, name, text, mode)
	return name
}

// folder is a PXE folder.
func folder(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "vmlinuz"), string(tinymirror.VMLinuz("6.1.2-tinycore64")), 0o644)
	put(t, filepath.Join(dir, "core.gz"), "an initrd", 0o644)
	put(t, filepath.Join(dir, "boot.ipxe"), script, 0o644)
	return dir
}

// get fetches a file like iPXE, by our address in the machine.
func get(t *testing.T, s *session, path string) (int, string) {
	t.Helper()
	url := strings.Replace(s.machine.NetBoot, guestAddress, "127.0.0.1", 1)
	resp, err := http.Get(strings.TrimSuffix(url, scriptName) + path)
	testkit.Must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	testkit.Must(t, err)
	return resp.StatusCode, string(b)
}

// TestFolderIsServed requests like iPXE: the script with more arguments, the files next to it, and files outside
// the folder.
func TestFolderIsServed(t *testing.T) {
	dir := folder(t, "#!ipxe\nkernel vmlinuz initrd=core.gz\ninitrd core.gz\nboot\n")
	put(t, filepath.Join(filepath.Dir(dir), "outside"), "x", 0o644)
	testkit.Must(t, os.Symlink("../outside", filepath.Join(dir, "link")))
	s, err := prepare(t.Context(), Options{Image: dir, Append: "a=b"})
	testkit.Must(t, err)
	defer s.close()
	if s.machine.Program != "qemu-system-x86_64" || s.machine.CDROM != "" {
		t.Errorf("got %+v", s.machine)
	}
	if _, text := get(t, s, "boot.ipxe"); text != "#!ipxe\nkernel vmlinuz initrd=core.gz console=ttyS0 a=b\ninitrd core.gz\nboot\n" {
		t.Errorf("script %q", text)
	}
	if code, text := get(t, s, "core.gz"); code != 200 || text != "an initrd" {
		t.Errorf("initrd: %d, %q", code, text)
	}
	for _, name := range []string{"nowhere", "link", "..%2foutside"} {
		if code, text := get(t, s, name); code != 404 {
			t.Errorf("%s: %d, %q", name, code, text)
		}
	}
}

// TestISOIsServed: over the network an ISO is served as a PXE folder of its boot files.
func TestISOIsServed(t *testing.T) {
	iso, err := tinymirror.ISO()
	testkit.Must(t, err)
	name := put(t, filepath.Join(t.TempDir(), "x.iso"), string(iso), 0o644)
	s, err := prepare(t.Context(), Options{Image: name, Format: "pxe", Append: "a=b"})
	testkit.Must(t, err)
	defer s.close()
	_, script := get(t, s, "boot.ipxe")
	testkit.Contains(t, script, "kernel vmlinuz initrd=core.gz quiet console=ttyS0 a=b |", "initrd core.gz |")
	if code, kernel := get(t, s, "vmlinuz"); code != 200 || kernel != string(tinymirror.VMLinuz(tinymirror.Kernel)) {
		t.Errorf("kernel: %d, %d bytes", code, len(kernel))
	}
}

// TestCheckIn reports like mk-client, to the server address that the machine gets.
func TestCheckIn(t *testing.T) {
	s, err := prepare(t.Context(), Options{Image: folder(t, "kernel vmlinuz\n"), Program: emulator(t, "echo MK loaded: v1; exec sleep 60"), CheckIn: true})
	testkit.Must(t, err)
	defer s.close()
	if _, script := get(t, s, "boot.ipxe"); !strings.Contains(script, " razor.server="+s.server.guestHost()+" ") {
		t.Errorf("the machine does not learn of its server: %s", script)
	}
	vm, err := qemu.Start(t.Context(), s.machine)
	testkit.Must(t, err)
	defer vm.Stop()
	if code, text := get(t, s, "svc/nodeid?net0=52:54:00:12:34:56"); code != 200 {
		t.Fatalf("no node: %d, %s", code, text)
	}
	url := "http://" + s.server.listener.Addr().String() + "/svc/checkin/1"
	for range 2 { // nobody waits for the second check-in, which must not hang
		resp, err := http.Post(url, "application/json", strings.NewReader(`{"hw_id":"x","facts":{"macaddress":"52:54:00:12:34:56","rack":"r12"}}`))
		testkit.Must(t, err)
		resp.Body.Close()
	}
	if r, err := s.watch(t.Context(), vm); err != nil || r.Node != "node1" || r.Facts["rack"] != "r12" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestNoCheckIn(t *testing.T) {
	for script, rule := range map[string]string{
		"echo MK loaded: v1; exec sleep 60":                               qemu.RuleNoCheckIn,
		"echo MK loaded: v1; echo 'Kernel panic - x'; exec sleep 60":      "boot-kernel-panic",
		"echo MK loaded: v1; echo then it ends":                           qemu.RuleEnded,
		"echo 'modprobe: chdir(x): no such'; exec sleep 60":               qemu.RuleNoModules,
		"echo MK loaded: v1; echo 'modprobe: chdir(x)'; echo; sleep 0.01": qemu.RuleNoModules,
	} {
		dir := folder(t, "kernel vmlinuz\n")
		limit := testkit.Patience
		if rule == qemu.RuleNoCheckIn {
			limit = 5 * time.Second // only a timeout can detect it
		}
		_, err := Test(t.Context(), Options{Image: dir, Program: emulator(t, script), CheckIn: true, Timeout: limit})
		var be *qemu.BootError
		if !errors.As(err, &be) || be.Rule != rule {
			t.Errorf("%s: got %v, want %s", script, err, rule)
		}
		if b, err := os.ReadFile(dir + ".console.log"); err != nil || len(b) == 0 {
			t.Errorf("%s: no log: %v", script, err)
		}
	}
}

// TestOpen compares the report of a prod image's client with its configuration.
func TestOpen(t *testing.T) {
	const nc, getty = "tcp 0.0.0.0:4444 /bin/busybox nc", "ttyS0 /bin/busybox -sh /opt/menu"
	for _, tt := range []struct {
		profile, config  string
		listening, reads string // "" omits the report
		want             string // the rule, or its text
	}{
		{"prod", "", "", "", qemu.RuleEnded},
		{"prod", "", "[]", "[]", ""},
		{"prod", "", `["` + nc + `"]`, "[]", qemu.RuleOpen},
		{"prod", `"services":{"allow":["/b"]}`, `["` + nc + `","udp [::]:1 /a","udp [::]:2 /b"]`, `["tty1 /c"]`, "in a prod image something listens: " + nc + "; something listens: udp [::]:1 /a; something reads a console: tty1 /c"},
		{"prod", "", "[]", `["` + getty + `"]`, qemu.RuleOpen},
		{"prod", "", `["cannot list listening sockets: no /proc"]`, "[]", qemu.RuleOpen},
		{"prod", `"services":{"allow":["/usr/bin/nc","/usr/sbin/telnetd"]}`, `["` + nc + `"]`, "[]", ""},
		{"prod", `"services":{"allow":["/bin/busybox"]}`, `["` + nc + `"]`, "[]", ""},
		{"prod", `"services":{"allow":["/usr/sbin/telnetd","/nc","/usr/bin/n"]}`, `["tcp [::]:22 /usr/local/bin/nc"]`, "[]", qemu.RuleOpen},
		{"prod", `"services":{"allow":["/opt/served.rb"]}`, `["tcp [::]:80 /usr/local/bin/ruby /opt/served.rb"]`, "[]", ""},
		{"prod", `"boot":{"allow_inittab":["ttyS0::respawn:-/opt/menu"]}`, "[]", `["` + getty + `"]`, ""},
		{"prod", `"boot":{"allow_inittab":["ttyS0::respawn:-/opt/menu"]}`, "[]", `["tty1 /bin/busybox -sh"]`, qemu.RuleOpen},
		{"prod", `"boot":{"allow_inittab":["tty1::respawn:/bin/sh /opt/menu"]}`, "[]", `["tty1 /bin/busybox /bin/sh /opt/menu"]`, ""},
		{"prod", `"boot":{"allow_inittab":["tty1::respawn:/bin/sh /opt/menu"]}`, "[]", `["tty1 /bin/busybox /bin/sh /opt/other"]`, qemu.RuleOpen},
		{"prod", `"boot":{"allow_inittab":["tty1::once:/bin/busybox setsid /opt/menu"]}`, "[]", `["tty1 /bin/busybox sh"]`, qemu.RuleOpen},
		{"prod", `"boot":{"allow_inittab":["tty1::respawn:/opt/menu"]}`, `["tcp 0.0.0.0:1 /opt/menu"]`, "[]", qemu.RuleOpen},
		{"dev", "", "", "", ""},
		{"dev", "", `["` + nc + `"]`, "[]", ""},
	} {
		dir := folder(t, "kernel vmlinuz\n")
		m := manifest.Manifest{Schema: manifest.Schema, Profile: tt.profile, Plan: strings.Repeat("0", 64), Release: "4.5.2", Arch: "x86", Config: []byte("{" + tt.config + "}")}
		text, err := m.Render()
		testkit.Must(t, err)
		put(t, filepath.Join(dir, "manifest.json"), string(text), 0o644)
		script := "echo MK loaded: v1; "
		if tt.listening != "" {
			script += fmt.Sprintf(`echo 'mk-client: info: open: {"listening":%s,"consoles":%s}'; `, tt.listening, tt.reads)
		}
		_, err = Test(t.Context(), Options{Image: dir, Program: emulator(t, script), Timeout: 10 * time.Second})
		var be *qemu.BootError
		if errors.As(err, &be); err != nil && be == nil || be != nil && be.Rule != tt.want && be.Why != tt.want || err == nil && tt.want != "" {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestNozswapNeedsNoModules: with that argument Tiny Core does not wait for zram.
func TestNozswapNeedsNoModules(t *testing.T) {
	o := Options{Image: folder(t, "kernel vmlinuz nozswap\n"), Program: emulator(t, "echo 'modprobe: chdir(x): no such'; echo MK loaded: v1; exec sleep 60")}
	if _, err := Test(t.Context(), o); err != nil {
		t.Error(err)
	}
}

func TestImagesThatAreRefused(t *testing.T) {
	empty := t.TempDir()
	for name, want := range map[string]string{
		filepath.Join(empty, "nowhere"): "no such file",
		empty:                           "has no boot.ipxe",
		folder(t, "#!ipxe\nboot\n"):     "has no kernel line",
		os.DevNull:                      "not a file",
	} {
		_, err := prepare(t.Context(), Options{Image: name})
		if fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), want) || fail.HintOf(err) == "" {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestLogOfLastResort(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o := Options{Image: filepath.Join(t.TempDir(), "no", "folder", "x.iso")}
	be := &qemu.BootError{}
	testkit.Must(t, o.keepLog("the log\n", be))
	if b, err := os.ReadFile(be.LogFile); err != nil || string(b) != "the log\n" {
		t.Errorf("%q: %q, %v", be.LogFile, b, err)
	}
	o.Log = o.Image
	if err := o.keepLog("x", nil); err == nil {
		t.Error("a log that cannot be written is no error")
	}
}

// TestSegmentsAreServed: from a folder in segments iPXE gets the files in its script, with further arguments.
func TestSegmentsAreServed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pxe")
	m, err := medium.NewSegments(overlay.File("vmlinuz", 0o644, tinymirror.VMLinuz("6.1.2-tinycore64")),
		[]overlay.Entry{overlay.File("a", 0o644, []byte("base")), overlay.File("b", 0o644, []byte("more"))}, "quiet")
	testkit.Must(t, err)
	testkit.Must(t, m.Write(t.Context(), wholefile.Output{Name: dir}))
	s, err := prepare(t.Context(), Options{Image: dir, Append: "a=b"})
	testkit.Must(t, err)
	defer s.close()
	_, script := get(t, s, "boot.ipxe")
	testkit.Contains(t, script, " initrd=1 initrd=2 quiet console=ttyS0 a=b |", "initrd --name 1 "+m.Initrds[0]+" |")
	if code, text := get(t, s, m.Initrds[1]); code != 200 || text != "more" || s.machine.Program != "qemu-system-x86_64" {
		t.Errorf("%d, %q, %s", code, text, s.machine.Program)
	}
}
