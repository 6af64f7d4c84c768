package generations

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/web"
)

// Usable lists the generations for a collection, best first: the newest, then the one before it. It leaves out
// disabled ones, and those that razor.extend_sha256 excludes.
func (s *Store) Usable() (list []facts.Extension) {
	for _, g := range s.state.Generations {
		if !g.bad() && s.pinned(g.SHA256) {
			list = append(list, facts.Extension{Dir: filepath.Join(s.Dir, g.Dir), Own: g.Facts})
		}
	}
	return list
}

// find returns the generation in a directory, or nil.
func (s *Store) find(dir string) *generation {
	for i := range s.state.Generations {
		if filepath.Join(s.Dir, s.state.Generations[i].Dir) == dir {
			return &s.state.Generations[i]
		}
	}
	return nil
}

// Learn records the result of a collection: a generation whose facts failed, although Facter worked with less,
// gets a strike; one that worked loses its strikes, and its facts' names are recorded.
func (s *Store) Learn(col *facts.Collection) {
	used := s.find(col.Used.Dir)
	if col.Broken || used == nil && len(col.Failed) == 0 {
		return
	}
	for _, x := range col.Failed {
		g := s.find(x.Dir)
		g.Strikes++
		g.Trouble = "its facts fail: " + col.Why.Error()
		then := "trying it once more"
		if g.bad() {
			then = "it is disabled until the server's copy changes"
		}
		s.Log.Logf(clientlog.Error, "facts failed with the extension of %s: %v; %s", g.LastModified, col.Why, then)
	}
	if used != nil {
		used.Strikes, used.Trouble, used.Facts = 0, "", col.Used.Own
	}
	s.remember()
}

// Status is the extension's status for the server. Its texts are stable from cycle to cycle, so that they cause
// no "facts changed" there.
type Status struct {
	Status    string // off, none, active, fallback, failed
	SHA256    string
	Timestamp string
	Error     string
	Note      string   // only for the server's log: an extension with a note is valid
	Own       []string // names of the facts that only the extension adds
}

// Status describes the outcome of a cycle with an extension, or without one.
func (s *Store) Status(used facts.Extension) Status {
	st := Status{Error: s.state.Error}
	list := s.state.Generations
	if st.Error == "" && len(list) > 0 {
		st.Error = list[0].Trouble
	}
	g := s.find(used.Dir)
	switch {
	case g != nil:
		st.Status, st.SHA256, st.Timestamp = "active", g.SHA256, timestamp(g.LastModified)
		st.Note, st.Own = g.Note, g.Facts
		if g.Dir != list[0].Dir || s.state.Refused != nil {
			st.Status = "fallback"
		}
	case s.Settings.ExtendOff:
		st.Status = "off"
	case st.Error != "" || len(list) > 0:
		st.Status = "failed"
	default:
		st.Status = "none"
	}
	return st
}

// Unreported returns the status as one line for the node's log at the server, if it has changed since the last
// report. A missing extension is reported only if there was one.
func (s *Store) Unreported(st Status) (level clientlog.Level, msg string, changed bool) {
	if st.key() == s.state.Reported {
		return 0, "", false
	}
	if s.state.Reported == "" && (st.Status == "none" || st.Status == "off") {
		s.Reported(st)
		return 0, "", false
	}
	level, msg = clientlog.Info, "mk-client: extension "+st.Status
	if st.SHA256 != "" {
		msg += ", sha256 " + st.SHA256
	}
	if st.Error != "" {
		level, msg = clientlog.Warn, msg+": "+st.Error
	}
	if st.Note != "" {
		level, msg = clientlog.Warn, msg+"; "+st.Note
	}
	return level, msg, true
}

// Reported records a reported status.
func (s *Store) Reported(st Status) {
	s.state.Reported = st.key()
	s.remember()
}

func (st Status) key() string { return st.Status + " " + st.SHA256 + " " + st.Error }

// Facts are the status as facts. All are always present: a tag rule that names a missing fact stops the server
// from binding anything.
func (st Status) Facts(version string) facts.Facts {
	return facts.Facts{
		"mk_version":             version,
		"mk_extension_status":    st.Status,
		"mk_extension_sha256":    st.SHA256,
		"mk_extension_timestamp": st.Timestamp,
		"mk_extension_error":     clientlog.Printable(st.Error), // Facter's stderr may be in it
		"mk_extension_facts":     strings.Join(st.Own, ","),
	}
}

// timestamp returns a Last-Modified value as a fact, in UTC, or "".
func timestamp(lastModified string) string {
	t, err := http.ParseTime(lastModified)
	if err != nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// StableError words an error without addresses, ports or byte counts, which would differ in every cycle.
func StableError(err error) string {
	var (
		worded  *fail.Error
		status  *web.StatusError
		archive *extension.Error
		dns     *net.DNSError
		op      *net.OpError
		unknown x509.UnknownAuthorityError
		timeout interface{ Timeout() bool }
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &worded):
		return worded.What
	case errors.As(err, &status):
		return fmt.Sprintf("server answered %d", status.Status)
	case errors.As(err, &archive) && archive.Kind == extension.NotZip:
		return archive.Reason
	case errors.As(err, &archive):
		return archive.Error()
	case errors.Is(err, syscall.ENOSPC):
		return "no space left to unpack it"
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
