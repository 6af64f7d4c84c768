// Package tinymirror generates a miniature Tiny Core mirror: every format is real (ISO, initrd, squashfs, gems),
// every program is a few bytes of text. Nothing in it boots; it is for tests of the builder's logic and errors in
// milliseconds.
package tinymirror

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// Kernel is the release of the mirror's kernel, Release the release of its ISO, Time the time of its files.
const (
	Kernel  = "3.0.21-tinycore"
	Release = "4.5.2"
	Time    = 1348500000
)

// Config is a mkbuild.yaml for the mirror, to be placed next to the folders of Make.
const Config = `mirrors: [.]
rubygems: {version: 1.8.15, url: archives/rubygems-1.8.15.tgz}
gems: {source: archives, install: [{name: daemons, version: 1.1.8}, {name: stomp, version: 1.2.0}]}
mcollective: {version: 1.2.1, url: archives/mcollective-1.2.1.tgz}
`

// ConfigAt is [Config] for the mirror at base, a URL or a folder.
func ConfigAt(base string) string {
	return strings.NewReplacer("[.]", "['"+base+"/']", "url: ", "url: "+base+"/", "source: ", "source: "+base+"/").Replace(Config)
}

// Serve makes a mirror in a new folder and serves it over HTTP until the test ends.
func Serve(t testing.TB) (dir, url string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "mirror")
	testkit.Must(t, Make(dir))
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return dir, s.URL
}

// Make writes the mirror into dir: two series, with a mkbuild.yaml for the first and a mkbuild64.yaml for the
// second.
func Make(dir string) error {
	files, err := content()
	if err != nil {
		return err
	}
	return write(dir, files)
}

// content makes the mirror's files once: their compression takes longer than most tests.
var content = sync.OnceValues(func() (map[string][]byte, error) { //nolint:gochecknoglobals // as it says
	core, err := ISO()
	if err != nil {
		return nil, err
	}
	plus, err := plusISO()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"4.x/x86/archive/4.5.2/Core-4.5.2.iso":     core,
		"4.x/x86/archive/4.5.2/CorePlus-4.5.2.iso": plus,
		"4.x/x86/release/Core-4.7.7.iso":           core,
		"archives/rubygems-1.8.15.tgz":             Archive("rubygems-1.8.15", map[string]string{"setup.rb": "# setup\n", "bin/gem": "#!/usr/bin/env ruby\nrequire 'rubygems'\n", "lib/rubygems.rb": "module Gem\n  VERSION = '1.8.15'\nend\n", "lib/rubygems/version.rb": "# v\n"}),
		"archives/mcollective-1.2.1.tgz":           Archive("mcollective-1.2.1", MCollective("1.2.1")),
		"archives/daemons-1.1.8.gem":               Gem("daemons", "1.1.8", nil),
		"archives/stomp-1.2.0.gem":                 Gem("stomp", "1.2.0", []string{"stompcat"}),
		"mkbuild.yaml":                             []byte(Config),
		"4.x/x86/tcz/ncurses.tcz.dep":              []byte("\nncurses-common.tcz "),
		"4.x/x86/tcz/bash.tcz.dep":                 []byte("ncurses.tcz\n\nncurses.tcz\n"),
		"4.x/x86/tcz/openssh.tcz.dep":              []byte("openssl-1.0.0.tcz \n \ngcc_libs.tcz"),
		"4.x/x86/tcz/gcc_libs.tcz.dep":             []byte("openssl-1.0.0.tcz"), // with the next: a cycle
		"4.x/x86/tcz/openssl-1.0.0.tcz.dep":        []byte("gcc_libs.tcz\n"),
		"4.x/x86/tcz/libssl-0.9.8.tcz.dep":         []byte(""),
		"4.x/x86/tcz/broken-dep.tcz.dep":           []byte("middle.tcz\n"),
		"4.x/x86/tcz/middle.tcz.dep":               []byte("nowhere.tcz\n"),
		"4.x/x86/tcz/scsi-" + Kernel + ".tcz.dep":  []byte("\n"),
		"4.x/x86/tcz/bash.tcz.info":                []byte("Title:          bash.tcz\nCopying-policy: GPL v3\n                or later\nSize: 1K\n"),
	}
	for name, fs := range extensions() {
		files["4.x/x86/tcz/"+name+".tcz"] = sqfs.Image(fs)
	}
	second, err := modern()
	maps.Copy(files, second)
	return files, err
})

