// Package fail holds mkbuild's error type for users: its class determines the exit status, its hint says what to
// type next. It imports no other package of mkbuild, so every package can return one.
//
// Most failures are an [Error]. A failure with data for a caller has its own type, with a method Class and, if it
// has advice, a method Hint. Start reading at [Error].
package fail

import (
	"errors"
	"fmt"
)

// Class is the kind of a failure. Each has an exit status.
type Class int

// The classes. An error without a class is Unexpected.
const (
	Unexpected   Class = iota
	Usage              // the command line, the configuration, or a file named there
	Drift              // the lock is missing, stale, or does not fit an input
	Network            // a server cannot be reached, or none has a file
	Verification       // a download or an image is damaged or wrong
	Boot               // a boot test failed
)

// Error is one failure. A package-level *Error without a cause serves as a sentinel for [errors.Is].
type Error struct {
	Class Class
	// What names the action, its object and the reason: "read lock x.lock: line 3 has no name".
	What string
	// Hint is what to type next; if empty, the hint of Err or of the class is shown.
	Hint string
	// Err is the cause. Its text follows What.
	Err error
}

// New returns an error without a cause.
func New(c Class, what, hint string) *Error { return &Error{Class: c, What: what, Hint: hint} }

// Wrap gives err a class and a hint and keeps its text.
func Wrap(c Class, err error, hint string) *Error { return &Error{Class: c, Hint: hint, Err: err} }

// Error returns What, followed by the text of the cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.What
	case e.What == "":
		return e.Err.Error()
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// classed and hinted are implemented by other error types.
type (
	classed interface {
		error
		Class() Class
	}
	hinted interface {
		error
		Hint() string
	}
)

// ClassOf returns the class of the outermost error in err's tree that has one.
func ClassOf(err error) Class {
	found := Unexpected
	walk(err, func(err error) bool {
		switch e := err.(type) { //nolint:errorlint // walk unwraps
		case *Error:
			found = e.Class
		case classed:
			found = e.Class()
		}
		return found != Unexpected
	})
	return found
}

// HintOf returns the hint of the outermost error in err's tree that has one, or "".
func HintOf(err error) string {
	found := ""
	walk(err, func(err error) bool {
		switch e := err.(type) { //nolint:errorlint // walk unwraps
		case *Error:
			found = e.Hint
		case hinted:
			found = e.Hint()
		}
		return found != ""
	})
	return found
}

// walk calls visit for err and its wrapped errors, outermost first, until visit returns true.
func walk(err error, visit func(error) bool) bool {
	for err != nil {
		if visit(err) {
			return true
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				if walk(e, visit) {
					return true
				}
			}
			return false
		}
		err = errors.Unwrap(err)
	}
	return false
}

// Recover turns a parser's panic into an error of the parsed file, so that a hostile file ends the command with
// one error. Defer it.
func Recover(name string, err *error) {
	if p := recover(); p != nil {
		*err = New(Verification, fmt.Sprintf("read %s: the parser gave up: %v", name, p), "")
	}
}
