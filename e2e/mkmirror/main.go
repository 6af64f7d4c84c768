// Command mkmirror assembles a mirror in the shape of Tiny Core Linux's from Debian packages, so that mkbuild can
// be developed, demonstrated and tested without access to the public mirrors. It has three release series, which
// differ like real ones: 4.x and 8.x for x86, 15.x for x86_64. The result is marked as a stand-in: in the image's
// release text, in every .info file and in a README at the top of the mirror. Start reading at [assemble], and at
// [allSeries] for the differences.
//
// It needs a Debian machine (apt, dpkg-deb, mksquashfs, xorriso) and no root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"mkbuild/internal/ui"
)

const usage = `mkmirror assembles a Tiny-Core-shaped mirror out of Debian packages, with three release
series: 4.x and 8.x for x86 (i386 packages) and 15.x for x86_64 (amd64 packages).

Usage: mkmirror [flags] DIR

DIR is created whole, or not at all; an earlier mirror there is replaced, unless this program made it.

Flags:
  --work DIR      downloads and unpacked packages, kept between runs (default: DIR.work)
  --only SERIES   make one series alone (4.x, 8.x, 15.x), or those of an architecture (x86, x86_64)
  --refresh       ask Debian's archive for newer packages and make the mirror anew; without it,
                  packages that were downloaded before are used again and no network is needed

The result is used as:  mkbuild iso --config DIR/mkbuild.yaml          (4.x)
                        mkbuild iso --config DIR/mkbuild-8.x.yaml
                        mkbuild iso --config DIR/mkbuild-x86_64.yaml   (15.x)

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`

// options are the options of the command line.
type options struct {
	out, work string
	only      string // series or architecture; empty: all
	refresh   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run is main with its exit code as a result.
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

// parseArgs reads the command line; both -flag and --flag are valid.
func parseArgs(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("mkmirror", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints the one line for users
	fs.StringVar(&o.work, "work", "", "")
	fs.StringVar(&o.only, "only", "", "")
	fs.BoolVar(&o.refresh, "refresh", false, "")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() != 1 || fs.Arg(0) == "" {
		return o, fmt.Errorf("want one directory, got %d arguments", fs.NArg())
	}
	if len(matching(o.only)) == 0 {
		return o, fmt.Errorf("--only %s: want 4.x, 8.x, 15.x, x86 or x86_64", o.only)
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

// stderrSink prints one line for each event that deserves one.
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
