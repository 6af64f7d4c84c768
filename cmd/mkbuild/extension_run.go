//go:build unix

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"mkbuild/internal/extension/trial"
	"mkbuild/internal/ui"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/razor"
	"mkbuild/internal/wholefile"
)

func extensionRunCommand(w *world) *cobra.Command {
	asJSON := false
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "run DIR|ZIP",
		Short: "Collect facts here with and without an extension, and print the difference",
		Long: `Unpack an extension into a temporary directory and collect this machine's facts with it and without
it, with mk-client's own code: the same unpacking, environment, switches and limits as on a
microkernel, and the Facter that is installed here. Print the facts that the extension adds,
changes or removes. Facts are collected twice, so that a value that changes by itself is not
attributed to the extension, and a fact of the extension that changes each time is marked. The facts
path, free memory, uptime, load and mounts are left out: they always change.

Programs of the extension run here, as you. stdout is the facts.`,
		Example: `  mkbuild extension run site
  mkbuild extension run mk-extension.zip --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout < 0 {
				return usage("--timeout: a negative duration", "for example: --timeout 30s")
			}
			return runExtensionRun(cmd.Context(), w, args[0], timeout, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the facts as JSON ("+trial.Schema+")")
	c.Flags().DurationVar(&timeout, "timeout", 0, "how long Facter may take (default: the client's own limit)")
	return c
}

func runExtensionRun(ctx context.Context, w *world, name string, timeout time.Duration, asJSON bool) error {
	tmp, release, err := wholefile.TempFolder()
	if err != nil {
		return err
	}
	defer release()
	dir := filepath.Join(tmp, "extension")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as the client makes it
		return err
	}
	if err := extension.UnpackNamed(ctx, name, dir, extension.DefaultLimits()); err != nil {
		return extension.Named(err, "`mkbuild extension lint "+name+"` says how to fix it")
	}
	fmt.Fprintln(w.stderr, "mkbuild: collecting facts twice, with and without the extension: this takes some seconds")
	c := collectorHere(w, timeout)
	var samples [2]trial.Sample
	for i := range samples {
		if samples[i], err = sampleFacts(ctx, c, name, dir); err != nil {
			return err
		}
	}
	d := trial.Compare(samples)
	d.Extension = name
	if asJSON {
		return printJSON(w.stdout, d)
	}
	text := d.Text(razor.DefaultConfig().Facts.Blacklist.Has)
	if text == "" {
		fmt.Fprintf(w.stderr, "mkbuild: %s adds and changes no facts: `mkbuild extension lint %[1]s` looks for the reason\n", ui.Clean(name))
	}
	_, err = io.WriteString(w.stdout, text)
	return err
}

// sampleFacts collects once without and once with the extension in dir.
func sampleFacts(ctx context.Context, c *facts.Collector, name, dir string) (trial.Sample, error) {
	with, without, err := c.Try(ctx, dir)
	switch {
	case ctx.Err() != nil:
		return trial.Sample{}, ctx.Err()
	case err != nil && without == nil:
		return trial.Sample{}, usage("collect facts without the extension: "+err.Error(), "install Facter (Debian and Ubuntu: apt install facter; elsewhere: gem install facter), and make sure that `facter --json` works")
	case err != nil:
		return trial.Sample{}, usage("collect facts with "+name+": "+err.Error(), "without the extension Facter works: `mkbuild extension lint "+name+"` looks for the cause; --timeout gives it longer")
	}
	return trial.Sample{With: with, Without: without}, nil
}

// collectorHere is mk-client's collector with its defaults, but with this machine's paths of programs.
func collectorHere(w *world, timeout time.Duration) *facts.Collector {
	var environ []string
	for _, key := range []string{"PATH", "LD_LIBRARY_PATH", "RUBYLIB"} {
		if v := w.getenv(key); v != "" {
			environ = append(environ, key+"="+v)
		}
	}
	opt := facts.DefaultOptions(environ)
	opt.Timeout = cmp.Or(timeout, opt.Timeout)
	opt.Log = &clientlog.Logger{W: w.stderr, Min: clientlog.Warn}
	if path := w.getenv("PATH"); path != "" {
		opt.Path = path + ":" + opt.Path // also finds the user's own Facter
	}
	return facts.New(opt)
}
