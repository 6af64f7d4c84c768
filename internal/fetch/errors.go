package fetch

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"mkbuild/internal/fail"
)

// Conditions to test for with errors.Is.
var (
	// ErrNotFound is returned if every source answered, and none has the file.
	ErrNotFound = fail.New(fail.Network, "not found", "check the name, the release and the architecture, or add a mirror that has it with --mirror URL")
	// ErrUnreachable is returned if no source has the file and at least one did not answer properly.
	ErrUnreachable = fail.New(fail.Network, "all sources failed", "check the network and the proxy settings, add a mirror with --mirror URL, or use the cache with --offline")
	// ErrUnresolved is returned if no server's name could be resolved.
	ErrUnresolved = fail.New(fail.Network, "no name could be resolved", "check the network, the name server in /etc/resolv.conf and, if you are behind a proxy, HTTPS_PROXY and HTTP_PROXY; without a network, build from a folder of `mkbuild mirror`: --config DIR/mkbuild.yaml")
	// ErrCertificate is returned if a server's certificate is not trusted, and no other source has the file.
	ErrCertificate = fail.New(fail.Network, "a certificate is not trusted", "name a file with the certificate of your own CA in SSL_CERT_FILE, or a folder of them in SSL_CERT_DIR (macOS and Windows: add it to the system's store)")
	// ErrForbidden is the cause if a server refuses the file, with 401 or 403: it may exist or not.
	ErrForbidden = fail.New(fail.Network, "forbidden", "")
	// ErrOffline is returned if the file needs the network, which is forbidden.
	ErrOffline = fail.New(fail.Network, "offline", "fill the cache with `mkbuild fetch`, or name a mirror on disk with --mirror DIR")
	// ErrInsecure is returned if only plain http has the file, and https is required.
	ErrInsecure = fail.New(fail.Usage, "--require-https refuses plain http, and the server has no https", "name a mirror with https, --mirror https://HOST/, or one on disk, --mirror DIR; or leave --require-https out and pin the files with a lock")
	// ErrContent is returned for content that [Request.Check] refused.
	ErrContent = fail.New(fail.Verification, "sent another file", "open the address in a browser: a login page, a proxy or a moved mirror may answer instead; --mirror URL names another mirror")
	// ErrTooLarge is returned for a file, or an endless body, over the limit.
	ErrTooLarge = fail.New(fail.Verification, "over the limit", "no input of a microkernel is so large: check the address, or try another mirror with --mirror URL")
	// ErrAddress is returned for a URL, path or name that cannot be used.
	ErrAddress = fail.New(fail.Usage, "unusable address", "look at `mirrors` and the urls in mkbuild.yaml: http://, https://, file:/// or a path")
)

// Causes within this package.
var (
	errRedirect = errors.New("redirect refused")
	errSilent   = errors.New("nothing received")
	errSlow     = errors.New("too slow")
)

// ChecksumError is content with a wrong digest.
type ChecksumError struct {
	Name, URL string
	Algorithm string // "md5" or "sha256"
	Want, Got string // hex
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("fetch %s: wrong %s from %s: want %s, got %s", e.Name, e.Algorithm, e.URL, e.Want, e.Got)
}

// Class returns the class of wrong content.
func (e *ChecksumError) Class() fail.Class { return fail.Verification }

// Hint says what to try next.
func (e *ChecksumError) Hint() string {
	return "the mirror may be in the middle of an update or tampered with: try another one with --mirror URL"
}

// hostError is a failure of a whole server: each of its files fails in the same way.
type hostError struct {
	host  string // with its port
	err   error
	again bool // it was reported already
}

// Error names the server and the innermost cause: the net package adds "dial tcp", "connect" and addresses.
func (e *hostError) Error() string {
	if dns, ok := errors.AsType[*net.DNSError](e.err); ok {
		return "the name " + dns.Name + " cannot be resolved"
	}
	if errno, ok := errors.AsType[syscall.Errno](e.err); ok {
		return e.host + ": " + errno.Error()
	}
	return e.host + ": " + e.err.Error()
}

// Unwrap returns the cause.
func (e *hostError) Unwrap() error { return e.err }

// statusError is an answer other than the file.
type statusError struct {
	code int
	// after is the time in Retry-After; 0 without it.
	after time.Duration
}

// Error uses the standard text of the code: the server's own could be anything.
func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

// Is reports whether target is ErrForbidden and the server's reason, too.
func (e *statusError) Is(target error) bool {
	return target == ErrForbidden && (e.code == http.StatusForbidden || e.code == http.StatusUnauthorized)
}

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}
