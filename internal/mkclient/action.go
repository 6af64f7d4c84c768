package mkclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// ErrAction says that an action's name is none that the client runs.
var ErrAction = errors.New("refused action")

var actionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Execute carries out an action of the server: "none", "reboot", or the name of an executable
// directly inside the commands directory. A name with a path in it is refused: it would let the
// server run any program of the image. The process gets the fixed base environment; the
// extension's paths never reach it.
func (c *Client) Execute(ctx context.Context, action string) error {
	if action == "none" {
		return nil
	}
	if !actionName.MatchString(action) {
		return fmt.Errorf("%w %q: not a plain name", ErrAction, action)
	}
	program, err := c.actionProgram(action)
	if err != nil {
		return err
	}
	c.log().Logf(Info, "run action %s (%s)", action, program)
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeouts.Action)
	defer cancel()
	res, err := runGroup(ctx, command{Path: program, Env: c.baseEnv(), Dir: "/tmp"})
	if err != nil {
		return fmt.Errorf("run action %s: %w", action, err)
	}
	if res.Code != 0 {
		return fmt.Errorf("run action %s: exit status %d: %s", action, res.Code, firstLine(res.Stderr))
	}
	return nil
}

// actionProgram finds the executable. An image without a "reboot" of its own gets the system's.
func (c *Client) actionProgram(action string) (string, error) {
	p := filepath.Join(c.set.Commands, action)
	fi, err := os.Stat(p)
	switch {
	case err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0:
		return p, nil
	case action == "reboot" && errors.Is(err, os.ErrNotExist):
		if p, err := c.lookPath("reboot"); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w %q: no such executable in %s", ErrAction, action, c.set.Commands)
}

// lookPath finds a program on the fixed base path, which no extension can change.
func (c *Client) lookPath(name string) (string, error) {
	for _, dir := range filepath.SplitList(c.opt.Path) {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("find %s in %s: %w", name, c.opt.Path, exec.ErrNotFound)
}
