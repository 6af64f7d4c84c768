package mkclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// Paths of MCollective in the image.
const (
	mcoDir    = "/usr/local/etc/mcollective"
	mcoFacts  = mcoDir + "/facts.yaml"
	mcoConfig = mcoDir + "/server.cfg"
	mcoPID    = "/var/run/mcollective.pid"
	mcoLib    = "/usr/local/mcollective/lib"
	mcoOutput = "/var/log/mcollectived.out" // the daemon's output before it goes to the background
)

// mcollective keeps MCollective's facts file up to date and its daemon running.
type mcollective struct {
	opt      *facts.Options
	child    *exec.Cmd // set while it runs in the foreground
	done     chan struct{}
	failures int    // attempts to start it in a row
	skip     int    // cycles to skip after failed attempts
	unseen   bool   // it went to the background, and was not seen running yet
	logged   int64  // size of the daemon's log at its start
	trouble  string // why it does not run, in its own words; "" if it runs
}

// update writes the facts file and keeps mcollectived running. It is silent in an image without MCollective, and
// its failures never affect a check-in.
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
	if m.running() {
		m.failures, m.skip, m.unseen, m.trouble = 0, 0, false, ""
		m.shortenOutput()
		return
	}
	if m.unseen {
		m.unseen = false
		m.report("mcollectived ended in the background", m.logWords, m.printed)
	}
	if m.skip > 0 {
		m.skip--
		return
	}
	if err := m.start(ctx, daemon); err != nil {
		m.report(fmt.Sprintf("start mcollectived: %v", err), m.printed, m.logWords)
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

// allowed refuses to start a daemon with published sample secrets: anyone with access to the message broker could
// command the machine.
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

// running finds the daemon by its pid file and checks that the number still belongs to it.
func (m *mcollective) running() bool {
	if m.child != nil {
		select {
		case <-m.done:
			m.report(fmt.Sprintf("mcollectived has ended: %v", m.child.ProcessState), m.printed, m.logWords)
			m.child, m.unseen = nil, false
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

// start starts the daemon in its own session, so that it outlives the client. It usually goes to the background
// by itself; otherwise it is kept as a child.
func (m *mcollective) start(ctx context.Context, daemon string) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), daemon, "--config", m.opt.Root.Path(mcoConfig), "--pidfile", m.opt.Root.Path(mcoPID))
	lib := m.opt.Root.Path(mcoLib)
	if old := facts.LookupEnv(m.opt.Environ, "RUBYLIB"); old != "" {
		lib += ":" + old
	}
	cmd.Env = append(program.BaseEnv(m.opt.Path), "RUBYLIB="+lib)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A file outlives the client, like the daemon, and never blocks it.
	out, err := os.OpenFile(m.opt.Root.Path(mcoOutput), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		m.opt.Log.Changed("mcollectived.out", clientlog.Warn, "the output of mcollectived is lost: %v", err)
	} else {
		defer out.Close() //nolint:errcheck // the daemon has its own
		cmd.Stdout, cmd.Stderr = out, out
	}
	m.logged = 0
	if fi, err := os.Stat(m.logFile()); err == nil {
		m.logged = fi.Size()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.unseen = true
	m.opt.Log.Logf(clientlog.Info, "mcollectived started")
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // time to go to the background
	defer cancel()
	for ctx.Err() == nil && m.opt.Root.Line(mcoPID) != strconv.Itoa(cmd.Process.Pid) {
		select {
		case <-done:
			if !cmd.ProcessState.Success() {
				m.unseen = false
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

// maxOutput bounds the file of the daemon's output, which a foreground daemon keeps writing.
const maxOutput = 1 << 20

// shortenOutput empties the file of the daemon's output if it is too long. The daemon appends to it.
func (m *mcollective) shortenOutput() {
	name := m.opt.Root.Path(mcoOutput)
	if fi, err := os.Stat(name); err == nil && fi.Mode().IsRegular() && fi.Size() > maxOutput {
		_ = os.Truncate(name, 0) // next time
	}
}

// report logs why the daemon does not run, with its own words from the first source that has some. It keeps them
// for the check-in.
func (m *mcollective) report(what string, places ...func() string) {
	for _, words := range places {
		if said := words(); said != "" {
			what += ": " + said
			break
		}
	}
	m.trouble = clientlog.Printable(what)
	m.opt.Log.Logf(clientlog.Warn, "%s", m.trouble)
}

// printed returns the end of the daemon's output.
func (m *mcollective) printed() string { return lastWords(m.opt.Root.Path(mcoOutput), 0) }

// logWords returns the end of the daemon's log since its start.
func (m *mcollective) logWords() string { return lastWords(m.logFile(), m.logged) }

// logFile returns the daemon's log file in server.cfg, or "".
func (m *mcollective) logFile() string {
	b, err := os.ReadFile(m.opt.Root.Path(mcoConfig))
	if err != nil {
		return ""
	}
	file := ""
	for line := range strings.Lines(string(b)) {
		if key, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "logfile" {
			file = m.opt.Root.Path(strings.TrimSpace(v))
		}
	}
	return file
}

// Limits of the daemon's words in a message.
const (
	wordBytes = 16 << 10
	wordLines = 5
	wordWidth = 300
)

// lastWords returns the last lines of a text file after an offset, as one line. It leaves out the lines of a Ruby
// backtrace: the reason is above them. A shorter file was started again.
func lastWords(name string, from int64) string {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // it was only read
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	if from > fi.Size() {
		from = 0
	}
	b, _ := io.ReadAll(io.NewSectionReader(f, max(from, fi.Size()-wordBytes), wordBytes)) // the readable part
	var lines []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || strings.HasPrefix(strings.TrimLeft(line, " \t"), "from ") {
			continue
		}
		lines = append(lines, strings.ToValidUTF8(line[:min(len(line), wordWidth)], "?"))
	}
	return strings.Join(lines[max(0, len(lines)-wordLines):], " / ")
}
