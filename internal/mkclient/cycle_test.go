package mkclient

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/generations"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

func TestActions(t *testing.T) {
	_, m := boot(t, facters.Shell)
	marker := m.base + "/ran"
	script := "#!/bin/sh\n: > " + marker + "\n"
	for name, body := range map[string]string{
		"root/usr/lib/razor/hello": script, "root/usr/lib/other": script, "root/usr/lib/razor/sub/x": script, "bin/reboot": script,
		"root/usr/lib/razor/fails": "#!/bin/sh\nexit 3\n", "root/usr/lib/razor/hangs": "#!/bin/sh\nsleep 60\n",
	} {
		os.Chmod(m.write(name, body), 0o755)
	}
	m.write("root/usr/lib/razor/data", script)
	for action, want := range map[string]string{
		"none": "ok", "hello": "ok, ran", "reboot": "ok, ran", "fails": "", "hangs": "", "data": "", "missing": "", "sub": "", "": "",
		"../other": "", "sub/x": "", m.base + "/bin/reboot": "", "..": "", ".": "", "hello;x": "", "hello\n": "", "-x": "",
	} {
		os.Remove(marker)
		got := ""
		err := m.Execute(t.Context(), action)
		if err == nil {
			got = "ok"
		}
		if _, err := os.Stat(marker); err == nil {
			got += ", ran"
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", action, got, err, want)
		}
	}
}

// TestActionsNeverGetTheExtensionsPaths runs actions while an extension has programs with the names of the client's
// own.
func TestActionsNeverGetTheExtensionsPaths(t *testing.T) {
	srv, m := boot(t, facters.Shell, func(o *Options, _ *settings.Settings) {
		o.Facts.Environ = []string{"PATH=/opt/inherited:/usr/bin:/bin", "RUBYLIB=/opt/ruby", "LD_LIBRARY_PATH=/opt/lib", "LD_PRELOAD=", "FACTER_x=1"}
		o.Facts.Path += ":/usr/bin:/bin"
	})
	evil := filepath.Join(m.base, "evil")
	members := []member{{"facts.d/x.txt", "ext_x=1\n", 0o644}}
	for _, name := range []string{"facter", "lshw", "lscpu", "dmidecode", "reboot", "mcollectived"} {
		members = append(members, member{"bin/" + name, "#!/bin/sh\necho " + name + " >> " + evil + "\n", 0o755})
	}
	m.program("lshw", "env >> "+filepath.Join(m.base, "tool")+"; exit 1")
	m.program("reboot", "env > "+filepath.Join(m.base, "action"))
	srv.Publish(pack(t, members...), t0)
	m.cycle(srv)
	srv.Answer = func(standrazor.Post) string { return "reboot" }
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
			if strings.Contains(line, m.opt.ExtensionDir) || strings.Contains(line, "/opt/") ||
				slices.Contains([]string{"RUBYLIB", "LD_LIBRARY_PATH", "LD_PRELOAD", "FACTER_x"}, key) {
				t.Errorf("%s got %q", name, line)
			}
		}
	}
}

