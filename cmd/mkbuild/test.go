package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/ui"

	"github.com/spf13/cobra"

	"mkbuild/internal/attest"
	"mkbuild/internal/boottest"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/qemu"
)

type testOptions struct {
	machineOptions
	expect  []string
	console bool
	json    bool
	attest  signOptions
}

func testCommand(w *world) *cobra.Command {
	o := &testOptions{}
	c := &cobra.Command{
		Use:   "test IMAGE",
		Short: "Prove that an image boots, and that its client checks in",
		Long: `Boot an image in QEMU, without acceleration, and wait until lines of its serial console have matched
every --expect. IMAGE is an ISO, or a folder that mkbuild iso --format pxe made; --format pxe boots an
ISO's kernel and initrd over the network, with a real iPXE. With --check-in the machine gets a check-in
server of its own, and its node must report; stdout is then its facts. In a prod image no process may
listen or read a console unless the configuration allows it: mk-client prints these processes
on the console.

The image's file is never changed. Kernel arguments that it lacks (console=ttyS0, the server's address,
--append's) reach an ISO's kernel through a temporary copy that differs only in its boot menu; stderr names
them.

A boot with a known fault ends at once, with the name of the fault:
` + ruleList() + `
The console log of a failed test is kept, and the error names its file. QEMU is the only other program
needed: apt-get install qemu-system-x86 ipxe-qemu`,
		Example: `  mkbuild test rz_mk_prod-image.0.1.0.iso
  mkbuild test image.iso --format pxe --check-in --memory 768
  mkbuild test image.iso --expect 'MK loaded: v0\.1\.0' --timeout 3m --log console.log`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runTest(cmd.Context(), w, o, args[0]) },
	}
	o.addFlags(c.Flags())
	f := c.Flags()
	f.StringArrayVar(&o.expect, "expect", []string{boottest.Marker}, "regular expression `RE` that a line of the console must match; may be repeated")
	f.DurationVar(&o.boot.Timeout, "timeout", 5*time.Minute, "how long to wait")
	f.BoolVar(&o.boot.CheckIn, "check-in", false, "the node must also check in with a server that this command runs")
	f.StringVar(&o.boot.Log, "log", "", "write the console log to this `file`, even if the test passes (default IMAGE.console.log if it fails)")
	f.BoolVar(&o.console, "console", false, "copy the console to stderr while the machine runs")
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	o.attest.addFlags(c, "attest", "sign the result with this secret `key`: IMAGE.intoto.jsonl next to the image")
	return c
}

// ruleList is the help text's list of known faults.
func ruleList() string {
	var b strings.Builder
	for _, r := range qemu.Rules() {
		fmt.Fprintf(&b, "  %-24s %s\n", r.Name, r.Why)
	}
	return b.String()
}

func runTest(ctx context.Context, w *world, o *testOptions, image string) error {
	opts, err := o.options(w, image)
	if err != nil {
		return err
	}
	if opts.Log != "" {
		var reads hostfile.Reads
		reads.Add("the image itself", image)
		if err := reads.Allow(ctx, hostfile.File(opts.Log, "--log FILE")); err != nil {
			return err
		}
	}
	for _, e := range o.expect {
		re, err := regexp.Compile(e)
		if err != nil {
			return usage("--expect "+e+": "+err.Error(), `write a regular expression (https://github.com/google/re2/wiki/Syntax); \Q…\E takes text as it is`)
		}
		opts.Expect = append(opts.Expect, re)
	}
	if o.console {
		opts.Console = w.stderr
	}
	sign, err := o.attestation(ctx, w, image)
	if err != nil {
		return err
	}
	r, err := boottest.Test(ctx, opts)
	if err != nil {
		return err
	}
	if err := sign(r); err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "mkbuild: %s boots (%s): it said all of %q\n", image, r.Format, o.expect)
	if o.json {
		return printJSON(w.stdout, testReport{"mkbuild.test/v1", image, r.Format, r.Node, r.Facts})
	}
	return printFacts(w, r)
}

// attestation returns a function that signs a passed test. The image is read before it boots.
func (o *testOptions) attestation(ctx context.Context, w *world, image string) (func(*boottest.Result) error, error) {
	if !o.attest.wanted() {
		return func(*boottest.Result) error { return nil }, nil
	}
	m, err := openImage(image)
	if err != nil {
		return nil, err
	}
	defer m.Close() //nolint:errcheck // only read
	sign, err := o.attest.attesting(ctx, w, m)
	return func(r *boottest.Result) error {
		return sign(func(image attest.Descriptor) (*attest.Statement, error) {
			return attest.Booted(image, map[string]any{
				"mkbuild": versionText(), "format": r.Format, "expect": o.expect, "checkIn": o.boot.CheckIn, "memoryMiB": o.boot.MemoryMiB,
			})
		})
	}, err
}

// testReport is the output of --json for a passed test.
type testReport struct {
	Schema string         `json:"schema"`
	Image  string         `json:"image"`
	Format string         `json:"format"`
	Node   string         `json:"node,omitempty"`
	Facts  map[string]any `json:"facts,omitempty"`
}

// printFacts prints the node's facts, one a line.
func printFacts(w *world, r *boottest.Result) error {
	if r.Facts == nil {
		return nil
	}
	fmt.Fprintf(w.stderr, "mkbuild: %s checked in with %d facts\n", oneLine(r.Node), len(r.Facts))
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Facts)) {
		fmt.Fprintf(&b, "%s = %s\n", ui.FactName(name), ui.FactValue(r.Facts[name]))
	}
	_, err := io.WriteString(w.stdout, b.String())
	return err
}
