package mkclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

// TestMain runs more tests at once than there are processors, because most of them wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}

// member is one file of a test extension; mode 0 means 0755.
type member struct {
	name, body string
	mode       uint32
}

// pack makes a zip with Unix modes.
func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var list []ext.Member
	for _, m := range members {
		if m.mode == 0 {
			m.mode = 0o755
		}
		if m.mode&0o170000 == 0 {
			m.mode |= ext.File
		}
		list = append(list, ext.Item(m.name, m.body, m.mode))
	}
	return ext.Zip(t, list...)
}

// textFact packs an extension whose only content is one external fact.
func textFact(t testing.TB, name, value string) []byte {
	return pack(t, member{"facts.d/" + name + ".txt", name + "=" + value + "\n", 0o644})
}

// machine is a microkernel for the tests: a root with /sys, a facter and a client.
type machine struct {
	*Client
	t    testing.TB
	base string // the folder of all its files
	bin  string // first directory of the base path
	log  *bytes.Buffer
}

// t0 is the publication time of the first extension in most tests.
var t0 = time.Date(2014, 5, 1, 12, 0, 0, 0, time.UTC)

// newMachine boots a client against srv; facter is a program text for /bin/sh, or "".
func newMachine(t testing.TB, srv *standrazor.Server, facter string, change ...func(*Options, *settings.Settings)) *machine {
	t.Helper()
	m := &machine{t: t, base: t.TempDir(), log: &bytes.Buffer{}}
	m.bin = filepath.Join(m.base, "bin")
	root := filepath.Join(m.base, "root")
	m.write("bin/.keep", "")
	m.write("root/usr/lib/razor/.keep", "")
	for name, mac := range map[string]string{"eth0": "52:54:00:00:00:01", "dummy0": "1e:00:00:00:00:99", "lo": "00:00:00:00:00:00"} {
		m.write("root/sys/class/net/"+name+"/address", mac+"\n")
		m.write("root/sys/class/net/"+name+"/type", map[bool]string{true: "772", false: "1"}[name == "lo"])
	}
	m.write("root/sys/class/net/eth0/device/uevent", "")
	m.write("root/proc/net/tcp", "")
	for _, name := range []string{"cpuinfo", "meminfo", "sys"} {
		testkit.Must(t, os.Symlink("/proc/"+name, filepath.Join(root, "proc", name)))
	}
	if facter != "" {
		m.program("facter", facter)
	}
	opt := DefaultOptions("9.9", []string{"PATH=/usr/bin:/bin"})
	opt.Facts.Path, opt.Facts.Root, opt.ExtensionDir = m.bin, facts.Root(root), filepath.Join(m.base, "ext")
	opt.Facts.ToolTimeout, opt.ActionTimeout = 5*time.Second, 2*time.Second
	opt.Random = func() float64 { return 0.5 }
	opt.Log = &clientlog.Logger{W: m.log, Min: clientlog.Info}
	opt.Timeouts = web.Timeouts{
		Connect: 20 * time.Second, Header: 20 * time.Second, Request: 30 * time.Second, Stall: 20 * time.Second, Download: 30 * time.Second,
	}
	opt.Limits.Compressed = 1 << 20
	set, warnings := settings.Load(settings.Inputs{CommandLine: "razor.register=" + srv.URL + "/svc/checkin/7 razor.commands=" + filepath.Join(root, "usr/lib/razor")})
	if warnings != nil {
		t.Fatal(warnings)
	}
	set.FactTimeout = time.Minute
	for _, f := range change {
		f(&opt, &set)
	}
	m.Client = New(opt, set)
	return m
}

// realProc gives a machine the processes and sockets of this machine: reading them takes most of a cycle's time.
func realProc(opt *Options, _ *settings.Settings) {
	proc := opt.Facts.Root.Path("proc")
	if err := errors.Join(os.RemoveAll(proc), os.Symlink("/proc", proc)); err != nil {
		panic(err)
	}
}

// boot starts a parallel test with a Razor server and a machine.
func boot(t *testing.T, facter string, change ...func(*Options, *settings.Settings)) (*standrazor.Server, *machine) {
	t.Helper()
	t.Parallel()
	return bootOn(t, standrazor.Razor, facter, change...)
}

// bootOn makes a server of a kind and a machine.
func bootOn(t *testing.T, kind standrazor.Kind, facter string, change ...func(*Options, *settings.Settings)) (*standrazor.Server, *machine) {
	t.Helper()
	srv := standrazor.New(t, kind)
	return srv, newMachine(t, srv, facter, change...)
}

// write puts a file below the machine's base.
func (m *machine) write(name, body string) string {
	m.t.Helper()
	p := filepath.Join(m.base, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		m.t.Fatal(err)
	}
	testkit.WriteFile(m.t, p, body, 0o644)
	return p
}

// program puts a shell script on the base path.
func (m *machine) program(name, script string) {
	m.t.Helper()
	p := m.write("bin/"+name, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(p, 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// cycle runs one cycle, which must check in, and returns the facts.
func (m *machine) cycle(srv *standrazor.Server) facts.Facts {
	m.t.Helper()
	before := srv.Count("POST")
	if err := m.Cycle(m.t.Context()); err != nil {
		m.t.Fatalf("cycle: %v\nlog:\n%s", err, m.log)
	}
	if srv.Count("POST") != before+1 {
		m.t.Fatalf("%d check-ins in one cycle", srv.Count("POST")-before)
	}
	got := maps.Clone(srv.Last().Facts)
	delete(got, "mk_listening") // it belongs to the machine that runs the tests
	return got
}

// wants runs one cycle and compares some of its facts; nil means none.
func (m *machine) wants(srv *standrazor.Server, want facts.Facts) facts.Facts {
	m.t.Helper()
	got := m.cycle(srv)
	for name, v := range want {
		if got[name] != v {
			m.t.Errorf("%s = %v, want %v; mk_extension_error %q\n%s", name, got[name], v, got["mk_extension_error"], m.log)
		}
	}
	return got
}

// factTimeout makes a less patient collector without earlier results.
func (m *machine) factTimeout(d time.Duration) {
	m.opt.Facts.Timeout = d
	m.collector = facts.New(m.opt.Facts)
}

// generation returns the directory of the active generation, or "".
func (m *machine) generation() string {
	if list := m.store.Usable(); len(list) > 0 {
		return list[0].Dir
	}
	return ""
}

// memory returns the content of the client's state file.
type memory struct {
	Generations []struct {
		SHA256  string
		Strikes int
	}
	Refused *struct{ Left int }
	Error   string
}

func (m *machine) memory() (s memory) {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.opt.ExtensionDir, "state.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// generations lists the directories below the extension root.
func (m *machine) generations() []string {
	dirs, _ := filepath.Glob(filepath.Join(m.opt.ExtensionDir, "g-*"))
	return dirs
}
