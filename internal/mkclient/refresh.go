package mkclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mkbuild/internal/extension"
)

const (
	goneLimit    = 3  // consecutive 404s that withdraw an extension: a file being replaced gives one or two
	refusedLooks = 20 // cycles between full looks at an archive whose content was refused
	notZipLooks  = 4  // the same for a file that is no zip archive: it may be one that is still being written
)

// refresher keeps the extension up to date. Its methods are called with the cycle's lock held.
type refresher struct {
	root  string // generations live here, on a RAM file system
	set   *Settings
	web   *web
	log   *Logger
	lim   extension.Limits
	to    Timeouts
	proc  string // procfs, for the garbage collection
	baked string // the image's own extension
	state extState
}

// Refresh makes one retrieval attempt. Its error says why nothing new could be had; what was
// good before stays in use.
func (r *refresher) Refresh(ctx context.Context) error {
	err := r.refresh(ctx)
	if text := stableError(err); text != r.state.Error {
		r.state.Error = text
		r.saveQuietly()
	}
	r.useBaked(ctx)
	if err := r.collect(); err != nil {
		r.log.Changed("gc", Warn, "clean up %s: %v", r.root, err)
	}
	return err
}

func (r *refresher) refresh(ctx context.Context) error {
	if err := ensureRoot(r.root); err != nil {
		return fmt.Errorf("prepare %s: %w", r.root, err)
	}
	r.state = loadState(r.root)
	target := r.set.ExtendURL()
	if target == "" {
		return r.withdraw()
	}
	ctx, cancel := context.WithTimeout(ctx, r.to.Download)
	defer cancel()
	have := r.have(target)
	resp, err := r.web.do(ctx, http.MethodGet, target, conditions(have, r.set.AnyChange), nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // unread bytes are not worth waiting for
	return r.judge(ctx, cancel, target, have, resp)
}

// have gives the validators of the newest copy that came from this URL.
func (r *refresher) have(target string) *validators {
	if len(r.state.Generations) == 0 || r.state.Generations[0].URL != target {
		return nil
	}
	g := &r.state.Generations[0]
	if p := r.set.ExtendSHA256; p != "" && g.SHA256 != p {
		return nil
	}
	return &g.validators
}

// judge acts on an answer.
func (r *refresher) judge(ctx context.Context, cancel func(), target string, have *validators, resp *http.Response) error {
	rep := replyOf(resp)
	v := decide(have, rep, r.set.AnyChange)
	if v != gone && r.state.Gone != 0 {
		r.state.Gone = 0
		if err := r.state.save(r.root); err != nil {
			return err
		}
	}
	if v != older {
		r.log.Changed("older", Info, "")
	}
	switch v {
	case keep:
		return r.forgive()
	case older:
		r.log.Changed("older", Warn, "the server's extension of %s is older than the one in use of %s (rolled back?): not fetched",
			rep.LastModified, have.LastModified)
		return r.forgive()
	case gone:
		return r.notFound()
	case failed:
		if rep.Status == http.StatusOK {
			return fmt.Errorf("%s: %w", redact(target), errEmpty)
		}
		return statusError(target, resp)
	}
	if r.refusedBefore(target, rep) {
		return &refusedError{r.state.Refused.Reason}
	}
	return r.take(ctx, cancel, target, have, resp)
}

var errEmpty = errors.New("empty or partial answer")

// forgive forgets a refused archive that the server no longer offers.
func (r *refresher) forgive() error {
	if r.state.Refused == nil {
		return nil
	}
	r.state.Refused = nil
	r.log.Changed("refused", Info, "")
	return r.state.save(r.root)
}

// refusedError carries the reason of a refusal across cycles.
type refusedError struct{ reason string }

// Error is the reason as it was found.
func (e *refusedError) Error() string { return e.reason }

// refusedBefore reports whether the answer's header offers the very archive that was refused;
// its body is not read then. Without a timestamp nothing proves that, so it is looked at again;
// a length that the server does not say proves nothing either way.
func (r *refresher) refusedBefore(target string, rep reply) bool {
	ref := r.state.Refused
	if ref == nil || ref.URL != target || ref.LastModified == "" || ref.LastModified != rep.LastModified ||
		ref.ETag != rep.ETag || ref.Left <= 0 || rep.Length >= 0 && ref.Size != rep.Length {
		return false
	}
	ref.Left--
	return r.state.save(r.root) == nil
}

// notFound counts 404s: a file that is being replaced is missing for a moment, an extension
// that stays away is withdrawn, so that all nodes run the same.
func (r *refresher) notFound() error {
	if !r.fromServer() {
		r.log.Logf(Debug, "no extension is configured at the server")
		return r.forget()
	}
	if r.state.Gone++; r.state.Gone < goneLimit {
		return r.state.save(r.root)
	}
	r.log.Logf(Info, "the server has withdrawn the extension")
	return r.withdraw()
}

// forget drops what is known of the server's extensions, and leaves the image's own as it is.
func (r *refresher) forget() error {
	if r.state.Refused == nil && r.state.Gone == 0 {
		return nil
	}
	r.state.Refused, r.state.Gone = nil, 0
	return r.state.save(r.root)
}

// withdraw goes back to no extension.
func (r *refresher) withdraw() error {
	if len(r.state.Generations) == 0 && r.state.Refused == nil && r.state.Gone == 0 {
		return nil
	}
	r.state = extState{Reported: r.state.Reported}
	return r.state.save(r.root)
}

// take downloads, checks, unpacks and switches.
func (r *refresher) take(ctx context.Context, cancel func(), target string, have *validators, resp *http.Response) error {
	f, err := os.CreateTemp(r.root, "download-*")
	if err != nil {
		return fmt.Errorf("store extension: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	g := generation{URL: target}
	rep := replyOf(resp)
	g.LastModified, g.ETag = rep.LastModified, rep.ETag
	g.Size, g.SHA256, err = download(f, resp, r.lim.Compressed, r.to.Stall, cancel)
	if err != nil {
		return r.refuseIfLimit(g, rep, fmt.Errorf("download %s: %w", redact(target), err))
	}
	if have != nil && rep.LastModified == "" && g.SHA256 == r.state.Generations[0].SHA256 {
		return nil // the same bytes, from a server without timestamps
	}
	if p := r.set.ExtendSHA256; p != "" && p != g.SHA256 {
		return r.refuse(g, refusedLooks, fmt.Errorf("sha256 of the extension is %s, razor.extend_sha256 wants %s", g.SHA256, p))
	}
	return r.install(ctx, f, g, rep)
}

// refuseIfLimit remembers an archive that announced more bytes than are allowed, so that it is
// not begun again in every cycle.
func (r *refresher) refuseIfLimit(g generation, rep reply, err error) error {
	if broken(err) {
		g.Size = rep.Length
		return r.refuse(g, refusedLooks, errors.Unwrap(err))
	}
	return err
}

// refuse remembers why the archive's content cannot be used, and for how many cycles that holds.
func (r *refresher) refuse(g generation, looks int, why error) error {
	r.state.Refused = &refusal{URL: g.URL, validators: g.validators, Reason: why.Error(), Left: looks}
	r.log.Changed("refused", Error, "extension of %s is refused: %v", g.LastModified, why)
	if err := r.state.save(r.root); err != nil {
		return err
	}
	return &refusedError{why.Error()}
}

// install checks a downloaded archive and switches to it. The CRC of every member has been checked
// by then.
func (r *refresher) install(ctx context.Context, f *os.File, g generation, rep reply) error {
	a, err := extension.Open(f, g.Size, r.limits())
	switch {
	case broken(err):
		return r.refuse(g, refusedLooks, err)
	case notZip(err) != nil && rep.Length >= 0:
		// All that the server announced has arrived: asking again brings the same.
		return r.refuse(g, notZipLooks, errors.New(notZip(err).Reason))
	case err != nil:
		return fmt.Errorf("unpack extension: %w", err)
	}
	if err := r.adopt(ctx, a, g); broken(err) {
		return r.refuse(g, refusedLooks, err)
	} else if err != nil {
		return err
	}
	r.state.Refused = nil
	r.log.Changed("refused", Info, "")
	return r.state.save(r.root)
}

// adopt unpacks an archive into a new directory and switches to it.
func (r *refresher) adopt(ctx context.Context, a *extension.Source, g generation) error {
	g.Note = uselessNote(a)
	dir, err := os.MkdirTemp(r.root, "g-*")
	if err != nil {
		return fmt.Errorf("unpack extension: %w", err)
	}
	if err := a.Extract(ctx, dir); err != nil {
		_ = os.RemoveAll(dir) // what is left, the next collection finds
		if broken(err) {
			return err
		}
		return fmt.Errorf("unpack extension: %w", err)
	}
	g.Dir = filepath.Base(dir)
	before := r.state
	r.state.Generations = trim(append([]generation{g}, before.Generations...))
	if err := r.state.save(r.root); err != nil {
		r.state = before
		_ = os.RemoveAll(dir) // what is left, the next collection finds
		return fmt.Errorf("switch to the new extension: %w", err)
	}
	r.log.Logf(Info, "extension of %s, sha256 %s, is in %s", g.origin(), g.SHA256, dir)
	if g.Note != "" {
		r.log.Logf(Warn, "extension of %s: %s", g.origin(), g.Note)
	}
	return nil
}

// uselessNote says that the client will look at nothing in an archive, which somebody meant to
// be of use; "" when it is of use, or empty.
func uselessNote(a *extension.Source) string {
	for i := range a.Files {
		switch first, _, _ := strings.Cut(a.Files[i].Path, "/"); first {
		case "bin", "lib", "facts.d":
			return ""
		}
	}
	if len(a.Files) == 0 {
		return ""
	}
	return "nothing in it is used: no bin, lib or facts.d"
}

// broken tells rules that the archive itself breaks, which only a new archive can mend, from
// damage on the way and from trouble of this machine, which the next attempt may not have.
func broken(err error) bool {
	why, ok := errors.AsType[*extension.Error](err)
	return ok && why.Kind != extension.NotZip && why.Kind != extension.Damaged
}

// notZip returns the error of a file that is no zip archive at all, or nil.
func notZip(err error) *extension.Error {
	if why, ok := errors.AsType[*extension.Error](err); ok && why.Kind == extension.NotZip {
		return why
	}
	return nil
}

// trim keeps the newest generation and the newest good one behind it.
func trim(list []generation) []generation {
	kept := list[:1:1]
	for _, g := range list[1:] {
		if !g.bad() {
			return append(kept, g)
		}
	}
	return kept
}

// download copies the body into f and hashes it. It ends when nothing comes for stall.
func download(f *os.File, resp *http.Response, limit int64, stall time.Duration, cancel func()) (int64, string, error) {
	over := &extension.Error{Kind: extension.Limit, Reason: fmt.Sprintf("archive size exceeds %d", limit)}
	if resp.ContentLength > limit {
		return 0, "", over
	}
	var stalled stallGuard
	stalled.start(stall, cancel)
	defer stalled.stop()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), &guardedReader{io.LimitReader(resp.Body, limit+1), &stalled})
	switch {
	case stalled.fired():
		return n, "", fmt.Errorf("nothing arrived for %s: %w", stall, context.DeadlineExceeded)
	case err != nil:
		return n, "", err
	case n > limit:
		return n, "", over
	case resp.ContentLength >= 0 && n != resp.ContentLength:
		return n, "", io.ErrUnexpectedEOF
	case n == 0:
		return 0, "", errEmpty
	}
	return n, hex.EncodeToString(sum.Sum(nil)), nil
}