// TestRunSurvivesErrors has a server that fails at first, and actions that always fail. If a failed action counted
// as a failed check-in, the client would back off with a random number.
func TestRunSurvivesErrors(t *testing.T) {
	srv, m := boot(t, facters.Shell, func(_ *Options, s *settings.Settings) { s.Interval, s.Skew = 50*time.Millisecond, time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	srv.Status = 503
	posts := 0
	srv.Answer = func(standrazor.Post) string {
		if posts++; posts == remindAfter+2 {
			cancel()
		}
		return "nonsense"
	}
	time.AfterFunc(300*time.Millisecond, func() {
		srv.Lock()
		defer srv.Unlock()
		srv.Status = 0
	})
	m.opt.Random = func() float64 {
		if posts > 0 {
			t.Error("a failing action makes the client back off")
		}
		return 0
	}
	if err := m.Run(ctx); err != nil || posts < remindAfter+2 {
		t.Fatalf("ended with %v after %d check-ins; log:\n%s", err, posts, m.log)
	}
	text := m.log.String()
	if n := strings.Count(text, `refused action "nonsense"`); n != 2 || !strings.Contains(text, "(20 cycles in a row have failed)") {
		t.Errorf("%d lines in %d cycles:\n%s", n, posts, text)
	}
}

func TestRunKillsFactsOnTermination(t *testing.T) {
	_, m := boot(t, "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\nsleep 60 & wait", func(_ *Options, s *settings.Settings) { s.Skew = 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := m.Run(ctx); err != nil || time.Since(start) > 45*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestOnlyOneRuns(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	unlock, err := m.lock(t.Context(), generations.LoopLock)
	testkit.Must(t, err)
	second := New(m.opt, m.set)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	second.Run(ctx)
	if len(srv.Posts) != 0 {
		t.Error("a second client checked in next to the first")
	}
	unlock()
	if unlock, err = second.lock(t.Context(), generations.LoopLock); err != nil {
		t.Error(err)
	}
	unlock()
}

func TestWait(t *testing.T) {
	t.Parallel()
	m := &Client{set: settings.Settings{Interval: 15 * time.Second}, opt: Options{Random: func() float64 { return 0.5 }}}
	for _, tt := range []struct {
		failures int
		err      error
		want     time.Duration
	}{
		{0, nil, 15 * time.Second},
		{1, io.EOF, 15 * time.Second}, {2, io.EOF, 30 * time.Second}, {4, io.EOF, 120 * time.Second}, {500, io.EOF, 120 * time.Second},
		{1, fmt.Errorf("check in: %w", &web.StatusError{Status: 503, After: time.Minute}), 67500 * time.Millisecond},
	} {
		if got := m.wait(tt.failures, tt.err); got != tt.want {
			t.Errorf("after %d failures: %v, want %v", tt.failures, got, tt.want)
		}
	}
	low, high := Backoff(15*time.Second, 3, 0), Backoff(15*time.Second, 3, 0.999)
	if high < 2*low {
		t.Errorf("jitter from %v to %v spreads nobody", low, high)
	}
}

// TestTerminalStaysClean sends escape sequences from archives, servers and facts.
func TestTerminalStaysClean(t *testing.T) {
	const esc = "\x1b]0;owned\x07\x1b[2J"
	srv, m := boot(t, facters.Shell)
	minutes := 0
	try := func(fault http.HandlerFunc, members ...member) {
		minutes++
		srv.Publish(pack(t, members...), t0.Add(time.Duration(minutes)*time.Minute))
		srv.SetFault(fault)
		m.cycle(srv)
	}
	try(nil, member{"../" + esc, "x", 0o755})
	try(nil, member{esc + "/facts.d/x.txt", "x", 0o755})
	try(nil, member{"bin/" + esc, "x", 0o020666})
	try(nil, member{"bin/l", "../../" + esc, 0o120777})
	try(standrazor.Respond(302, map[string]string{"Location": "gopher://" + esc}, ""))
	try(nil, member{"facts.d/ok.txt", "ext_ok=1\n", 0o644})
	m.program("facter", "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\ncase \"$*\" in *external*) printf '\\033[2Jstderr' >&2; exit 1 ;; esac\n"+
		"echo '{\"facterversion\":\"2.5.7\"}'")
	try(nil, member{"facts.d/ok.txt", "ext_ok=2\n", 0o644}) // its facts fail
	m.program("facter", "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\nprintf '\\033[2J' >&2\nexit 1")
	try(nil)
	for what, text := range map[string]string{"log": m.log.String(), "server's log": strings.Join(srv.Logs, "\n")} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0) }); i >= 0 {
			t.Errorf("%s: %q", what, text)
		}
	}
	if !strings.Contains(m.log.String(), "owned") || !strings.Contains(strings.Join(srv.Logs, ""), "stderr") {
		t.Errorf("the texts do not get so far: the test proves nothing\n%s\n%q", m.log, srv.Logs)
	}
}
