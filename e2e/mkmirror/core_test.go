package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// packageless makes the part of a series' core.gz that needs no package.
func packageless(t *testing.T, s series) *overlay.Tree {
	t.Helper()
	b := newBuilder(nil)
	coreDirs(b, s)
	coreFiles(b)
	coreDevices(b)
	tree, err := b.done()
	testkit.Must(t, err)
	return tree
}

// Properties of a stock core.gz that other programs rely on: modes, owners, nodes.
func TestCoreModes(t *testing.T) {
	tree := packageless(t, allSeries()[0])
	for _, want := range []struct {
		path         string
		mode         uint32
		gid          uint32
		major, minor uint32
	}{
		{".", overlay.TypeDir | 0o755, 0, 0, 0},
		{"tmp", overlay.TypeDir | 0o1777, 0, 0, 0},
		{"opt", overlay.TypeDir | 0o2775, gidStaff, 0, 0},
		{"opt/bootsync.sh", overlay.TypeRegular | 0o755, gidStaff, 0, 0},
		{"opt/bootlocal.sh", overlay.TypeRegular | 0o775, gidStaff, 0, 0},
		{"usr/local", overlay.TypeDir | 0o755, 0, 0, 0},
		{"usr/local/tce.installed", overlay.TypeDir | 0o775, gidStaff, 0, 0},
		{"etc/shadow", overlay.TypeRegular | 0o640, 0, 0, 0},
		{"etc/inittab", overlay.TypeRegular | 0o644, 0, 0, 0},
		{"init", overlay.TypeRegular | 0o755, 0, 0, 0},
		{"dev/console", overlay.TypeChar | 0o600, 0, 5, 1},
		{"dev/null", overlay.TypeChar | 0o666, 0, 1, 3},
		{"dev/ttyS0", overlay.TypeChar | 0o660, 5, 4, 64},
		{"dev/loop0", overlay.TypeBlock | 0o660, 0, 7, 0},
	} {
		e := tree.Get(want.path)
		switch {
		case e == nil:
			t.Errorf("%s is missing", want.path)
		case e.Mode != want.mode || e.UID != 0 || e.GID != want.gid || e.Major != want.major || e.Minor != want.minor:
			t.Errorf("%s: got %o %d:%d %d,%d, want %+v", want.path, e.Mode, e.UID, e.GID, e.Major, e.Minor, want)
		}
	}
}

// Two owners of the base changed between releases; mkbuild must use those of the given base.
func TestCoreOwners(t *testing.T) {
	for _, s := range allSeries() {
		want := map[string][2]uint32{"tmp": {0, 0}, "usr/local/tce.installed": {0, gidStaff}, "opt": {0, gidStaff}}
		if s.folder() == "8.x" { // as in all real releases from 8.x on
			want["tmp"], want["usr/local/tce.installed"] = [2]uint32{0, gidStaff}, [2]uint32{0, 0}
		}
		tree := packageless(t, s)
		for name, owner := range want {
			if e := tree.Get(name); [2]uint32{e.UID, e.GID} != owner {
				t.Errorf("%s, %s: got %d:%d, want %v", s.folder(), name, e.UID, e.GID, owner)
			}
		}
	}
}

// The texts that mkbuild edits equal those of the stock image.
func TestCoreStockTexts(t *testing.T) {
	tree := packageless(t, allSeries()[0])
	for name, want := range map[string]string{
		"opt/bootsync.sh": "#!/bin/sh\n# put other system startup commands here, the boot process will wait until they complete.\n" +
			"# Use bootlocal.sh for system startup commands that can run in the background \n" +
			"# and therefore not slow down the boot process.\n/usr/bin/sethostname box\n/opt/bootlocal.sh &\n",
		"etc/inittab": "\ntty1::respawn:/sbin/getty -nl /sbin/autologin 38400 tty1\n#tty2::respawn:",
		"etc/shadow":  "\ntc::13646:0:99999:7:::\n",
		"etc/passwd":  "\ntc:x:1001:50:Linux User,,,:/home/tc:/bin/sh\n",
		"etc/group":   "\nstaff:x:50:\n",
	} {
		b, err := tree.Get(name).Content(1 << 16)
		testkit.Must(t, err)
		if !strings.Contains(string(b), want) {
			t.Errorf("%s: no %q in:\n%s", name, want, b)
		}
	}
}

func TestTheImageSaysThatItIsAStandIn(t *testing.T) {
	text := releaseText("4.5.2", "6.1")
	if !strings.HasPrefix(text, "4.5.2\n") || !strings.Contains(text, "STAND-IN") || !strings.Contains(osRelease("4.5.2"), "Stand-in") {
		t.Errorf("got %q", text)
	}
}

// A shell reads every embedded script without an error.
func TestScriptsParse(t *testing.T) {
	testkit.Tool(t, "sh")
	err := fs.WalkDir(embedded, "files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := embedded.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(b), "#!/bin/sh\n") && filepath.Base(name) != "tc-functions" {
			return err
		}
		testkit.Run(t, "sh", "-n", name)
		return nil
	})
	testkit.Must(t, err)
}

func TestCheckReplaceable(t *testing.T) {
	dir := t.TempDir()
	if err := checkReplaceable(dir); err != nil {
		t.Errorf("empty directory: %v", err)
	}
	writeTestFile(t, filepath.Join(dir, "thesis.txt"), "x")
	if err := checkReplaceable(dir); err == nil {
		t.Error("a directory with somebody's files may be replaced")
	}
	writeTestFile(t, filepath.Join(dir, "mkbuild.yaml"), "release: 4.5.2\n") // a user's own
	if err := checkReplaceable(dir); err == nil {
		t.Error("a directory with a user's mkbuild.yaml may be replaced")
	}
	writeTestFile(t, filepath.Join(dir, "README"), readmeText([]*mirror{{kernels: []*kernel{{release: "6.1"}}}}))
	if err := checkReplaceable(dir); err != nil {
		t.Errorf("a mirror: %v", err)
	}
	file := filepath.Join(dir, "file")
	testkit.Must(t, os.WriteFile(file, nil, 0o644))
	if err := checkReplaceable(file); err == nil {
		t.Error("a file may be replaced by a directory")
	}
}
