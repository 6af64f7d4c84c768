package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// TestBootFromNetwork boots a merged image over the network with `mkbuild test`: its gems are installed at boot,
// the probe's report is on the console, and the node checks in with the test's server.
func TestBootFromNetwork(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.quick, f.args = true, " razor.fact.probe=gem-list"
	iso := f.image(t, func(text string) string {
		return strings.Replace(text, "\ngems:\n", "\ngems:\n  mode: boot\n", 1) + "initrd: {layout: merged}\n"
	}, "--image-version", "1.0")
	log := filepath.Join(t.TempDir(), "console.log")
	facts, stderr, err := f.run(t, "test", iso, "--format", "pxe", "--check-in", "--memory", "768", "--log", log,
		"--expect", `^MK loaded: v1\.0$`, "--expect", "PROBE done", "--timeout", aLot.String())
	b, _ := os.ReadFile(log)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stderr, b)
	}
	checkProd(t, string(b), facts)
	wantLines(t, string(b), "PROBE ok gem-list")
}

// checkProd checks the console and the first check-in of every prod image.
func checkProd(t *testing.T, log, facts string) {
	t.Helper()
	wantLines(t, log, "PROBE sshd not running; installed: no", "PROBE console 0 login lines", "PROBE hostkeys 0")
	for _, fact := range []string{"mk_version = ", `mk_listening = "none"`, `mk_consoles = "none"`, `macaddress = "52:54:00:12:34:56"`, "mk_hw_nic_count = ", "facterversion = "} {
		if !strings.Contains("\n"+facts, "\n"+fact) {
			t.Errorf("the node did not report %q:\n%s", fact, facts)
		}
	}
}

// TestUnknownServer: a check of a prod image's files cannot find an unknown server that a script hides. The running
// machine reveals each.
func TestUnknownServer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const hidden = ext.Sh + "PATH=/sbin:/usr/sbin:/bin:/usr/bin b=busy n=n t=tel g=ge\n"
	dir := ext.Tree{
		"opt/bootlocal.sh*": hidden + "${b}box ${n}c -l -p 4444 </dev/null &\nexec </dev/tty1\nwhile :; do sleep 60; done\n",
		"opt/bootsync.sh*": hidden + "ping 127.0.0.1 >/dev/null 2>&1 </dev/null &\n${b}box ${g}tty -n -l /opt/menu 38400 tty2 &\n(exec </dev/console; while :; do sleep 60; done) &\n" +
			"cp /bin/busybox /tmp/${n}c; /tmp/${n}c -l -p 4445 </dev/null &\nsleep 1; rm /tmp/${n}c\n/usr/local/etc/init.d/microkernel start\n/opt/bootlocal.sh &\n",
		"opt/menu*":                          ext.Sh + "while :; do sleep 60; done\n",
		"opt/dhcp.conf":                      "interface lo\nstart 127.0.0.20\nend 127.0.0.30\nlease_file /tmp/leases\n",
		"etc/init.d/settime.sh*":             hidden + "httpd -p 0.0.0.0:8080 -h /tmp\n",
		"tmp/builtin/onboot.lst":             "site.tcz\n",
		"tmp/builtin/optional/site.tcz":      string(sqfs.Image([]sqfs.File{sqfs.Reg("usr/local/tce.installed/site", 0o755, hidden+"${b}box ${t}netd -p 4446 -l /bin/sh\n")})),
		"usr/lib/mk-client/mk-extension.zip": string(ext.Zip(t, ext.Item("facts.d/site.sh", hidden+"touch /tmp/leases\nsetsid udhcpd -f /opt/dhcp.conf </dev/null >/dev/null 2>&1 &\nsleep 2\n", ext.File|0o755))),
	}.Write(t, t.TempDir())
	iso := f.image(t, with("  - {source: "+dir+", target: /}\n"))
	_, stderr, err := f.run(t, "verify", iso)
	if err != nil {
		t.Errorf("a static look finds it, so this test is about nothing: %s", stderr)
	}
	log := filepath.Join(t.TempDir(), "log")
	_, stderr, err = f.run(t, "test", iso, "--memory", "768", "--log", log, "--timeout", aLot.String())
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 6 || !strings.Contains(stderr, "boot test: boot-open: ") {
		t.Errorf("%v, want exit status 6 and boot-open\n%s", err, stderr)
	}
	for way, want := range map[string]string{
		"a hidden server":                      "listens: tcp6 [::]:4444 /bin/busybox nc",
		"a program that is gone":               "listens: tcp6 [::]:4445 /tmp/nc (deleted)",
		"an extension's startup script":        "listens: tcp6 [::]:4446 /bin/busybox telnetd",
		"a script of the base":                 "listens: tcp 0.0.0.0:8080 /bin/busybox httpd",
		"UDP, by a fact":                       "listens: udp 0.0.0.0:67 /bin/busybox udhcpd",
		"raw packets":                          "listens: raw 0.0.0.0:1 /bin/busybox ping",
		"a script that reads a terminal":       "reads a console: tty1 /bin/busybox /bin/sh /opt/bootlocal.sh",
		"what getty starts":                    "reads a console: tty2 /bin/busybox /bin/sh /opt/menu",
		"a script that reads the boot console": "reads a console: console /bin/busybox /bin/sh /opt/bootsync.sh",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%s: the error does not say %q", way, want)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", stderr, testkit.Read(t, log))
	}
}

