package fail_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mkbuild/internal/fail"
)

func Example() {
	cause := errors.New("connection refused")
	err := fmt.Errorf("build: %w", &fail.Error{Class: fail.Network, What: "fetch ruby.tcz", Hint: "add a mirror with --mirror URL", Err: cause})
	fmt.Println(err)
	fmt.Println(fail.ClassOf(err) == fail.Network, errors.Is(err, cause))
	fmt.Println("hint:", fail.HintOf(err))
	// Output:
	// build: fetch ruby.tcz: connection refused
	// true true
	// hint: add a mirror with --mirror URL
}

type measured struct{ over int }

func (e measured) Error() string     { return fmt.Sprintf("%d bytes over", e.over) }
func (e measured) Class() fail.Class { return fail.Verification }
func (e measured) Hint() string      { return "leave something out" }

func TestOutermostWins(t *testing.T) {
	sentinel := fail.New(fail.Verification, "corrupt", "look at the file")
	plain := errors.New("plain")
	tests := []struct {
		name  string
		err   error
		class fail.Class
		hint  string
	}{
		{"nil", nil, fail.Unexpected, ""},
		{"plain", plain, fail.Unexpected, ""},
		{"sentinel in a chain", fmt.Errorf("read x: %w", sentinel), fail.Verification, "look at the file"},
		{"outer class, inner hint", &fail.Error{Class: fail.Usage, Err: sentinel}, fail.Usage, "look at the file"},
		{"outer hint, inner class", &fail.Error{What: "read", Hint: "outer", Err: sentinel}, fail.Verification, "outer"},
		{"another type", fmt.Errorf("plan: %w", measured{3}), fail.Verification, "leave something out"},
		{"joined", errors.Join(plain, fail.Wrap(fail.Drift, plain, "lock")), fail.Drift, "lock"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fail.ClassOf(tt.err); got != tt.class {
				t.Errorf("class: got %d, want %d", got, tt.class)
			}
			if got := fail.HintOf(tt.err); got != tt.hint {
				t.Errorf("hint: got %q, want %q", got, tt.hint)
			}
		})
	}
}

func TestRecoverNamesTheFile(t *testing.T) {
	parse := func() (err error) {
		defer fail.Recover("core.iso", &err)
		panic("index out of range")
	}
	if err := parse(); err == nil || !strings.Contains(err.Error(), "core.iso") || fail.ClassOf(err) != fail.Verification {
		t.Errorf("got %v", err)
	}
}
