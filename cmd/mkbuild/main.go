// Mkbuild turns a stock Tiny Core Linux ISO into a Razor microkernel ISO. Each command has a file of its name:
// flags, options, a call into internal/, and the output. Decisions about images are made in internal/. Start
// reading at root.go and iso.go.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"mkbuild/internal/clientbin"
	"mkbuild/internal/fetch"
	"mkbuild/internal/ui"
)

// world is the environment of a command.
type world struct {
	stdout, stderr io.Writer
	terminal       bool // stderr is a terminal, and accepts control characters
	onScreen       bool // stdout is a terminal
	getenv         func(string) string
	password       func(ctx context.Context, prompt string) ([]byte, error) // nil: no terminal to ask on
	client         func(arch string) (*io.SectionReader, error)             // mk-client programs for images
	transfers      fetch.Options                                            // limits and network of the builder; zero is the real one
	lines          *ui.Lines                                                // writer of stderr with --log-format json; else nil
}

func main() {
	terminal := term.IsTerminal(int(os.Stderr.Fd()))
	w := &world{stdout: os.Stdout, stderr: os.Stderr, terminal: terminal && os.Getenv("TERM") != "dumb", onScreen: term.IsTerminal(int(os.Stdout.Fd())), getenv: os.Getenv, client: clientbin.Program}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		w.password = askPassword
	}
	if ui.WantsColor(os.Getenv, terminal) {
		w.stderr = ui.NewColor(os.Stderr)
	}
	os.Exit(runUntilStopped(w, os.Args[1:]))
}

// patience is how long a stopped command may take to end by itself. Then it ends as if killed, which leaves
// nothing half-written either. So no hostile file can keep it running.
const patience = 1500 * time.Millisecond

// runUntilStopped returns the exit code of a command that ended or was stopped.
func runUntilStopped(w *world, args []string) int {
	ctx, stop := untilStopped()
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, w, args) }()
	select {
	case code := <-ended:
		return code
	case <-ctx.Done():
	}
	select {
	case code := <-ended:
		return code
	case <-time.After(patience):
	}
	cmd, _, err := rootCommand(&world{}).Find(args)
	if err == nil {
		reporterOf(cmd, args).report(os.Stderr, errInterrupted)
	}
	return exitInterrupted
}

// untilStopped returns a context that ends when mkbuild is stopped. A closed terminal stops it as well, unless
// nohup(1) ignores that signal.
func untilStopped() (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signal.NotifyContext(context.Background(), signals...)
}

// run is main for tests: it returns the exit code.
func run(ctx context.Context, w *world, args []string) int {
	cmd := rootCommand(w)
	cmd.SetArgs(args)
	ran, err := cmd.ExecuteContextC(ctx)
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	if w.lines != nil {
		w.lines.Close() //nolint:errcheck // an error of stderr has nowhere to go
	}
	if err != nil && !errors.Is(err, errDifferent) {
		reporterOf(ran, args).report(w.stderr, err)
	}
	return exitCode(err)
}
