package mkclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Where the image keeps MCollective.
const (
	mcoDir    = "/usr/local/etc/mcollective"
	mcoFacts  = mcoDir + "/facts.yaml"
	mcoConfig = mcoDir + "/server.cfg"
	mcoPID    = "/var/run/mcollective.pid"
	mcoLib    = "/usr/local/mcollective/lib"
)

const mcoStartWait = 20 * time.Second // until a daemon has gone to the background

// mcoDaemon remembers how starting went, to space out attempts that fail.
type mcoDaemon struct {
	child    *exec.Cmd // set while it runs in the foreground of its own accord
	done     chan struct{}
	failures int
	skip     int // cycles to leave out
}

// mcollective writes the facts file and keeps mcollectived running. An image without
// MCollective is a normal, quiet case, and trouble with it never concerns a check-in.
func (c *Client) mcollective(ctx context.Context, facts Facts) {
	if !isDir(c.path(mcoDir)) {
		return
	}
	if err := writeFileAtomic(c.path(mcoFacts), factsYAML(facts), 0o640); err != nil {
		c.log().Changed("facts.yaml", Warn, "write MCollective's facts: %v", err)
	}
	program, err := c.lookPath("mcollectived")
	if err != nil {
		return
	}
	if !c.mcoAllowed() || c.mcoRunning() {
		return
	}
	if c.mco.skip > 0 {
		c.mco.skip--
		return
	}
	if err := c.mcoStart(ctx, program); err != nil {
		c.log().Logf(Warn, "start mcollectived: %v", err)
	}
	c.mco.failures++ // mcoRunning clears it
	c.mco.skip = min(1<<min(c.mco.failures, 5)-2, 20)
}

// factsYAML writes one flat mapping that both Ruby 1.8's Syck and newer parsers read: quoted
// keys, quoted text, structured values as JSON, which is YAML too.
func factsYAML(facts Facts) []byte {
	var b bytes.Buffer
	b.WriteString("---\n")
	for _, name := range sortedKeys(facts) {
		v := facts[name]
		if text, ok := scalarText(v); ok {
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

// mcoAllowed refuses to start a daemon whose secrets everybody can read in the published
// sample configuration: whoever runs the message broker would own the machine.
func (c *Client) mcoAllowed() bool {
	b, err := os.ReadFile(c.path(mcoConfig))
	if err != nil {
		c.log().Changed("mcollective", Warn, "mcollectived is not started: %v", err)
		return false
	}
	if key := sampleSecret(b); key != "" && !c.set.AllowSampleSecrets {
		c.log().Changed("mcollective", Warn,
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

// mcoRunning looks for the daemon by its pid file and makes sure that the number still belongs
// to it.
func (c *Client) mcoRunning() bool {
	if c.mco.child != nil {
		select {
		case <-c.mco.done:
			c.log().Logf(Warn, "mcollectived has ended: %v", c.mco.child.ProcessState)
			c.mco.child = nil
		default:
			c.mco.failures, c.mco.skip = 0, 0
			return true
		}
	}
	pid, err := strconv.Atoi(sysLine(c.path("/"), mcoPID))
	if err != nil || pid <= 1 {
		return false
	}
	line, err := os.ReadFile(filepath.Join(c.path("proc"), strconv.Itoa(pid), "cmdline"))
	if err != nil || !bytes.Contains(line, []byte("mcollectived")) {
		return false
	}
	c.mco.failures, c.mco.skip = 0, 0
	return true
}

// mcoStart starts the daemon in a session of its own, so that it outlives the client. It
// usually goes to the background by itself; one that stays is kept as a child.
func (c *Client) mcoStart(ctx context.Context, program string) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "--config", c.path(mcoConfig), "--pidfile", c.path(mcoPID))
	lib := c.path(mcoLib)
	if old := lookupEnv(c.opt.Environ, "RUBYLIB"); old != "" {
		lib += ":" + old
	}
	cmd.Env = append(c.baseEnv(), "RUBYLIB="+lib)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.log().Logf(Info, "mcollectived started")
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state is read from cmd
		close(done)
	}()
	ctx, cancel := context.WithTimeout(ctx, mcoStartWait)
	defer cancel()
	for {
		select {
		case <-done:
			if !cmd.ProcessState.Success() {
				return errors.New(cmd.ProcessState.String())
			}
			return nil
		case <-ctx.Done():
			c.mco.child, c.mco.done = cmd, done
			return nil
		case <-time.After(50 * time.Millisecond):
			if sysLine(c.path("/"), mcoPID) == strconv.Itoa(cmd.Process.Pid) {
				c.mco.child, c.mco.done = cmd, done
				return nil
			}
		}
	}
}
