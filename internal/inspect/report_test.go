package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/fail"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

var update = flag.Bool("update", false, "rewrite the expected reports")

// oldRazor is a system with one of each part of a report.
func oldRazor(t testing.TB) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	text := func(name string, perm uint32, s string) { put(t, tree, overlay.File(name, perm, []byte(s))) }
	put(t, tree, overlay.Symlink("bin/sh", "busybox"), overlay.Entry{Path: "dev/null", Mode: overlay.TypeChar | 0o666, Major: 1, Minor: 3})
	text("bin/busybox", 0o4755, "busybox\n")
	text("etc/inittab", 0o644, "::sysinit:/etc/init.d/rcS\ntty1::respawn:/sbin/getty -nl /sbin/autologin 38400 tty1\n#tty2::respawn:/sbin/getty 38400 tty2\n")
	text("opt/bootsync.sh", 0o755, "#!/bin/sh\n/usr/bin/sethostname box\n/opt/bootlocal.sh &\n")
	text("usr/share/doc/tc/release.txt", 0o644, "4.5.2\n")
	text("usr/local/tce.installed/bash", 0o755, "#!/bin/sh\n")
	text("usr/local/tce.installed/ruby", 0o644, "")
	put(t, tree, overlay.Dir("usr/local/tce.installed/mcollective-2.0.0", 0o755))
	text("tmp/builtin/optional/openssh.tcz", 0o644, "squash")
	text("tmp/builtin/optional/openssh.tcz.md5.txt", 0o644, "")
	text("tmp/builtin/optional/lshw.tcz", 0o644, "squash!")
	text("tmp/builtin/onboot.lst", 0o644, "openssh.tcz\n\n")
	text("tmp/mk-version.yaml", 0o644, "--- \nmk_version: 0.9.3.0\n")
	text("tmp/setup.lst", 0o664, "/usr/local/tce.installed/bash\n")
	text("usr/local/lib/ruby/gems/1.8/specifications/stomp-1.2.0.gemspec", 0o644, "")
	text("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nlp:x:7:7::/:/bin/false\ntc:x:1001:50::/home/tc:/bin/sh\nold:$1$abc:5:5::/:\nssh:x:9:9::/home/ssh:/bin/sh\nno\n")
	text("etc/shadow", 0o640, "root:*:1::::::\nlp:!:1::::::\ntc::1::::::\nssh:*:1::::::\n")
	text("home/ssh/.ssh/authorized_keys", 0o600, rsaKey+"\n")
	text("usr/bin/sudo", 0o4111, "sudo")
	return tree
}

// oldMetadata is the original build's metadata on the medium.
const oldMetadata = "---\niso_version: 0.9.3.0\nkernel: boot/vmlinuz\ninitrd: boot/core.gz\nhash_description:\n  type: Digest::SHA2\n  bitlen: 256\nkernel_hash: aa\ninitrd_hash: bb\niso_build_time: 2012-11-15 21:50:14.000000 Z\n"

// TestGolden pins the JSON of a report: programs read it.
func TestGolden(t *testing.T) {
	b := isoOf(t, oldRazor(t), map[string]string{"iso-metadata.yaml": oldMetadata, "cde/optional/Xorg.tcz": "x", "cde/onboot.lst": "Xorg.tcz\n"})
	m := read(t, b)
	r, err := m.Report(Options{Files: true, Sizes: true})
	testkit.Must(t, err)
	// Packing details that may change are not pinned.
	r.Files, r.Size, r.SHA256, r.Initrd.Size, r.Initrd.BootRAM = r.Files[:5], 0, "", 0, 0
	r.Initrd.Segments[0].Size, r.Initrd.Segments[0].SHA256 = 0, ""
	got, err := json.MarshalIndent(r, "", "  ")
	testkit.Must(t, err)
	for name, text := range map[string]string{"testdata/report.json": string(got) + "\n", "testdata/report.txt": printed(t, r)} {
		if *update {
			write(t, name, []byte(text))
		}
		want, err := os.ReadFile(name)
		testkit.Must(t, err)
		if text != string(want) {
			t.Errorf("%s has changed (go test -update rewrites it):\n%s", name, text)
		}
	}
}

// TestInitrdAlone reads an initrd of two differently packed segments.
func TestInitrdAlone(t *testing.T) {
	more := &overlay.Tree{}
	put(t, more, overlay.Dir("etc", 0o755), overlay.File("etc/shadow", 0o600, []byte("root::1\n")))
	first := packed(t, oldRazor(t))
	m := read(t, append(first, packed(t, more)...))
	r, err := m.Report(Options{})
	testkit.Must(t, err)
	if r.Kind != KindInitrd || r.Volume != nil || len(r.Initrd.Segments) != 2 || r.Initrd.Segments[1].Offset != int64(len(first)) || r.Kernel != nil {
		t.Errorf("%+v", r)
	}
	if len(r.Accounts) == 0 || r.Accounts[0].Name != "root" || r.Accounts[0].Password != "none" {
		t.Errorf("the second segment does not count: %+v", r.Accounts)
	}
}

