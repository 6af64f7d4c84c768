// Command mkmirror assembles a mirror in the shape of Tiny Core Linux's out of Debian packages: a line of
// 4.x for x86 and one of today for x86_64, so that mkbuild can be developed, demonstrated and tested where the public mirrors
// cannot be reached. What it makes is a stand-in and says so: in the image's release text, in
// every .info file and in a README at the top of the mirror.
//
// It needs a Debian machine (apt, dpkg-deb, mksquashfs, xorriso) and no root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mkbuild/internal/ui"
)

const usage = `mkmirror assembles a Tiny-Core-shaped mirror out of Debian packages: a line of 4.x
for x86 (i386 packages) and one of today for x86_64 (amd64 packages).

Usage: mkmirror [flags] DIR

DIR is created whole, or not at all; an earlier mirror there is replaced.

Flags:
  --work DIR      downloads and unpacked packages, kept between runs (default: DIR.work)
  --release V     the Tiny Core release for x86 to stand in for (default 4.5.2)
  --release64 V   the one for x86_64 (default 15.0)
  --only ARCH     make one line alone: x86 or x86_64
  --refresh       ask Debian's archive for newer packages; without it, packages that were
                  downloaded before are used again and no network is needed

The result is used as:  mkbuild iso --config DIR/mkbuild.yaml
                        mkbuild iso --config DIR/mkbuild-x86_64.yaml

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`

// options are what the command line says.
type options struct {
	out, work          string
	release, release64 string
	only               string // architecture; empty: all
	refresh            bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run is main with its exit code as a value.
func run(ctx context.Context, args []string) int {
	o, err := parseArgs(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "mkmirror: error: %v\nmkmirror: hint: mkmirror --help\n", err)
		return 2
	}
	err = assemble(ctx, o, stderrSink{})
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "mkmirror: interrupted")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "mkmirror: error: %v\n", err)
		return 1
	}
	fmt.Println(o.out)
	return 0
}

// parseArgs reads the command line; both -flag and --flag are taken.
func parseArgs(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("mkmirror", flag.ContinueOnError)
	fs.SetOutput(discard{})
	fs.StringVar(&o.work, "work", "", "")
	fs.StringVar(&o.release, "release", "4.5.2", "")
	fs.StringVar(&o.release64, "release64", "15.0", "")
	fs.StringVar(&o.only, "only", "", "")
	fs.BoolVar(&o.refresh, "refresh", false, "")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() != 1 || fs.Arg(0) == "" {
		return o, fmt.Errorf("want one directory, got %d arguments", fs.NArg())
	}
	if o.only != "" && !slices.Contains(portNames(), o.only) {
		return o, fmt.Errorf("--only %s: want one of %s", o.only, strings.Join(portNames(), ", "))
	}
	for _, r := range []string{o.release, o.release64} {
		if _, err := majorOf(r); err != nil {
			return o, err
		}
	}
	out, err := filepath.Abs(fs.Arg(0))
	if err != nil {
		return o, fmt.Errorf("find %s: %w", fs.Arg(0), err)
	}
	o.out = out
	if o.work == "" {
		o.work = out + ".work"
	}
	o.work, err = filepath.Abs(o.work)
	return o, err
}

// discard drops what the flag package would print: run prints the one line that users see.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// stderrSink prints one line for each event that is worth one.
type stderrSink struct{}

var _ ui.Sink = stderrSink{}

// Event implements [ui.Sink].
func (stderrSink) Event(e ui.Event) {
	text := e.Text
	if e.Level == ui.Warning {
		text = "warning: " + text
	}
	if e.Item != "" {
		text = e.Item + ": " + text
	}
	fmt.Fprintf(os.Stderr, "mkmirror: %s: %s\n", e.Step, text)
}