// broken is one way to spoil an image, and its name in `mkbuild test`.
type broken struct {
	name, rule string
	edit       func(*testing.T, *iso9660.Image)
	args       []string
}

// TestBrokenImages is the negative control of all boot tests: five broken images, each diagnosed correctly, and an
// image that boots without a client.
func TestBrokenImages(t *testing.T) {
	t.Parallel()
	f := setup(t)
	core := filepath.Join(f.mirror, "4.x/x86/release/Core-4.5.2.iso")
	for _, tc := range []broken{
		{"no boot loader", "boot-no-bootable-device", func(_ *testing.T, img *iso9660.Image) { img.Boot, img.CatalogPath = nil, "" }, nil},
		{"no initrd in the menu", "boot-no-initrd", func(t *testing.T, img *iso9660.Image) {
			rewrite(t, img, "boot/isolinux/isolinux.cfg", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("initrd=/boot/core.gz"), nil) })
		}, nil},
		{"a damaged initrd", "boot-initrd-corrupt", func(t *testing.T, img *iso9660.Image) {
			rewrite(t, img, "boot/core.gz", func(b []byte) []byte { copy(b[len(b)/2:], make([]byte, 4096)); return b })
		}, nil},
		{"no modules for the kernel", "boot-no-modules", func(t *testing.T, img *iso9660.Image) {
			retree(t, img, func(tree *overlay.Tree) { tree.Remove("lib/modules"); waitForZram(t, tree) })
		}, nil},
		{"an init that ends", "boot-init-died", func(t *testing.T, img *iso9660.Image) {
			first(t, img, "exit 3")
		}, nil},
		{"no client", "boot-no-marker", func(t *testing.T, img *iso9660.Image) {
			first(t, img, "echo up; exec sleep 99999")
		}, []string{"--timeout", "20s"}}, // only a timeout can detect it
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			testBroken(t, f, core, tc)
		})
	}
}

func testBroken(t *testing.T, f fixture, core string, tc broken) {
	iso := filepath.Join(t.TempDir(), "broken.iso")
	remake(t, core, iso, func(img *iso9660.Image) { tc.edit(t, img) })
	stdout, stderr, err := f.run(t, append([]string{"test", iso, "--append", noTimerCheck, "--timeout", aLot.String()}, tc.args...)...)
	log, _ := os.ReadFile(iso + ".console.log")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 6 || stdout != "" || !strings.Contains(stderr, "boot test: "+tc.rule+":") {
		t.Errorf("%v, want exit status 6 and %s\n%s\n%s", err, tc.rule, stderr, log)
	}
	if len(log) == 0 || !strings.Contains(stderr, iso+".console.log") {
		t.Errorf("no log, or an error that does not name it:\n%s", stderr)
	}
}

// first replaces an image's first program, and removes the drivers, which are then unused.
func first(t *testing.T, img *iso9660.Image, commands string) {
	t.Helper()
	retree(t, img, func(tree *overlay.Tree) {
		tree.Remove("lib/modules")
		testkit.Must(t, tree.Put(overlay.File("init", 0o755, []byte("#!/bin/sh\n"+commands+"\n"))))
	})
}

// waitForZram makes the stand-in's tc-config behave like Tiny Core's own: it lets modprobe complain, and waits for
// /dev/zram0 if it is missing.
func waitForZram(t *testing.T, tree *overlay.Tree) {
	t.Helper()
	const name = "etc/init.d/tc-config"
	b, err := tree.Get(name).Content(1 << 20)
	testkit.Must(t, err)
	text := strings.NewReplacer("quietly modprobe -q zram", "modprobe -q zram", "for i in 1 2 3 4 5; do", "while :; do").Replace(string(b))
	if strings.Contains(text, "quietly modprobe -q zram") || !strings.Contains(text, "while :; do") {
		t.Fatal("the stand-in's tc-config has changed")
	}
	testkit.Must(t, tree.Put(overlay.File(name, 0o755, []byte(text))))
}

// remake writes a changed copy of an image.
func remake(t *testing.T, from, to string, edit func(*iso9660.Image)) {
	t.Helper()
	in, err := os.Open(from)
	testkit.Must(t, err)
	defer in.Close()
	info, err := in.Stat()
	testkit.Must(t, err)
	img, err := iso9660.Open(in, info.Size())
	testkit.Must(t, err)
	edit(img)
	out, err := os.Create(to)
	testkit.Must(t, err)
	testkit.Must(t, errors.Join(img.Write(out), out.Close()))
}

// rewrite changes the content of one file of an image.
func rewrite(t *testing.T, img *iso9660.Image, name string, edit func([]byte) []byte) {
	t.Helper()
	f := img.Files.Get(name)
	b, err := f.Content(1 << 30)
	testkit.Must(t, err)
	b = edit(b)
	f.Size, f.HardLink = int64(len(b)), ""
	f.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// retree changes the content of an image's initrd.
func retree(t *testing.T, img *iso9660.Image, edit func(*overlay.Tree)) {
	t.Helper()
	rewrite(t, img, "boot/core.gz", func(b []byte) []byte {
		tree, err := initrd.Read(bytes.NewReader(b), "core.gz", 1<<30)
		testkit.Must(t, err)
		edit(tree)
		var out bytes.Buffer
		testkit.Must(t, initrd.WriteSegment(&out, tree, initrd.SegmentOptions{Level: 1}))
		return out.Bytes()
	})
}
