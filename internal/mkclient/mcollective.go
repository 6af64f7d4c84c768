package mkclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/generations"
	"mkbuild/internal/mkclient/program"
)

// Where the image keeps MCollective.
const (
	mcoDir    = "/usr/local/etc/mcollective"
	mcoFacts  = mcoDir + "/facts.yaml"
	mcoConfig = mcoDir + "/server.cfg"
	mcoPID    = "/var/run/mcollective.pid"
	mcoLib    = "/usr/local/mcollective/lib"
)

// mcollective keeps MCollective's facts file up to date and its daemon running.
type mcollective struct {
	opt      *facts.Options
	child    *exec.Cmd // set while it runs in the foreground by itself
	done     chan struct{}
	failures int // attempts to start it in a row
	skip     int // cycles to leave out, to space out attempts that fail
}

// update writes the facts file and keeps mcollectived running. An image without
// MCollective is a normal, quiet case, and trouble with it never concerns a check-in.
func (m *mcollective) update(ctx context.Context, fs facts.Facts, allowSamples bool) {
	if fi, err := os.Stat(m.opt.Root.Path(mcoDir)); err != nil || !fi.IsDir() {
		return
	}
	if err := generations.WriteFile(m.opt.Root.Path(mcoFacts), factsYAML(fs), 0o640); err != nil {
		m.opt.Log.Changed("facts.yaml", clientlog.Warn, "write MCollective's facts: %v", err)
	}
	daemon, err := program.Find("mcollectived", m.opt.Path)
	if err != nil || !m.allowed(allowSamples) {
		return
	}
	switch {
	case m.running():
		m.failures, m.skip = 0, 0
		return
	case m.skip > 0:
		m.skip--
		return
	}
	if err := m.start(ctx, daemon); err != nil {
		m.opt.Log.Logf(clientlog.Warn, "start mcollectived: %v", err)
	}
	m.failures++ // until it is seen running
	m.skip = min(1<<min(m.failures, 5)-2, 20)
}

// factsYAML writes one flat mapping that both Ruby 1.8's Syck and newer parsers read: quoted
// keys, quoted text, structured values as JSON, which is YAML too.
func factsYAML(fs facts.Facts) []byte {
	var b bytes.Buffer
	b.WriteString("---\n")
	for _, name := range slices.Sorted(maps.Keys(fs)) {
		v := fs[name]
		if text, ok := facts.ScalarText(v); ok {
			v = text // fact filters compare text
		}
		fmt.Fprintf(&b, "%s: %s\n", jsonText(name), jsonText(v))
	}
	return b.Bytes()
}

func jsonText(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte(`""`)
	}
	return bytes.TrimSpace(b.Bytes())
}

// allowed refuses to start a daemon whose secrets everybody can read in the published
// sample configuration: anyone who runs the message broker would own the machine.
func (m *mcollective) allowed(samples bool) bool {
	b, err := os.ReadFile(m.opt.Root.Path(mcoConfig))
	if err != nil {
		m.opt.Log.Changed("mcollective", clientlog.Warn, "mcollectived is not started: %v", err)
		return false
	}
	if key := sampleSecret(b); key != "" && !samples {
		m.opt.Log.Changed("mcollective", clientlog.Warn,
			"mcollectived is not started: %s in %s is the published sample (set it, or razor.mcollective.allow_sample_secrets=on)", key, mcoConfig)
		return false
	}
	return true
}

// sampleSecret names the first setting of a server.cfg whose value is a published sample.
func sampleSecret(cfg []byte) string {
	for line := range strings.Lines(string(cfg)) {
		key, v, ok := strings.Cut(line, "=")
		switch strings.TrimSpace(v) {
		case "klot2oj2ked2tayn3hu5on7l", "iwillchangethispassword":
			if key = strings.TrimSpace(key); ok && !strings.HasPrefix(key, "#") {
				return key
			}
		}
	}
	return ""
}

// running looks for the daemon by its pid file and makes sure that the number still belongs
// to it.
func (m *mcollective) running() bool {
	if m.child != nil {
		select {
		case <-m.done:
			m.opt.Log.Logf(clientlog.Warn, "mcollectived has ended: %v", m.child.ProcessState)
			m.child = nil
		default:
			return true
		}
	}
	pid, err := strconv.Atoi(m.opt.Root.Line(mcoPID))
	if err != nil || pid <= 1 {
		return false
	}
	line, err := os.ReadFile(m.opt.Root.Path(fmt.Sprintf("proc/%d/cmdline", pid)))
	return err == nil && bytes.Contains(line, []byte("mcollectived"))
}

// start starts the daemon in a session of its own, so that it outlives the client. It
// usually goes to the background by itself; one that stays is kept as a child.
func (m *mcollective) start(ctx context.Context, daemon string) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), daemon, "--config", m.opt.Root.Path(mcoConfig), "--pidfile", m.opt.Root.Path(mcoPID))
	lib := m.opt.Root.Path(mcoLib)
	if old := facts.LookupEnv(m.opt.Environ, "RUBYLIB"); old != "" {
		lib += ":" + old
	}
	cmd.Env = append(program.BaseEnv(m.opt.Path), "RUBYLIB="+lib)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.opt.Log.Logf(clientlog.Info, "mcollectived started")
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state is read from cmd
		close(done)
	}()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // to go to the background
	defer cancel()
	for ctx.Err() == nil && m.opt.Root.Line(mcoPID) != strconv.Itoa(cmd.Process.Pid) {
		select {
		case <-done:
			if !cmd.ProcessState.Success() {
				return errors.New(cmd.ProcessState.String())
			}
			return nil
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	m.child, m.done = cmd, done
	return nil
}