// write puts files into dir, and the md5 file next to each ISO and extension.
func write(dir string, files map[string][]byte) error {
	for name, b := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, b, 0o644); err != nil {
			return err
		}
		if ext := filepath.Ext(p); ext != ".iso" && ext != ".tcz" {
			continue
		}
		if err := os.WriteFile(p+".md5.txt", fmt.Appendf(nil, "%x  %s\n", md5.Sum(b), filepath.Base(p)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// installed returns the entries that give an extension a startup script.
func installed(name string) []sqfs.File {
	dir := sqfs.Dir("usr/local/tce.installed", 0o775)
	dir.GID = 50
	script := sqfs.Reg("usr/local/tce.installed/"+name, 0o755, "#!/bin/sh\nln -s /usr/local/bin/bash /bin/bash\n")
	script.UID, script.GID = 1001, 50
	return []sqfs.File{dir, script}
}

const rbconfig = `module Config
  RUBY_VERSION == "1.8.7" or raise "ruby lib version mismatch"
  TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/1.8/i486-linux")
  DESTDIR = '' unless defined? DESTDIR
  CONFIG = {}
  CONFIG["DESTDIR"] = DESTDIR
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr/local")
  CONFIG["ruby_install_name"] = "ruby"
  CONFIG["EXEEXT"] = ""
  CONFIG["exec_prefix"] = "$(prefix)"
  CONFIG["bindir"] = "$(exec_prefix)/bin"
  CONFIG["libdir"] = "$(exec_prefix)/lib"
  CONFIG["ruby_version"] = "$(MAJOR).$(MINOR)"
  CONFIG["MAJOR"] = "1"
  CONFIG["MINOR"] = "8"
  CONFIG["TEENY"] = "7"
  CONFIG["sitedir"] = "$(prefix)/lib/ruby/site_ruby"
  CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"
end
`

func extensions() map[string][]sqfs.File {
	reg := sqfs.Reg
	suid := reg("usr/local/bin/suid", 0o4755, "suid\n")
	return map[string][]sqfs.File{
		"ruby": {reg("usr/local/bin/ruby", 0o755, "ruby\n"), reg("usr/local/lib/ruby/1.8/i486-linux/rbconfig.rb", 0o644, rbconfig)},
		"bash": append(installed("bash"), reg("usr/local/bin/bash", 0o755, "bash\n"),
			sqfs.Symlink("usr/local/bin/rbash", "bash"), reg("etc/passwd", 0o644, "a conflict with the base\n")),
		"ncurses":        {reg("usr/local/lib/libncurses.so.5", 0o755, "lib\n"), reg("usr/local/bin/rbash", 0o755, "a conflict with bash\n")},
		"ncurses-common": {reg("usr/local/share/terminfo/l/linux", 0o644, "t\n")},
		"dmidecode":      {reg("usr/local/sbin/dmidecode", 0o755, "dmidecode\n")},
		"lshw":           {reg("usr/local/bin/lshw", 0o755, "lshw\n"), suid},
		"libssl-0.9.8":   {reg("usr/local/lib/libssl.so.0.9.8", 0o755, "ssl\n")},
		"scsi-" + Kernel: {reg("usr/local/lib/modules/"+Kernel+"/kernel/drivers/scsi/x.ko.gz", 0o644, "ko\n")},
		"firmware-bnx2":  append(installed("firmware-bnx2"), reg("usr/local/lib/firmware/bnx2/x.fw", 0o644, "fw\n")),
		"util-linux":     {reg("usr/local/bin/lscpu", 0o755, "lscpu\n"), reg("usr/local/sbin/sfdisk", 0o755, "sfdisk\n"), reg("usr/local/bin/mount", 0o755, "mount\n")},
		"openssh":        {reg("usr/local/sbin/sshd", 0o755, "sshd\n"), reg("usr/local/bin/ssh-keygen", 0o755, "k\n"), reg("usr/local/etc/ssh/sshd_config.example", 0o644, "\n")},
		"openssl-1.0.0":  {reg("usr/local/lib/libcrypto.so.1.0.0", 0o755, "c\n")},
		"gcc_libs":       {reg("usr/local/lib/libgcc_s.so.1", 0o755, "g\n")},
		"broken-dep":     {reg("usr/local/bin/x", 0o755, "x\n")},
		"middle":         {reg("usr/local/bin/y", 0o755, "y\n")},
	}
}

// Base is the miniature's root file system.
func Base() *overlay.Tree { return base(Kernel) }

func base(kernel string) *overlay.Tree {
	t := &overlay.Tree{}
	file := func(name string, perm, gid uint32, text string) {
		e := overlay.File(name, perm, []byte(text))
		e.GID = gid
		put(t, e)
	}
	dir := func(name string, perm, gid uint32) {
		e := overlay.Dir(name, perm)
		e.GID = gid
		put(t, e)
	}
	for _, d := range []string{".", "bin", "dev", "etc", "etc/init.d", "etc/sysconfig", "home", "lib", "lib/modules", "lib/modules/" + kernel, "usr", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin", "proc"} {
		dir(d, 0o755, 0)
	}
	dir("tmp", 0o1777, 0)
	dir("opt", 0o2775, 50)
	dir("usr/local/tce.installed", 0o775, 50)
	put(t, overlay.Entry{Path: "dev/console", Mode: overlay.TypeChar | 0o600, Major: 5, Minor: 1})
	put(t, overlay.Entry{Path: "dev/null", Mode: overlay.TypeChar | 0o666, Major: 1, Minor: 3})
	put(t, overlay.Symlink("bin/sh", "busybox"))
	put(t, overlay.Symlink("lib/modules/"+kernel+"/kernel.tclocal", "/usr/local/lib/modules/"+kernel+"/kernel/"))
	file("init", 0o755, 0, "#!/bin/sh\n")
	file("bin/busybox", 0o4755, 0, "busybox\n")
	file("etc/passwd", 0o644, 0, "root:x:0:0:root:/root:/bin/sh\ntc:x:1001:50:Linux User,,,:/home/tc:/bin/sh\n")
	file("etc/shadow", 0o640, 0, "root:*:13525:0:99999:7:::\ntc::13646:0:99999:7:::\n")
	file("etc/inittab", 0o644, 0, "::sysinit:/etc/init.d/rcS\ntty1::respawn:/sbin/getty -nl /sbin/autologin 38400 tty1\n#tty2::respawn:/sbin/getty 38400 tty2\n")
	file("opt/bootsync.sh", 0o755, 50, "#!/bin/sh\n/usr/bin/sethostname box\n/opt/bootlocal.sh &\n")
	file("opt/bootlocal.sh", 0o775, 50, "#!/bin/sh\n")
	return t
}

func put(t *overlay.Tree, e overlay.Entry) {
	e.MTime = Time
	if err := t.Put(e); err != nil {
		panic(err) // a mistake in this file
	}
}

// VMLinuz is a bzImage's header with the kernel's name and no code.
func VMLinuz(release string) []byte {
	b := make([]byte, 8192)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x0204)
	b[0x1f1] = 4
	binary.LittleEndian.PutUint16(b[0x1fe:], 0xaa55)
	binary.LittleEndian.PutUint16(b[0x20e:], 0x400)
	copy(b[0x600:], release+" (tc@box) #3021 SMP\x00")
	return b
}

// ISOLinuxCfg is Tiny Core 4.x' own file.
const ISOLinuxCfg = "display boot.msg\ndefault microcore\n\nlabel microcore\n\tkernel /boot/vmlinuz\n\tappend initrd=/boot/core.gz quiet\n\nlabel mc\n\tkernel /boot/vmlinuz\n\tappend initrd=/boot/core.gz quiet\n\nimplicit 0\t\nprompt 1\t\ntimeout 300\nF1 boot.msg\n"

// ISO is the miniature's source image.
func ISO() ([]byte, error) {
	files, err := isoFiles(Base())
	if err != nil {
		return nil, err
	}
	return ISOWith(files)
}

func isoFiles(base *overlay.Tree) (map[string][]byte, error) {
	var core bytes.Buffer
	if err := initrd.WriteSegment(&core, base, initrd.SegmentOptions{ModTime: Time}); err != nil {
		return nil, err
	}
	return map[string][]byte{
		"boot/vmlinuz":               VMLinuz(Kernel),
		"boot/core.gz":               core.Bytes(),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512),
		"boot/isolinux/isolinux.cfg": []byte(ISOLinuxCfg),
		"boot/isolinux/boot.msg":     []byte("hello\n"),
	}, nil
}

