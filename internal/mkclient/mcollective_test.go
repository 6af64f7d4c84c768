package mkclient

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/facts"
)

// daemonScript is a fake mcollectived: it goes to the background and writes its pid file.
const daemonScript = `
[ "$1 $3" = "--config --pidfile" ] || exit 1
echo "$RUBYLIB" > "$(dirname "$4")/rubylib"
exec -a mcollectived sleep 60 &
echo $! > "$4"`

func newMCO(t *testing.T, cfg string) (*standrazor.Server, *machine) {
	srv, m := bootOn(t, standrazor.Razor, facters.Shell, realProc)
	m.write("root/usr/local/etc/mcollective/server.cfg", cfg)
	m.write("root/var/run/.keep", "")
	m.write("root/var/log/.keep", "")
	bash := testkit.Tool(t, "bash")
	p := m.write("bin/mcollectived", "#!"+bash+"\nPATH=/usr/bin:/bin"+daemonScript+"\n")
	os.Chmod(p, 0o755)
	t.Cleanup(func() {
		if pid := m.mcoPID(); pid > 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return srv, m
}

func (m *machine) mcoPID() int {
	b, _ := os.ReadFile(filepath.Join(m.base, "root", mcoPID))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func TestMcollectiveIsStartedAndRestarted(t *testing.T) {
	t.Parallel()
	srv, m := newMCO(t, "plugin.psk = mine\nplugin.stomp.password = mine too\n")
	srv.Status = 503 // a member of a collective needs no check-in
	if err := m.Cycle(t.Context()); err == nil {
		t.Error("the check-in did not fail")
	}
	first := m.mcoPID()
	if first == 0 {
		t.Fatalf("not started\n%s", m.log)
	}
	srv.Status = 0
	if b, _ := os.ReadFile(filepath.Join(m.base, "root/var/run/rubylib")); !strings.HasSuffix(strings.TrimSpace(string(b)), "/usr/local/mcollective/lib") {
		t.Errorf("RUBYLIB = %q", b)
	}
	testkit.WaitFor(t, func() bool { return m.mco.running() })
	m.cycle(srv)
	if m.mcoPID() != first {
		t.Error("started twice")
	}
	syscall.Kill(first, syscall.SIGKILL)
	testkit.WaitFor(t, func() bool { return !m.mco.running() })
	testkit.WaitFor(t, func() bool { m.cycle(srv); return m.mcoPID() != first })
}

func TestMcollectiveInTheForeground(t *testing.T) {
	t.Parallel()
	srv, m := newMCO(t, "plugin.psk = mine\ndaemonize = 0\n")
	m.program("mcollectived", `echo $$ > "$4"; exec /bin/sleep 60`)
	m.cycle(srv)
	if m.mco.child == nil || !m.mco.running() {
		t.Fatalf("not kept as a child\n%s", m.log)
	}
	pid := m.mcoPID()
	syscall.Kill(pid, syscall.SIGKILL)
	testkit.WaitFor(t, func() bool { m.cycle(srv); return m.mcoPID() != pid })
}

func TestMcollectiveWithSampleSecrets(t *testing.T) {
	t.Parallel()
	for _, cfg := range []string{"plugin.psk = klot2oj2ked2tayn3hu5on7l\n", "plugin.psk=mine\nplugin.rabbitmq.pool.1.password = iwillchangethispassword\n"} {
		srv, m := newMCO(t, cfg)
		m.cycle(srv)
		m.cycle(srv)
		if m.mcoPID() != 0 || strings.Count(m.log.String(), "published sample") != 1 {
			t.Errorf("%q: pid %d\n%s", cfg, m.mcoPID(), m.log)
		}
		m.set.AllowSampleSecrets = true
		m.cycle(srv)
		if m.mcoPID() == 0 {
			t.Errorf("%q: not started though allowed", cfg)
		}
	}
	if got := sampleSecret([]byte("#plugin.psk = klot2oj2ked2tayn3hu5on7l\nplugin.psk = mine\n")); got != "" {
		t.Errorf("a comment counts as %s", got)
	}
}

func TestMcollectiveThatDiesIsNotStartedInEveryCycle(t *testing.T) {
	t.Parallel()
	srv, m := newMCO(t, "plugin.psk = mine\n")
	m.program("mcollectived", "echo x >> "+m.base+"/starts; exit 1")
	for range 20 {
		m.cycle(srv)
	}
	b, _ := os.ReadFile(filepath.Join(m.base, "starts"))
	if n := strings.Count(string(b), "x"); n < 2 || n > 6 {
		t.Errorf("started %d times in 20 cycles", n)
	}
}

// TestMcollectiveSaysWhyItDoesNotRun checks that the log and the check-in have the daemon's own message.
func TestMcollectiveSaysWhyItDoesNotRun(t *testing.T) {
	t.Parallel()
	const background = `(/bin/sleep 0.1) & echo 999999 > "$4"; `
	tests := []struct {
		name, script, want string
	}{
		{"prints and fails", `echo "config.rb:91: Unknown config parameter ttl (RuntimeError)" >&2; printf '\tfrom runner.rb:1\n' >&2; exit 1`,
			"start mcollectived: exit status 1: config.rb:91: Unknown config parameter ttl (RuntimeError)"},
		{"only logs and fails", `echo "E, no such file to load -- stomp" >> "$LOG"; exit 3`,
			"start mcollectived: exit status 3: E, no such file to load -- stomp"},
		{"says nothing", `exit 1`, "start mcollectived: exit status 1"},
		{"ends in the background", `echo "warning: of Ruby"; echo "No plugin connector_plugin defined" >> "$LOG"; ` + background,
			"mcollectived ended in the background: No plugin connector_plugin defined"},
		{"ends in the background without a log", `echo "a last word"; ` + background, "mcollectived ended in the background: a last word"},
		{"many lines", `for i in 1 2 3 4 5 6 7; do echo line $i; done; exit 1`, "exit status 1: line 3 / line 4 / line 5 / line 6 / line 7"},
		{"not text", `printf 'a\033[2J\377b\n'; exit 1`, "exit status 1: a?[2J?b"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv, m := newMCO(t, "plugin.psk = mine\n#logfile = /no\nlogfile = /var/log/mco.log\n")
			m.write("root/var/log/mco.log", "old words\n")
			m.program("mcollectived", "PATH=/usr/bin:/bin LOG="+m.base+"/root/var/log/mco.log\n"+tc.script)
			var got any
			testkit.WaitFor(t, func() bool { got = m.cycle(srv)["mk_mcollective_error"]; return got != "" })
			if text, _ := got.(string); !strings.HasSuffix(text, tc.want) {
				t.Errorf("fact: got %q, want %q", got, tc.want)
			}
			if !strings.Contains(m.log.String(), tc.want+"\n") {
				t.Errorf("not in the log:\n%s", m.log)
			}
			m.program("mcollectived", "PATH=/usr/bin:/bin"+`; echo $$ > "$4"; exec sleep 60`)
			testkit.WaitFor(t, func() bool { return m.cycle(srv)["mk_mcollective_error"] == "" })
		})
	}
}

// TestMcollectiveOutputIsBounded has a daemon in the foreground that prints endlessly.
func TestMcollectiveOutputIsBounded(t *testing.T) {
	t.Parallel()
	srv, m := newMCO(t, "plugin.psk = mine\n")
	out := m.write("root"+mcoOutput, "of an earlier start")
	m.program("mcollectived", `PATH=/usr/bin:/bin; head -c 1500000 /dev/zero; echo $$ > "$4"; echo ready; exec sleep 60`)
	m.cycle(srv)
	if fi, err := os.Stat(out); err != nil || fi.Size() < maxOutput {
		t.Fatalf("the output is not kept: %v, %v", fi, err)
	}
	m.cycle(srv)
	if fi, err := os.Stat(out); err != nil || fi.Size() != 0 {
		t.Errorf("the output stays at its size: %v, %v", fi, err)
	}
}

// TestMcollectiveWithoutPlaceForItsOutput starts the daemon anyway.
func TestMcollectiveWithoutPlaceForItsOutput(t *testing.T) {
	t.Parallel()
	srv, m := newMCO(t, "plugin.psk = mine\nlogfile = /var/log/pipe\n")
	for _, name := range []string{mcoOutput, "/var/log/pipe"} {
		testkit.Must(t, syscall.Mkfifo(filepath.Join(m.base, "root", name), 0o600))
	}
	m.program("mcollectived", "exit 7")
	if got := m.cycle(srv)["mk_mcollective_error"]; got != "start mcollectived: exit status 7" {
		t.Errorf("got %v", got)
	}
	if !strings.Contains(m.log.String(), "the output of mcollectived is lost") {
		t.Errorf("log: %s", m.log)
	}
}

func TestFactsYAML(t *testing.T) {
	t.Parallel()
	fs := facts.Facts{"a": "x: y # \"z\"\n<é>", "b": true, "c": map[string]any{"d": []any{"e", nil}}, "yes": "no", "n": "007", "nil": nil}
	b := factsYAML(fs)
	var back map[string]any
	if err := yaml.Unmarshal(b, &back); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if back["a"] != fs["a"] || back["b"] != "true" || back["yes"] != "no" || back["n"] != "007" {
		t.Errorf("got %v", back)
	}
	ruby := testkit.Tool(t, "ruby")
	file := filepath.Join(t.TempDir(), "facts.yaml")
	os.WriteFile(file, b, 0o644)
	out, err := exec.Command(ruby, "-ryaml", "-e", "p YAML.load_file(ARGV[0])['n'], YAML.load_file(ARGV[0])['c']['d']", file).CombinedOutput()
	if err != nil || string(out) != "\"007\"\n[\"e\", nil]\n" {
		t.Errorf("ruby: %s, %v", out, err)
	}
}

// TestRealMcollectived starts Debian's daemon with a missing broker: it goes to the background, keeps trying, and
// is restarted after it is killed.
func TestRealMcollectived(t *testing.T) {
	t.Parallel()
	real := testkit.Tool(t, "mcollectived")
	srv, m := newMCO(t, "libdir = /usr/share/mcollective/plugins\nlogger_type = console\nloglevel = error\ndaemonize = 1\n"+
		"securityprovider = psk\nplugin.psk = not the sample\nconnector = rabbitmq\nplugin.rabbitmq.pool.size = 1\n"+
		"plugin.rabbitmq.pool.1.host = 127.0.0.1\nplugin.rabbitmq.pool.1.port = 1\nplugin.rabbitmq.pool.1.user = u\n"+
		"plugin.rabbitmq.pool.1.password = not the sample\nfactsource = yaml\nplugin.yaml = /nonexistent\n")
	m.program("mcollectived", "PATH=/usr/sbin:/usr/bin:/sbin:/bin exec "+real+` "$@"`)
	m.cycle(srv)
	testkit.WaitFor(t, func() bool { return m.mco.running() })
	first := m.mcoPID()
	m.cycle(srv)
	if m.mcoPID() != first {
		t.Errorf("started twice: %d, %d\n%s", first, m.mcoPID(), m.log)
	}
	syscall.Kill(first, syscall.SIGKILL)
	testkit.WaitFor(t, func() bool { return !m.mco.running() })
	testkit.WaitFor(t, func() bool { m.cycle(srv); return m.mcoPID() != first && m.mco.running() })
}

// TestRealMcollectivedSaysWhyItEnds gives Debian's daemon an unknown key and a missing connector.
func TestRealMcollectivedSaysWhyItEnds(t *testing.T) {
	t.Parallel()
	real := testkit.Tool(t, "mcollectived")
	for cfg, want := range map[string]string{
		"daemonise = 1\n": "Unknown config parameter 'daemonise'",
		"daemonize = 1\nlogger_type = console\nloglevel = error\nconnector = stomp\n": "mcollective/connector/stomp.rb",
	} {
		srv, m := newMCO(t, "libdir = /usr/share/mcollective/plugins\nsecurityprovider = psk\nplugin.psk = not the sample\n"+cfg)
		m.program("mcollectived", "PATH=/usr/sbin:/usr/bin:/sbin:/bin exec "+real+` "$@"`)
		if got, _ := m.cycle(srv)["mk_mcollective_error"].(string); !strings.Contains(got, want) || strings.Contains(got, "from ") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
