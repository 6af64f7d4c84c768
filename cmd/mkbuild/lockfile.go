package main

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
)

// lockFlags say which lock a command goes by, and how strictly.
type lockFlags struct {
	lockfile string
	locked   bool
}

func (o *buildOptions) addLockfileFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.lockfile, "lockfile", "", "lock `file` (default mkbuild.lock beside the configuration)")
}

func (o *buildOptions) addLockFlags(c *cobra.Command) {
	o.addLockfileFlag(c)
	c.Flags().BoolVar(&o.locked, "locked", false, "fail if there is no lock, if it is of another configuration, or if anything is not as locked")
}

// lockName is the place of the lock: the one that was named, or beside the configuration.
func (o *buildOptions) lockName() string {
	if o.lockfile != "" {
		return o.lockfile
	}
	return filepath.Join(filepath.Dir(o.config), lock.FileName)
}

// loadLock reads the lock to build from: none where there is none, unless one is demanded.
func (o *buildOptions) loadLock() (*lock.Lock, error) {
	l, err := lock.Load(o.lockName(), o.lockCommand())
	if errors.Is(err, lock.ErrMissing) && !o.locked && o.lockfile == "" {
		return nil, nil //nolint:nilnil // no lock is a normal answer
	}
	return l, err
}

// lockCommand is what writes the lock of the configuration that the flags make, from the mirrors that
// they name. One with a password is left out: the command is shown.
func (o *buildOptions) lockCommand() string {
	command := "mkbuild lock"
	add := func(flag, value string) {
		if strings.ContainsAny(value, " \t'\"$`\\") {
			value = strconv.Quote(value)
		}
		if value != "" {
			command += " " + flag + " " + value
		}
	}
	add("--config", o.config)
	add("--lockfile", o.lockfile)
	add("--release", o.release)
	add("--arch", o.arch)
	for _, m := range o.mirrors {
		if fetch.Shown(m) == m {
			add("--mirror", m)
		}
	}
	return command
}
