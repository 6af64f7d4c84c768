// Package generations gets the extension from the server and keeps each version unpacked in its own directory
// below one root. The server's timestamps alone decide on a download. It switches by replacing one state file,
// and removes an old generation when no process uses it. It runs nothing. Start reading at [Store.Refresh].
package generations

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"mkbuild/internal/fail"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

const goneLimit = 3 // consecutive 404s that withdraw an extension: a file being replaced gives one or two

// Refresh tries once to get the extension. On an error the last good one stays in use.
func (s *Store) Refresh(ctx context.Context) error {
	err := s.refresh(ctx)
	s.state.Error = StableError(err)
	s.useBaked(ctx)
	s.remember()
	if err := s.collect(); err != nil {
		s.Log.Changed("gc", clientlog.Warn, "clean up %s: %v", s.Dir, err)
	}
	return err
}

func (s *Store) refresh(ctx context.Context) error {
	if err := s.makeDir(); err != nil {
		return fmt.Errorf("prepare %s: %w", s.Dir, err)
	}
	s.Load()
	target := s.Settings.ExtendURL()
	if target == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, s.Web.Timeouts.Download)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	have := s.have(target)
	resp, err := s.Web.Do(ctx, http.MethodGet, target, conditions(have, s.anyChange()), nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // do not wait for unread bytes
	return s.judge(ctx, cancel, target, have, resp)
}

// have returns the validators of the newest copy from this URL.
func (s *Store) have(target string) *validators {
	if len(s.state.Generations) == 0 || s.state.Generations[0].URL != target || !s.pinned(s.state.Generations[0].SHA256) {
		return nil
	}
	return &s.state.Generations[0].validators
}

// anyChange reports whether an older timestamp also causes a download: timestamps are not signed, so with keys
// only the sequence number says which is older.
func (s *Store) anyChange() bool {
	t, _ := trustOf(s.Root) // unseal reports the error
	return s.Settings.AnyChange || t != nil
}

// judge acts on an answer.
func (s *Store) judge(ctx context.Context, cancel context.CancelCauseFunc, target string, have *validators, resp *http.Response) error {
	rep := replyOf(resp)
	v := decide(have, rep, s.anyChange())
	if v != gone {
		s.state.Gone = 0
	}
	if v == older {
		s.Log.Changed("older", clientlog.Warn, "the server's extension of %s is older than the one in use of %s (rolled back?): not fetched",
			rep.LastModified, have.LastModified)
	} else {
		s.Log.Changed("older", clientlog.Info, "")
	}
	switch {
	case v == keep, v == older:
		s.forgive()
		return nil
	case v == gone:
		s.notFound()
		return nil
	case v == failed && rep.Status == http.StatusOK:
		return fmt.Errorf("%s: %w", settings.Redact(target), errEmpty)
	case v == failed:
		return web.BadStatus(target, resp)
	case s.refusedBefore(target, rep):
		return fail.New(fail.Verification, s.state.Refused.Reason, "")
	}
	return s.take(ctx, cancel, target, have, resp)
}

// refusedBefore reports whether the answer's header offers the refused archive again. Without a timestamp that is
// unknown; an unknown length proves nothing.
func (s *Store) refusedBefore(target string, rep reply) bool {
	ref := s.state.Refused
	if ref == nil || ref.URL != target || ref.LastModified == "" || ref.LastModified != rep.LastModified ||
		ref.ETag != rep.ETag || ref.Left <= 0 || rep.Length >= 0 && ref.Size != rep.Length {
		return false
	}
	ref.Left--
	return true
}

// notFound counts 404s: a file may be missing for a moment while it is replaced. An extension that stays missing
// is withdrawn, so that all nodes run the same.
func (s *Store) notFound() {
	if !slices.ContainsFunc(s.state.Generations, func(g generation) bool { return g.URL != bakedURL }) {
		s.Log.Logf(clientlog.Debug, "no extension is configured at the server")
		s.state.Refused, s.state.Gone = nil, 0
		return
	}
	if s.state.Gone++; s.state.Gone >= goneLimit {
		s.Log.Logf(clientlog.Info, "the server has withdrawn the extension")
		s.withdraw()
	}
}
