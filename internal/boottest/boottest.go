// Package boottest boots images: an ISO from its CD, or kernel and initrd over the network with a real iPXE.
// [Test] watches the console and, if asked, waits for the node's check-in at its own server; [Interact] leaves
// the machine to the user.
//
// The image is never changed. Arguments that a test needs (a serial console, the address of its server) reach an
// ISO's kernel through a temporary copy that differs only in its boot menu, and a kernel from the network through
// iPXE's script, as in a data centre. Typing them at ISOLINUX's prompt would need no copy, but many menus have no
// prompt; DHCP would need a client that asks for them, and mk-client does not.
//
// The package qemu judges a boot. Start reading at [Test].
package boottest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/qemu"
	"mkbuild/internal/wholefile"
)

// Marker is the line that an image's own script prints after booting.
const Marker = `MK loaded: v`

// Result is the outcome of a passed test.
type Result struct {
	// Format is "iso" or "pxe".
	Format string
	// Node and Facts come from the check-in; empty without one.
	Node  string
	Facts map[string]any
}

// Test boots the image and waits for the expected lines and check-in. If they do not come, it returns a
// [*qemu.BootError] whose rule names the reason.
func Test(ctx context.Context, o Options) (*Result, error) {
	o.judged = true
	s, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.machine.Console = o.Console
	vm, err := qemu.Start(ctx, s.machine)
	if err != nil {
		return nil, err
	}
	defer vm.Stop()
	r, err := s.watch(ctx, vm)
	return r, errors.Join(err, o.keepLog(vm.Log(), err))
}

// watch waits for the console's lines and for the check-in.
func (s *session) watch(ctx context.Context, vm *qemu.VM) (*Result, error) {
	timeout, expect := s.options.Timeout, s.options.Expect
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	if len(expect) == 0 {
		expect = []*regexp.Regexp{regexp.MustCompile(Marker)}
	}
	if s.prod != nil {
		expect = append(slices.Clone(expect), report)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := vm.Expect(limited, expect...); err != nil {
		return nil, err
	}
	r := &Result{Format: s.format}
	if s.options.CheckIn {
		c, err := s.server.await(limited, vm)
		if err != nil {
			return nil, err
		}
		r.Node, r.Facts = c.node, c.facts
	}
	if s.prod == nil {
		return r, nil
	}
	return r, judgeOpen(s.prod, vm)
}

// Interact boots the image with its serial console on the three streams, until the machine or
// the user ends it.
func Interact(ctx context.Context, o Options, in *os.File, out, errs io.Writer) error {
	s, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	return qemu.Interact(ctx, s.machine, in, out, errs)
}

// keepLog writes the console log to the chosen file, or to the default one after a failed test, and names the
// file in the test's error.
func (o *Options) keepLog(log string, err error) error {
	var failed *qemu.BootError
	if !errors.As(err, &failed) && o.Log == "" {
		return nil
	}
	name := o.Log
	if name == "" {
		name = strings.TrimRight(o.Image, `/\`) + ".console.log"
	}
	werr := wholefile.Write(name, func(w io.Writer) error {
		_, err := io.WriteString(w, log)
		return err
	})
	if werr != nil && o.Log == "" {
		name, werr = temporaryLog(log)
	}
	if werr != nil {
		return fmt.Errorf("write the console's log: %w", werr)
	}
	if failed != nil {
		failed.LogFile = name
	}
	return nil
}

func temporaryLog(log string) (string, error) {
	f, err := os.CreateTemp("", "mkbuild-console-*.log")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(log)
	return f.Name(), errors.Join(err, f.Close())
}