func TestLockReport(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	l := &lock.Lock{Config: sum, Release: "4.5.2", Arch: "x86", Kernel: "3.0.21-tinycore", SourceDate: 5, Inputs: []lock.Input{{Kind: lock.TCZ, Name: "a.tcz", Size: 4, MD5: strings.Repeat("0b", 16), SHA256: sum, URL: "http://x/a.tcz", Why: []string{lock.WhyConfig}}}}
	text, err := l.Text()
	testkit.Must(t, err)
	m := read(t, text)
	r, err := m.Report(Options{})
	testkit.Must(t, err)
	if page := printed(t, r); r.Kind != KindLock || r.Lock == nil || !strings.Contains(page, "tcz a.tcz  4 bytes, sha256 "+sum+" (wanted by configuration)") {
		t.Errorf("%+v\n%s", r, page)
	}
	if _, err := m.Verify(t.Context()); !errors.Is(err, ErrNothingToVerify) {
		t.Error(err)
	}
}

func TestISOThatBootsNothing(t *testing.T) {
	b, err := tinymirror.ISOWith(map[string][]byte{"README": []byte("text")})
	testkit.Must(t, err)
	m := read(t, b)
	r, err := m.Report(Options{Files: true, Sizes: true})
	testkit.Must(t, err)
	if r.Kernel != nil || r.Initrd != nil || len(r.Boot) != 0 || r.Volume.ID == "" {
		t.Errorf("%+v", r)
	}
	if err := m.WriteFile(io.Discard, "etc/passwd"); !errors.Is(err, ErrNoFile) {
		t.Error(err)
	}
}

func TestWriteFile(t *testing.T) {
	m := read(t, isoOf(t, oldRazor(t), nil))
	for name, want := range map[string]string{
		"/bin/sh": "busybox\n", "tmp/setup.lst": "/usr/local/tce.installed/bash\n", "iso:/boot/isolinux/isolinux.cfg": tinymirror.ISOLinuxCfg,
	} {
		var out bytes.Buffer
		if err := m.WriteFile(&out, name); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
	for _, name := range []string{"/nowhere", "/etc", "iso:nowhere", "iso:boot", "../../etc/passwd2", "iso:../x", "dev/null"} {
		if err := m.WriteFile(io.Discard, name); !errors.Is(err, ErrNoFile) && !errors.Is(err, overlay.ErrPath) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCleanText: an image cannot send control characters to the terminal.
func TestCleanText(t *testing.T) {
	tree := oldRazor(t)
	put(t, tree, overlay.File("usr/bin/\x1b[31mred", 0o4755, nil), overlay.File("usr/local/tce.installed/a\nb", 0o644, nil),
		overlay.File("opt/bootlocal.sh", 0o755, []byte("echo \x1b]0;x\x07\n")))
	r, err := read(t, isoOf(t, tree, nil)).Report(Options{Files: true, Sizes: true})
	testkit.Must(t, err)
	const evil = "a\nb\x1b[2J.tcz"
	r.Manifest = &Summary{Manifest: &manifest.Manifest{Inputs: []lock.Input{{Kind: lock.TCZ, Name: evil, URL: evil, Why: []string{evil}}}}}
	r.Plan = &Planned{
		Changes: []FileChange{{evil, "replace", evil}}, Conflicts: []overlay.Conflict{{Path: evil, Kept: evil, Skipped: evil, Reason: evil}},
		Findings: []Finding{{Rule: evil, Path: evil, Text: evil, Origin: evil}}, Private: []string{evil},
	}
	page := printed(t, r)
	if strings.ContainsFunc(page, func(c rune) bool { return c < ' ' && c != '\n' }) || strings.Contains(page, "\nb") {
		t.Errorf("control characters:\n%q", page)
	}
}

// TestHostile reads files with one fault each.
func TestHostile(t *testing.T) {
	good, rd := isoOf(t, tinymirror.Base(), nil), packed(t, tinymirror.Base())
	broken := bytes.Clone(good)
	copy(broken[bytes.Index(broken, rd[:64])+200:], bytes.Repeat([]byte{0xff}, 64))
	for what, b := range map[string][]byte{
		"empty": nil, "text": []byte("hello, world\n"), "html": []byte("<!DOCTYPE html><html>"), "json": []byte(`{"schema":"x"}`), "half json": []byte(`{"schema":`),
		"truncated iso": good[:len(good)/2], "iso head": good[:16*2048+2048], "broken initrd": broken,
		"truncated initrd": rd[:len(rd)/2], "noise behind": append(bytes.Clone(rd), "noise, noise"...), "gzip of noise": {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := Read(bytes.NewReader(b), int64(len(b)), "bad")
			if err == nil || fail.ClassOf(err) != fail.Verification || !strings.Contains(err.Error(), "bad") || strings.Contains(err.Error(), "\n") {
				t.Error(err)
			}
		})
	}
}

// FuzzRead: no file makes inspect panic; a readable file can be reported, compared and verified.
func FuzzRead(f *testing.F) {
	f.Add(isoOf(f, tinymirror.Base(), map[string]string{"iso-metadata.yaml": oldMetadata}))
	f.Add(packed(f, oldRazor(f)))
	f.Add([]byte(`{"schema":"mkbuild.lock/v1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b), int64(len(b)), "x")
		if err != nil {
			return
		}
		r, err := m.Report(Options{Files: true, Sizes: true})
		if err != nil {
			return
		}
		printed(t, r)
		if d, err := Compare(m, m); err == nil && !d.Same {
			t.Fatalf("not the same as itself: %+v", d.Changes)
		}
		if v, err := m.Verify(t.Context()); err == nil {
			printed(t, v)
		}
	})
}
