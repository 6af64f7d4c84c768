//go:build unix

// Bench runs commands in turn, several times each. It prints the median of their wall and processor times and their
// peak memory, and their speed relative to the first. It judges nothing: scripts/bench chooses the comparisons.
//
//	bench [-n 5] NAME PREPARE COMMAND [NAME PREPARE COMMAND]...
//	bench -data MIB DIR
//	bench -scale BASE NIGHTLY WEEKLY
//
// PREPARE runs before each run of its COMMAND and is not measured. With -data it writes files for measurements. With
// -scale it reads the PXE folders in segments of three builds, and prints a fleet's transfers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	n := flag.Int("n", 5, "how often to run each command")
	data := flag.Int("data", 0, "write so many MiB of files")
	fleet := flag.Bool("scale", false, "print what a fleet moves")
	flag.Parse()
	err := error(nil)
	switch {
	case *data > 0:
		err = writeData(flag.Arg(0), *data)
	case *fleet:
		err = scale(os.Stdout, flag.Args())
	default:
		err = bench(os.Stdout, *n, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench runs all commands once in each round, so that a busy moment of the machine affects all of them.
func bench(w io.Writer, n int, args []string) error {
	if n < 1 || len(args) == 0 || len(args)%3 != 0 {
		return errors.New("usage: bench [-n N] NAME PREPARE COMMAND, all three as often as you like")
	}
	runs := make([][]run, len(args)/3)
	for range n {
		for i := range runs {
			if _, err := measure(args[3*i+1]); err != nil {
				return fmt.Errorf("prepare %s: %w", args[3*i], err)
			}
			r, err := measure(args[3*i+2])
			if err != nil {
				return fmt.Errorf("%s: %w", args[3*i], err)
			}
			runs[i] = append(runs[i], r)
		}
	}
	report(w, args, runs)
	return nil
}

// report prints one line for each command.
func report(w io.Writer, args []string, runs [][]run) {
	fmt.Fprintf(w, "%-44s %9s %9s %10s %8s\n", fmt.Sprintf("median of %d, %d CPUs", len(runs[0]), runtime.NumCPU()), "wall", "cpu", "peak RSS", "faster")
	first := 0.0
	for i, rs := range runs {
		wall := seconds(median(rs, func(r run) int64 { return int64(r.wall) }))
		cpu := seconds(median(rs, func(r run) int64 { return int64(r.cpu) }))
		peak := median(rs, func(r run) int64 { return r.peak })
		if i == 0 {
			first = wall
		}
		fmt.Fprintf(w, "%-44s %7.2f s %7.2f s %6.1f MiB %7.1fx\n", args[3*i], wall, cpu, float64(peak)/(1<<20), first/wall)
	}
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

// measure runs one shell command. The kernel sums the times, and uses the largest memory, of a process and of those
// that it waited for (getrusage(2)).
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
		r.peak = int64(usage.Maxrss) << 10 //nolint:unconvert // an int32 on 32-bit machines // KiB on Linux
	}
	return r, nil
}
