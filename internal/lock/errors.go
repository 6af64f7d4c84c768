package lock

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Conditions to test for with errors.Is; the typed errors below carry the data.
var (
	// ErrMissing says that there is no lock.
	ErrMissing = errors.New("no lock")
	// ErrInvalid says that a file is no lock, or one of another version.
	ErrInvalid = errors.New("not a lock")
	// ErrStale says that a lock was made for another configuration.
	ErrStale = errors.New("stale lock")
	// ErrDrift says that something is not what the lock says.
	ErrDrift = errors.New("drift")
)

// Configuration is the [DriftError.Input] of what no input is to blame for.
const Configuration = "configuration"

// Presence is the [DriftError.What] of an input that was added or dropped.
const Presence = "input"

// command is what writes a lock, unless the caller knows better.
const command = "mkbuild lock"

// MissingError is an [ErrMissing] with the place that was looked at.
type MissingError struct {
	File    string
	Command string // what writes the lock; empty means plain `mkbuild lock`
}

func (e *MissingError) Error() string { return fmt.Sprintf("read lock %s: there is none", e.File) }

// Is reports that e is an ErrMissing.
func (e *MissingError) Is(target error) bool { return target == ErrMissing }

// Hint says how to get one.
func (e *MissingError) Hint() string { return "write it with `" + or(e.Command) + "`" }

// InvalidError is an [ErrInvalid] with its cause.
type InvalidError struct {
	File string
	Err  error
}

func (e *InvalidError) Error() string { return fmt.Sprintf("read lock %s: %v", e.File, e.Err) }

// Is reports that e is an ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func (e *InvalidError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *InvalidError) Hint() string {
	return "take it from version control again, or remove it and run `" + command + "`"
}

// StaleError is an [ErrStale]: the configuration selects other inputs than the one that was locked.
type StaleError struct {
	File      string // the lock; empty for one that is not a file
	Want, Got string // digests of the configuration: locked, and now
	Command   string
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("check %s: it was made for another configuration: locked %s, now %s", cmp.Or(e.File, "the lock"), e.Want, e.Got)
}

// Is reports that e is an ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// Hint says how to bring it up to date.
func (e *StaleError) Hint() string {
	return "`" + or(e.Command) + "` locks what is new and keeps the rest"
}

// DriftError is an [ErrDrift]: one input is not what the lock says.
type DriftError struct {
	// Input is a file name, or [Configuration].
	Input string
	// What differs: "sha256", "needs", "digest", or [Presence].
	What string
	// Want is what the lock says, Got what there is; either is empty where there is nothing.
	Want, Got string
	// Command writes the lock; empty means plain `mkbuild lock`.
	Command string
	// Err is the cause, where there is one.
	Err error
}

func (e *DriftError) Error() string { return "check " + e.Input + " against the lock: " + e.Change() }

// Change says what differs.
func (e *DriftError) Change() string {
	return fmt.Sprintf("%s: locked %s, now %s", e.What, none(e.Want), none(e.Got))
}

// Is reports that e is an ErrDrift.
func (e *DriftError) Is(target error) bool { return target == ErrDrift }

func (e *DriftError) Unwrap() error { return e.Err }

// Hint names the command that accepts what there is now.
func (e *DriftError) Hint() string {
	if e.Want == "" && e.What == Presence || e.Input == Configuration {
		return "`" + or(e.Command) + "` locks what is new and keeps the rest"
	}
	return "if you trust it, accept it with `" + or(e.Command) + " --update=" + e.Input + "`"
}

// DriftsError is an [ErrDrift] of several inputs.
type DriftsError struct {
	All     []*DriftError
	Command string
}

func (e *DriftsError) Error() string {
	names := make([]string, 0, len(e.All))
	for _, d := range e.All {
		names = append(names, d.Input)
	}
	return fmt.Sprintf("check the lock: %d things are not as locked: %s", len(e.All), strings.Join(names, ", "))
}

// Is reports that e is an ErrDrift.
func (e *DriftsError) Is(target error) bool { return target == ErrDrift }

// Hint names the commands that accept what there is now.
func (e *DriftsError) Hint() string {
	return "if you trust them, accept all with `" + or(e.Command) + " --update`, or one with `" + or(e.Command) + " --update=NAME`"
}

func or(writes string) string { return cmp.Or(writes, command) }

func none(s string) string { return cmp.Or(s, "none") }
