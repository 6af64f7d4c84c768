package main

import (
	"fmt"
	"testing"

	"mkbuild/internal/inspect"
)

func TestVerifyExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		exitVerify:     fmt.Errorf("x: %w", &inspect.BrokenError{Name: "x", Count: 1}),
		exitUsage:      &troubleError{&inspect.BrokenError{Name: "x", Count: 1}},
		exitUnexpected: errDifferent,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
