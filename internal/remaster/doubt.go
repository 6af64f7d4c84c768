package remaster

import (
	"context"
	"errors"
	"slices"

	"mkbuild/internal/fetch"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// checkMD5 is a [fetch.Request.Check] for the .md5.txt of a file: a mirror that answers something else
// is passed over for the next one. Longer files than the check is shown are looked at later.
func checkMD5(file string) func(head []byte) error {
	return func(head []byte) error {
		if err := fetch.RefuseHTML(head); err != nil || len(head) >= fetch.HeadSize {
			return err
		}
		_, err := tcz.ParseMD5(head, file)
		return err
	}
}

// beside reads the small file of a suffix beside an extension, on the mirror that gave the digest. Where
// that one does not answer properly, the word of another counts that has the same extension.
func (s *sources) beside(ctx context.Context, e *extension, file, suffix string) ([]byte, error) {
	text, err := s.optional(ctx, e.dir, file+suffix)
	if answered(err) || ctx.Err() != nil {
		return text, err
	}
	for _, dir := range unique(s.dirs) {
		if dir == e.dir {
			continue
		}
		if md5, _, other := s.sum(ctx, []string{dir}, file); other != nil || md5 != e.md5 {
			continue
		}
		if text, other := s.optional(ctx, dir, file+suffix); answered(other) {
			return text, other
		}
	}
	return nil, err
}

// answered reports whether a mirror said what there is, or that there is nothing.
func answered(err error) bool { return err == nil || errors.Is(err, fetch.ErrNotFound) }

// optional reads a small file of a folder that need not be there.
func (s *sources) optional(ctx context.Context, dir, name string) ([]byte, error) {
	u, err := fetch.Join(dir, name)
	if err != nil {
		return nil, err
	}
	_, text, err := s.index(ctx, fetch.Request{Name: name, URLs: []string{u}, Optional: true, Check: fetch.RefuseHTML})
	return text, err
}

// elsewhere is for a file that no mirror has as its .md5.txt says: it asks the others for theirs, and
// returns the file that fits one, with the number of that one's folder, or nil.
func (s *sources) elsewhere(ctx context.Context, dirs []string, r *fetch.Request) (*fetch.Blob, int) {
	tried := []string{r.MD5}
	for i, dir := range dirs {
		md5, _, err := s.sum(ctx, []string{dir}, r.Name)
		if err != nil || slices.Contains(tried, md5) {
			continue
		}
		tried = append(tried, md5)
		again := *r
		again.MD5 = md5
		if again.URLs, err = inDirs(preferred(dir, dirs), r.Name); err != nil {
			continue
		}
		b, err := s.client.Get(ctx, again)
		if err != nil {
			continue
		}
		if s.client.Sink != nil {
			s.client.Sink.Event(ui.Event{Level: ui.Warning, Step: "fetch", Item: r.Name,
				Text: "no mirror has the file that the first one's .md5.txt describes; " + fetch.Shown(dir) + " has a file and an .md5.txt that fit"})
		}
		*r = again
		return b, i
	}
	return nil, 0
}

// lied reports whether a file was not what an .md5.txt said.
func lied(err error) bool {
	_, ok := errors.AsType[*fetch.ChecksumError](err)
	return ok
}
