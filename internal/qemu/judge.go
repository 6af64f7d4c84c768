package qemu

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// BootError is a failed boot.
type BootError struct {
	// Rule names the fault, see [Rules].
	Rule string
	Why  string
	Next string
	Tail string // the console's last lines
	// LogFile is the file of the whole console log, if kept.
	LogFile string
}

// Error names the rule first.
func (e *BootError) Error() string {
	s := "boot test: " + e.Rule + ": " + e.Why
	if e.LogFile != "" {
		s += "; the console log is in " + e.LogFile
	}
	return s
}

// Class returns the class of a failed boot test.
func (*BootError) Class() fail.Class { return fail.Boot }

// Hint says what to do, and repeats the last line of the console.
func (e *BootError) Hint() string {
	if e.Tail == "" {
		return e.Next
	}
	return e.Next + "; the console's last line was: " + lastLine(e.Tail)
}

func lastLine(s string) string {
	ls := strings.Split(strings.TrimSpace(s), "\n")
	return ls[len(ls)-1]
}

// Failure returns the error of one of this package's constants. why, if given, replaces the rule's.
func (vm *VM) Failure(rule, why string) *BootError {
	i := slices.IndexFunc(Rules(), func(r Rule) bool { return r.Name == rule })
	return vm.failure(Rules()[i], why)
}

func (vm *VM) failure(r Rule, why string) *BootError {
	if why == "" {
		why = r.Why
	}
	return &BootError{Rule: r.Name, Why: why, Next: r.Next, Tail: tail(vm.Log())}
}

// Expect waits until lines of the console have matched all patterns. It fails with a [*BootError] as soon as a
// line shows a known fault, or the machine or ctx ends.
func (vm *VM) Expect(ctx context.Context, patterns ...*regexp.Regexp) error {
	j := &judge{left: slices.Clone(patterns), rules: vm.rules()}
	err := vm.follow(ctx, j)
	switch {
	case errors.Is(err, errEnded):
		return vm.Failure(RuleEnded, fmt.Sprintf("the machine ended before it printed %q", j.left))
	case errors.Is(err, context.DeadlineExceeded):
		return vm.late(j)
	}
	return err
}

// Watch waits for a fault: a line of a known fault or the machine's end, both as a [*BootError], or the end of
// ctx as its own error.
func (vm *VM) Watch(ctx context.Context) error {
	err := vm.follow(ctx, &judge{left: []*regexp.Regexp{nothing}, rules: vm.rules()})
	if errors.Is(err, errEnded) {
		return vm.Failure(RuleEnded, "")
	}
	return err
}

// nothing matches no line.
var nothing = regexp.MustCompile(`[^\s\S]`) //nolint:gochecknoglobals // a constant

var errEnded = errors.New("the machine ended")

// follow passes new console lines to j.
func (vm *VM) follow(ctx context.Context, j *judge) error {
	for {
		lines, grown, ended := vm.console.since(j.seen)
		if err := j.read(vm, lines); err != nil || len(j.left) == 0 {
			return err
		}
		switch {
		case ended && ctx.Err() != nil: // ctx may have ended it
			return ctx.Err()
		case ended:
			return errEnded
		}
		select {
		case <-grown:
		case <-vm.console.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// late is the error of a machine that ran out of time.
func (vm *VM) late(j *judge) error {
	if j.seen == 0 {
		return vm.Failure(RuleSilent, "")
	}
	return vm.Failure(RuleNoMarker, fmt.Sprintf("it did not print %q in time", j.left))
}

// rules returns the rules for this machine.
func (vm *VM) rules() []Rule {
	return slices.DeleteFunc(Rules(), func(r Rule) bool { return r.says == nil || slices.Contains(vm.harmless, r.Name) })
}

// judge reads each console line once.
type judge struct {
	left  []*regexp.Regexp
	rules []Rule
	seen  int // lines
}

// read judges more lines, which count from j.seen.
func (j *judge) read(vm *VM, lines []string) error {
	for _, l := range lines {
		j.seen++
		j.left = slices.DeleteFunc(j.left, func(re *regexp.Regexp) bool { return re.MatchString(l) })
		if len(j.left) == 0 {
			return nil
		}
		for _, r := range j.rules {
			if r.says.MatchString(l) {
				return vm.failure(r, "")
			}
		}
	}
	return nil
}

// tail returns the console's last lines.
func tail(log string) string {
	ls := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(ls[max(0, len(ls)-15):], "\n")
}
