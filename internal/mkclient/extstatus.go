package mkclient

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"syscall"

	"mkbuild/internal/extension"
)

// usable lists the generations that facts may run with, best first: the newest, then the one
// before it. Bad ones and ones that razor.extend_sha256 does not name are left out.
func (r *refresher) usable() []generation {
	var list []generation
	for _, g := range r.state.Generations {
		if !g.bad() && (r.set.ExtendSHA256 == "" || g.SHA256 == r.set.ExtendSHA256) {
			list = append(list, g)
		}
	}
	return list
}

// path is the directory of a generation; "" for none.
func (r *refresher) path(g *generation) string {
	if g == nil {
		return ""
	}
	return filepath.Join(r.root, g.Dir)
}

// blame records that facts could not be collected with a generation, though they could with
// less of it.
func (r *refresher) blame(dir string, why error) {
	for i := range r.state.Generations {
		g := &r.state.Generations[i]
		if g.Dir != dir {
			continue
		}
		g.Strikes++
		g.Trouble = "its facts fail: " + why.Error()
		verdict := "it gets one more try"
		if g.bad() {
			verdict = "it is out of use until the server's copy changes"
		}
		r.log.Logf(Error, "facts with the extension of %s: %v; %s", g.LastModified, why, verdict)
		r.saveQuietly()
	}
}

// praise records that facts were collected with a generation, and which ones only it has.
func (r *refresher) praise(dir string, own []string) {
	for i := range r.state.Generations {
		g := &r.state.Generations[i]
		if g.Dir == dir && (g.Strikes != 0 || g.Facts == nil && own != nil) {
			g.Strikes, g.Trouble = 0, ""
			if own != nil {
				g.Facts = own
			}
			r.saveQuietly()
		}
	}
}

// saveQuietly keeps the memory on disk in step; a full disk only costs what was just learned.
func (r *refresher) saveQuietly() {
	if err := r.state.save(r.root); err != nil {
		r.log.Changed("state", Warn, "save %s: %v", stateFile, err)
	}
}

// status is what the server learns about the extension. Its texts do not change from one cycle
// to the next while nothing changes, so that they cause no "facts changed" there.
type status struct {
	Status    string // off, none, active, fallback, failed
	SHA256    string
	Timestamp string
	Error     string
	Note      string // for the log at the server only: an extension with a note is a valid one
}

// status describes the outcome of a cycle in which used was the generation in force.
func (r *refresher) status(used *generation) status {
	s := status{Error: r.state.Error}
	if s.Error == "" && len(r.state.Generations) > 0 {
		s.Error = r.state.Generations[0].Trouble
	}
	switch {
	case used != nil:
		s.Status, s.SHA256, s.Timestamp = "active", used.SHA256, timestamp(used.LastModified)
		s.Note = used.Note
		if used.Dir != r.state.Generations[0].Dir || r.state.Refused != nil {
			s.Status = "fallback"
		}
	case r.set.ExtendOff:
		s.Status = "off"
	case s.Error != "" || len(r.state.Generations) > 0:
		s.Status = "failed"
	default:
		s.Status = "none"
	}
	return s
}

// facts are the status as the server sees it. All of them are always there: a tag rule that
// names a missing fact stops the server from binding anything.
func (s status) facts(version string) Facts {
	return Facts{
		"mk_version":             version,
		"mk_extension_status":    s.Status,
		"mk_extension_sha256":    s.SHA256,
		"mk_extension_timestamp": s.Timestamp,
		"mk_extension_error":     printable(s.Error), // Facter's stderr may be in it
	}
}

// stableError words an error without addresses, ports or byte counts that would differ in
// every cycle.
func stableError(err error) string {
	var (
		status  *StatusError
		refused *refusedError
		why     *extension.Error
		dns     *net.DNSError
		op      *net.OpError
		unknown x509.UnknownAuthorityError
		timeout interface{ Timeout() bool }
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.reason
	case errors.As(err, &status):
		return fmt.Sprintf("server answered %d", status.Status)
	case errors.Is(err, syscall.ENOSPC):
		return "no space left to unpack it"
	case notZip(err) != nil:
		return notZip(err).Reason
	case errors.As(err, &why):
		return why.Error()
	case errors.Is(err, errEmpty):
		return errEmpty.Error()
	case errors.Is(err, errRedirect):
		return errRedirect.Error()
	case errors.As(err, &unknown):
		return "the server's certificate is not trusted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.As(err, &dns):
		return "the server's name does not resolve"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the transfer was cut short"
	case errors.As(err, &op):
		return "the server is unreachable"
	}
	return "extension could not be refreshed"
}
