// Mkbuild turns a stock Tiny Core Linux ISO into a Razor microkernel ISO.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"mkbuild/internal/clientbin"
)

// world is everything that a command takes from outside; tests make their own.
type world struct {
	stdout, stderr io.Writer
	terminal       bool // stderr is one
	getenv         func(string) string
	client         func(arch string) ([]byte, error) // the mk-client that images get
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	w := &world{os.Stdout, os.Stderr, term.IsTerminal(int(os.Stderr.Fd())), os.Getenv, clientbin.Program}
	code := run(ctx, w, os.Args[1:])
	stop()
	os.Exit(code)
}

// run is main for tests: it returns the exit code.
func run(ctx context.Context, w *world, args []string) int {
	cmd := rootCommand(w)
	cmd.SetArgs(args)
	ran, err := cmd.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		err = errInterrupted
	}
	reporterOf(ran, args).report(w.stderr, err)
	return exitCode(err)
}
