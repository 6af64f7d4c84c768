package mkclient

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/facts"
)

// The extension's directory: its owner, the replacement of its files, the removal of old ones.

// TestForeignDirectoryIsReplaced has an extension's root made by another user, who could write into it, and an own
// root that others can write to.
func TestForeignDirectoryIsReplaced(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]int{"foreign": 12345, "own": os.Geteuid()} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		m.write("ext/g-planted/facts.d/evil.txt", "evil=1\n")
		m.write("ext/state.json", `{"generations":[{"dir":"g-planted","url":"`+srv.URL+`/svc/mk/extension.zip","facts":null}]}`)
		root := m.opt.ExtensionDir
		testkit.Must(t, os.Chmod(root, 0o777))
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

func TestForeignNamesAreReplaced(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(*machine, string){
		"a file": func(m *machine, _ string) { m.write("ext", "a file took the name") },
		"a link": func(m *machine, target string) { os.Symlink(target, m.opt.ExtensionDir) },
	} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		target := t.TempDir()
		take(m, target)
		srv.Publish(textFact(t, "ext_x", "1"), t0)
		m.wants(srv, facts.Facts{"ext_x": "1"})
		if left, _ := os.ReadDir(target); len(left) != 0 {
			t.Errorf("%s: written through a planted link: %v", name, left)
		}
		if fi, err := os.Lstat(m.opt.ExtensionDir); err != nil || fi.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s: root is %v, %v", name, fi.Mode(), err)
		}
	}
}

