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

// BootError is an image that did not do what was expected of it.
type BootError struct {
	// Rule names what has happened, see [Rules].
	Rule string
	Why  string
	Next string
	Tail string // the console's last lines
	// LogFile is where the whole console is, when it was kept.
	LogFile string
}

// Error names the rule first.
func (e *BootError) Error() string {
	s := "boot test: " + e.Rule + ": " + e.Why
	if e.LogFile != "" {
		s += "; the console's log is in " + e.LogFile
	}
	return s
}

// Class is that of a boot test that failed.
func (*BootError) Class() fail.Class { return fail.Boot }

// Hint says what to do, and what the console said last, which says more than any summary.
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

// Failure makes the error of one of this package's constants; why, when given, is more exact than the rule's.
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

// Expect waits until lines of the console have matched every one of patterns. It fails with a
// [*BootError] as soon as a line is one of a known fault, when the machine ends, or when ctx does.
func (vm *VM) Expect(ctx context.Context, patterns ...*regexp.Regexp) error {
	j := &judge{left: slices.Clone(patterns), rules: vm.rules()}
	err := vm.follow(ctx, j)
	switch {
	case errors.Is(err, errEnded):
		return vm.Failure(RuleEnded, fmt.Sprintf("the machine ended before it said %q", j.left))
	case errors.Is(err, context.DeadlineExceeded):
		return vm.late(j)
	}
	return err
}

// Watch waits until something is wrong: a line of a known fault or the machine's end, both as a
// [*BootError], or the end of ctx as its own error.
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

// follow lets j read the console as it grows.
func (vm *VM) follow(ctx context.Context, j *judge) error {
	for {
		lines, grown, ended := vm.console.since(j.seen)
		if err := j.read(vm, lines); err != nil || len(j.left) == 0 {
			return err
		}
		switch {
		case ended && ctx.Err() != nil: // it may have been ended by ctx
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

// late is the verdict on a machine that has used up its time.
func (vm *VM) late(j *judge) error {
	if j.seen == 0 {
		return vm.Failure(RuleSilent, "")
	}
	return vm.Failure(RuleNoMarker, fmt.Sprintf("in time it did not say %q", j.left))
}

// rules are those that this machine is judged by.
func (vm *VM) rules() []Rule {
	return slices.DeleteFunc(Rules(), func(r Rule) bool { return r.says == nil || slices.Contains(vm.harmless, r.Name) })
}

// judge goes through the console line by line, each once.
type judge struct {
	left  []*regexp.Regexp
	rules []Rule
	seen  int // lines
}

// read judges further lines, which count from j.seen.
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