// plusISO is the edition with an extension on the medium; its base names its release.
func plusISO() ([]byte, error) {
	base := Base()
	for _, dir := range []string{"usr/share", "usr/share/doc", "usr/share/doc/tc"} {
		put(base, overlay.Dir(dir, 0o755))
	}
	put(base, overlay.File("usr/share/doc/tc/release.txt", 0o644, []byte(Release+"\n")))
	files, err := isoFiles(base)
	if err != nil {
		return nil, err
	}
	files["boot/isolinux/isolinux.cfg"] = []byte(strings.ReplaceAll(ISOLinuxCfg, "core.gz quiet", "core.gz quiet cde"))
	files["cde/onboot.lst"], files["cde/optional/bash.tcz"] = []byte("bash.tcz\n"), sqfs.Image(extensions()["bash"])
	return ISOWith(files)
}

// ISOWith makes a source image of the given files.
func ISOWith(files map[string][]byte) ([]byte, error) {
	img := &iso9660.Image{VolumeID: "TC-custom", SystemID: "LINUX", Created: Time, Modified: Time}
	for n, b := range files {
		e := overlay.File(n, 0o644, b)
		e.MTime = Time
		if err := img.Files.Put(e); err != nil {
			return nil, err
		}
	}
	if img.Boot = bootEntries(files); len(img.Boot) > 0 {
		img.CatalogPath = "boot/isolinux/boot.cat"
	}
	var out bytes.Buffer
	err := img.Write(&out)
	return out.Bytes(), err
}

