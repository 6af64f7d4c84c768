//go:build unix

// Bench runs commands in turn, several times each, and prints the median of their wall and processor
// times and their peak memory. It judges nothing: scripts/bench says what is compared with what.
//
//	bench -n 3 NAME COMMAND [NAME COMMAND]...
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec" //nolint:depguard // measuring other programs is all that it does
	"runtime"
	"slices"
	"syscall"
	"time"
)

// run is one execution of a command.
type run struct {
	wall, cpu time.Duration
	peak      int64 // bytes: the largest process of a pipeline, not their sum
}

func main() {
	n := flag.Int("n", 3, "how often to run each command")
	flag.Parse()
	if err := bench(os.Stdout, *n, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench runs all commands once in each round, so that a busy moment of the machine hits all of them.
func bench(w io.Writer, n int, args []string) error {
	if n < 1 || len(args) == 0 || len(args)%2 != 0 {
		return errors.New("usage: bench [-n N] NAME COMMAND, both as often as you like")
	}
	runs := make([][]run, len(args)/2)
	for range n {
		for i := range runs {
			r, err := measure(args[2*i+1])
			if err != nil {
				return fmt.Errorf("%s: %w", args[2*i], err)
			}
			runs[i] = append(runs[i], r)
		}
	}
	fmt.Fprintf(w, "%-34s %9s %9s %10s %7s\n", fmt.Sprintf("median of %d, %d CPUs", n, runtime.NumCPU()), "wall", "cpu", "peak RSS", "ratio")
	first := median(runs[0], func(r run) int64 { return int64(r.wall) })
	for i, rs := range runs {
		wall := median(rs, func(r run) int64 { return int64(r.wall) })
		cpu := median(rs, func(r run) int64 { return int64(r.cpu) })
		peak := median(rs, func(r run) int64 { return r.peak })
		fmt.Fprintf(w, "%-34s %7.2f s %7.2f s %6.1f MiB %7.2f\n", args[2*i], seconds(wall), seconds(cpu), float64(peak)/(1<<20), float64(wall)/float64(first))
	}
	return nil
}

func seconds(d int64) float64 { return time.Duration(d).Seconds() }

func median(rs []run, of func(run) int64) int64 {
	var vs []int64
	for _, r := range rs {
		vs = append(vs, of(r))
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}

// measure runs one shell command. The kernel adds up the times, and takes the largest memory, of a
// process and of those that it waited for (getrusage(2)).
func measure(command string) (run, error) {
	cmd := exec.Command("bash", "-c", command) //nolint:gosec,noctx // the caller's own command
	cmd.Stderr = os.Stderr
	begun := time.Now() //nolint:forbidigo // a clock is what it is
	err := cmd.Run()
	wall := time.Since(begun) //nolint:forbidigo // as above
	if err != nil {
		return run{}, err
	}
	r := run{wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = usage.Maxrss << 10 // KiB on Linux
	}
	return r, nil
}
