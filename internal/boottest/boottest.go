// Package boottest boots what mkbuild makes: an ISO from its CD, or kernel and initrd over the
// network with a real iPXE, out of an ISO or a folder. [Test] watches the console and, when asked,
// waits for the node's check-in at a server of its own; [Interact] leaves the machine to a person. Start
// reading at [Test].
//
// What is tested is never changed. Arguments that a test needs (a serial console, the address of its
// server) reach an ISO's kernel through a temporary copy in which nothing but the boot menu differs,
// and a kernel from the network through the script that iPXE gets, as in a data centre. Typing
// them at ISOLINUX's prompt would need no copy, but many menus have no prompt, and giving them by
// DHCP would need a client that asks there, which mk-client does not.
//
// It decides nothing about images: what a boot shows is named by the package qemu. Start reading at [Test].
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

// Marker is what an image's own script prints when it has booted.
const Marker = `MK loaded: v`

// Result is what a passed test found.
type Result struct {
	// Format is "iso" or "pxe".
	Format string
	// Node and Facts are those of the check-in; empty without one.
	Node  string
	Facts map[string]any
}

// Test boots the image and waits until it has said and done what is expected. An image that does
// not is a [*qemu.BootError] whose rule names why.
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

// keepLog writes the console's log where it is wanted, or where a failed test leaves it, and names
// the file in the test's error.
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