// Archive is a gzip'd tarball with one top folder and a foreign owner.
func Archive(top string, files map[string]string) []byte {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	return tgz(func(w *tar.Writer) {
		for _, n := range names {
			mode := int64(0o644)
			if strings.HasPrefix(files[n], "#!") {
				mode = 0o755
			}
			member(w, top+"/"+n, mode, files[n])
		}
	})
}

func tgz(fill func(*tar.Writer)) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	fill(w)
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func member(w *tar.Writer, name string, mode int64, text string) {
	h := &tar.Header{Name: name, Mode: mode, Uid: 501, Gid: 20, Size: int64(len(text)), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(h); err != nil {
		panic(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		panic(err)
	}
}

// Gem is a pure-Ruby gem in the form of 2012: without checksums.
func Gem(name, version string, executables []string) []byte {
	list := "[]"
	if len(executables) > 0 {
		list = "\n- " + strings.Join(executables, "\n- ")
	}
	meta := fmt.Sprintf(`--- !ruby/object:Gem::Specification
name: %s
version: !ruby/object:Gem::Version
  version: %s
platform: ruby
authors:
- A
bindir: bin
date: 2012-01-01 00:00:00.000000000Z
dependencies: []
description: d
executables: %s
extensions: []
files:
- lib/%s.rb
homepage: http://localhost/
require_paths:
- lib
required_ruby_version: !ruby/object:Gem::Requirement
  requirements:
  - - ! '>='
    - !ruby/object:Gem::Version
      version: '0'
required_rubygems_version: !ruby/object:Gem::Requirement
  requirements:
  - - ! '>='
    - !ruby/object:Gem::Version
      version: '0'
rubygems_version: 1.8.15
specification_version: 3
summary: s
test_files: []
`, name, version, list, name)
	data := tgz(func(w *tar.Writer) {
		member(w, "lib/"+name+".rb", 0o644, "# "+name+"\n")
		for _, x := range executables {
			member(w, "bin/"+x, 0o755, "#!/usr/bin/env ruby\n")
		}
	})
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	member(w, "data.tar.gz", 0o644, string(data))
	member(w, "metadata.gz", 0o644, string(zipped(meta)))
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func zipped(text string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := io.WriteString(z, text)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}