// TestFilesAreReplacedAtOnce holds a reader's handle while MCollective's facts and the state are written: the
// handle keeps the whole old text, and the name points to another file.
func TestFilesAreReplacedAtOnce(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	m.write("root"+mcoDir+"/server.cfg", "")
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	for i, name := range []string{filepath.Join(m.base, "root", mcoFacts), filepath.Join(m.opt.ExtensionDir, "state.json")} {
		before, err := os.ReadFile(name)
		testkit.Must(t, err)
		f, err := os.Open(name)
		testkit.Must(t, err)
		defer f.Close()
		old, _ := f.Stat()
		srv.Publish(textFact(t, "ext_x", fmt.Sprint("value ", i)), t0.Add(time.Duration(i+1)*time.Minute))
		m.cycle(srv)
		if fi, err := os.Stat(name); err != nil || os.SameFile(fi, old) || fi.Mode() != []os.FileMode{0o640, 0o600}[i] {
			t.Errorf("%s is written in place, or readable for all: %v, %v", name, fi.Mode(), err)
		}
		if now, _ := os.ReadFile(filepath.Join(m.base, "root", mcoFacts)); !strings.Contains(string(now), fmt.Sprintf(`"ext_x": "value %d"`, i)) {
			t.Errorf("MCollective's facts are not this cycle's: %s", now)
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

// TestGenerationsChurn publishes 20 extensions while a fact of an early one still runs: its directory stays that
// long; of all others two are kept.
func TestGenerationsChurn(t *testing.T) {
	srv, m := boot(t, facters.Shell, realProc)
	pidFile := filepath.Join(m.base, "pid")
	// In a separate session it outlives the next collection, like a daemon.
	slow := "#!/bin/sh\nsetsid sh -c 'echo $$ > " + pidFile + "; exec sleep 60' >/dev/null 2>&1 &\n" +
		"while [ ! -s " + pidFile + " ]; do sleep 0.01; done\necho ext_slow=1\n"
	srv.Publish(pack(t, member{"facts.d/slow", slow, 0o755}), t0)
	m.cycle(srv)
	busy := m.generation()
	for i := range 20 {
		srv.Publish(textFact(t, "ext_x", fmt.Sprint(i)), t0.Add(time.Duration(i+1)*time.Second))
		m.wants(srv, facts.Facts{"ext_x": fmt.Sprint(i)})
	}
	if _, err := os.Stat(filepath.Join(busy, "facts.d/slow")); err != nil {
		t.Errorf("the tree of a running fact is gone: %v", err)
	}
	if n := len(m.generations()); n != 3 {
		t.Errorf("%d generations, want the newest, the one before and the busy one", n)
	}
	exec.Command("kill", fmt.Sprint(testkit.ReadPID(t, pidFile))).Run()
	testkit.WaitFor(t, func() bool { m.cycle(srv); return len(m.generations()) == 2 })
}

func TestLeftoversOfAKilledClientAreCollected(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	m.write("ext/g-123/bin/x", "x")
	m.write("ext/download-55", "half")
	m.write("ext/.mk-client-9", "half")
	m.write("ext/state.json", "{broken")
	m.cycle(srv)
	entries, _ := os.ReadDir(m.opt.ExtensionDir)
	if len(entries) != 2 { // state.json and lock
		t.Errorf("left: %v", entries)
	}
}

// fakeProc gives the machine's store a fake process file system.
func (m *machine) fakeProc(meminfo string) {
	m.write("fake/proc/meminfo", meminfo)
	m.store.Root = facts.Root(filepath.Join(m.base, "fake"))
}

// TestUseHoldsSixGenerationsAtMost has ten superseded generations in use.
func TestUseHoldsSixGenerationsAtMost(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	m.fakeProc("")
	for i := range 10 {
		name := fmt.Sprintf("g-%d", i)
		m.write("ext/"+name+"/bin/x", "x")
		dir := filepath.Join(m.opt.ExtensionDir, name)
		m.write(fmt.Sprintf("fake/proc/%d/environ", 100+i), "A=1\x00PATH="+dir+"/bin:/bin\x00")
		when := t0.Add(time.Duration(i) * time.Minute)
		testkit.Must(t, os.Chtimes(dir, when, when))
	}
	m.cycle(srv)
	var names []string
	for _, d := range m.generations() {
		names = append(names, filepath.Base(d))
	}
	if got, want := strings.Join(names, " "), "g-4 g-5 g-6 g-7 g-8 g-9"; got != want {
		t.Errorf("left %s, want the newest: %s", got, want)
	}
}

// TestHalfOfTheMemoryAtMost unpacks 1 MiB with more or less than twice that free. Much memory does not raise the
// limit.
func TestHalfOfTheMemoryAtMost(t *testing.T) {
	t.Parallel()
	blob := make([]byte, 1<<20) // random enough for the limit on the ratio
	for i, x := 0, uint32(1); i < len(blob); i++ {
		x = x*1664525 + 1013904223
		blob[i] = byte(x>>24) & 0x0f
	}
	for meminfo, want := range map[string]string{
		"MemTotal: 9999999 kB\nMemFree: 100 kB\nMemAvailable:    2200 kB\n":                       "active",
		"MemTotal: 9999999 kB\nMemFree: 9999999 kB\nMemAvailable:    2000 kB\n":                   "failed",
		"MemTotal: 9999999 kB\nMemFree: 1100 kB\nBuffers: 1100 kB\nCached: 1 kB\n":                "active",
		"MemTotal: 9999999 kB\nMemFree: 1000 kB\nBuffers: 1000 kB\nCached: 9999999 kB\n":          "failed",
		"MemTotal: 9999999 kB\nMemFree: 1 kB\nBuffers: 1 kB\nMemAvailable: 9999999999999999 kB\n": "active",
		"MemAvailable: 999999999 kB\n": "failed", // with the limit below
	} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		if m.fakeProc(meminfo); meminfo == "MemAvailable: 999999999 kB\n" {
			m.store.Limits.Total = 1 << 19
		}
		srv.Publish(pack(t, member{"share/big", string(blob), 0o644}), t0)
		if got := m.cycle(srv); got["mk_extension_status"] != want {
			t.Errorf("%q: %v, %v", meminfo, got["mk_extension_status"], got["mk_extension_error"])
		}
	}
}
