package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// Conditions to test for with errors.Is; the typed errors below carry the data.
var (
	// ErrNotFound says that every source answered, and none has the file.
	ErrNotFound = errors.New("not found")
	// ErrUnreachable says that no source gave the file and at least one did not answer properly.
	ErrUnreachable = errors.New("unreachable")
	// ErrForbidden says that a server refuses the file, 401 or 403: not whether it exists.
	ErrForbidden = errors.New("forbidden")
	// ErrOffline says that the network would be needed and is forbidden.
	ErrOffline = errors.New("offline")
	// ErrInsecure says that only plain http would give the file, and https is required.
	ErrInsecure = errors.New("plain http, and its host does not answer on https")
	// ErrTooLarge says that a file is over its limit.
	ErrTooLarge = errors.New("too large")
	// ErrAddress says that a URL, path or name cannot be used.
	ErrAddress = errors.New("unusable address")
)

// Attempt is what came of one source.
type Attempt struct {
	URL string // without a password
	Err error
}

func joinAttempts(as []Attempt) string {
	var b strings.Builder
	for i, a := range as {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %v", a.URL, a.Err)
	}
	return b.String()
}

// NotFoundError is an [ErrNotFound] with the places that were asked.
type NotFoundError struct {
	Name string
	URLs []string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("fetch %s: not found: %s", e.Name, strings.Join(e.URLs, ", "))
}

// Is reports that e is an ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// Hint says what to try next.
func (e *NotFoundError) Hint() string {
	return "check the name, the release and the architecture, or add a mirror that has it with --mirror URL"
}

// NetworkError is an [ErrUnreachable] with every source and its cause.
type NetworkError struct {
	Name     string
	Attempts []Attempt
}

func (e *NetworkError) Error() string {
	return fmt.Sprintf("fetch %s: no source gave it: %s", e.Name, joinAttempts(e.Attempts))
}

// Is reports that e is an ErrUnreachable.
func (e *NetworkError) Is(target error) bool { return target == ErrUnreachable }

// Unwrap returns the causes. A source that answered "not found" beside one that did not answer
// proves no absence, and a cancelled attempt is no interrupt of the user: both are left out.
func (e *NetworkError) Unwrap() []error {
	var causes []error
	for _, a := range e.Attempts {
		if !errors.Is(a.Err, ErrNotFound) && !errors.Is(a.Err, context.Canceled) {
			causes = append(causes, a.Err)
		}
	}
	return causes
}

// Hint says what to try next.
func (e *NetworkError) Hint() string {
	return "check the network and the proxy settings, add another mirror with --mirror URL, or build from the cache alone with --offline"
}

// OfflineError is an [ErrOffline] naming what the cache lacks.
type OfflineError struct {
	Name string
	URLs []string
	// Damaged says that the cache had the file, but its bytes had changed.
	Damaged bool
	// Plain says that the cache has the file, from plain http, and https is required.
	Plain bool
}

func (e *OfflineError) Error() string {
	why := "it is not in the cache"
	if e.Plain {
		why = "its cached copy came over plain http, which --require-https refuses"
	}
	if e.Damaged {
		why = "its cached copy was damaged and has been removed"
	}
	return fmt.Sprintf("fetch %s: offline and %s: %s", e.Name, why, strings.Join(e.URLs, ", "))
}

// Is reports that e is an ErrOffline.
func (e *OfflineError) Is(target error) bool { return target == ErrOffline }

// Hint says what to try next.
func (e *OfflineError) Hint() string {
	return "run once without --offline to fill the cache, or give a mirror on disk with --mirror DIR"
}

// InsecureError is an [ErrInsecure] with the places that were refused.
type InsecureError struct {
	Name string
	URLs []string
}

func (e *InsecureError) Error() string {
	return fmt.Sprintf("fetch %s: --require-https refuses plain http, and no https answers there: %s", e.Name, strings.Join(e.URLs, ", "))
}

// Is reports that e is an ErrInsecure.
func (e *InsecureError) Is(target error) bool { return target == ErrInsecure }

// Hint says what to try next.
func (e *InsecureError) Hint() string {
	return "name a mirror that has https with --mirror https://…, or one on disk with --mirror DIR, or leave --require-https out and let a lock decide"
}

// ChecksumError is content that is not what its digest promises.
type ChecksumError struct {
	Name, URL string
	Algorithm string // "md5" or "sha256"
	Want, Got string // hex
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("fetch %s: wrong %s from %s: want %s, got %s", e.Name, e.Algorithm, e.URL, e.Want, e.Got)
}

// Hint says what to try next.
func (e *ChecksumError) Hint() string {
	return "the mirror may be in the middle of an update or tampered with: try another one with --mirror URL"
}

// ContentError is content that [Request.Check] refused.
type ContentError struct {
	Name, URL string
	Err       error
}

func (e *ContentError) Error() string {
	return fmt.Sprintf("fetch %s: %s does not give that file: %v", e.Name, e.URL, e.Err)
}

// Unwrap returns what the check said.
func (e *ContentError) Unwrap() error { return e.Err }

// Hint says what to try next.
func (e *ContentError) Hint() string {
	return "open the address in a browser: a login page, a proxy or a moved mirror may answer in its place; --mirror URL names another"
}

// SizeError is an [ErrTooLarge]: a file, or an endless body, over its limit.
type SizeError struct {
	Name, URL string
	Limit     int64 // bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("fetch %s: %s is over the limit of %d bytes", e.Name, e.URL, e.Limit)
}

// Is reports that e is an ErrTooLarge.
func (e *SizeError) Is(target error) bool { return target == ErrTooLarge }

// Hint says what to try next.
func (e *SizeError) Hint() string {
	return "that is not a file a microkernel is made of: check the address, or try another mirror with --mirror URL"
}

// CacheError is a cache that cannot be written: a full disk, missing permission.
type CacheError struct {
	Dir string
	Err error
}

func (e *CacheError) Error() string { return fmt.Sprintf("write cache %s: %v", e.Dir, e.Err) }

// Unwrap returns the error of the file system.
func (e *CacheError) Unwrap() error { return e.Err }

// Hint says what to try next.
func (e *CacheError) Hint() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC):
		return "free space on that disk, or put the cache elsewhere with --cache-dir DIR"
	case errors.Is(e.Err, fs.ErrPermission):
		return "make the directory writable, or put the cache elsewhere with --cache-dir DIR"
	}
	return "put the cache elsewhere with --cache-dir DIR"
}

// DamagedError says that content of a cache had changed.
type DamagedError struct {
	Dir         string
	Damaged, Of int // files
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("verify cache %s: %d of %d files were damaged and have been removed", e.Dir, e.Damaged, e.Of)
}

// Hint says what to do next.
func (e *DamagedError) Hint() string {
	return "the next build, or mkbuild fetch, gets them again; if it happens again, look at that disk"
}

// StallError is a transfer that was too slow.
type StallError struct {
	After time.Duration
	Whole bool // the whole Get took too long, rather than the next byte
	// Got is how many bytes came meanwhile: some, but too few.
	Got int64
}

func (e *StallError) Error() string {
	if e.Whole {
		return fmt.Sprintf("not complete after %v", e.After)
	}
	if e.Got > 0 {
		return fmt.Sprintf("too slow: %d bytes received in %v", e.Got, e.After)
	}
	return fmt.Sprintf("nothing received for %v", e.After)
}

// Timeout reports true, as in net.Error.
func (e *StallError) Timeout() bool { return true }
