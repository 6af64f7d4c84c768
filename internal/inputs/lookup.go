package inputs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// Limits far above real files. Larger files are refused unread.
const (
	maxISO     = 2 << 30
	maxTCZ     = 1 << 30
	maxArchive = 256 << 20
	maxIndex   = 1 << 20
)

// file fetches a file from the folder that has its digest, or from another of dirs. It returns the file's folder,
// and in r the request that succeeded.
func (s *source) file(ctx context.Context, pinned *lock.Input, dir string, dirs []string, r *fetch.Request) (*fetch.Blob, string, error) {
	var err error
	if r.URLs, err = inDirs(preferred(dir, dirs), r.Name); err != nil {
		return nil, "", err
	}
	b, err := s.get(ctx, pinned, *r)
	if _, lied := errors.AsType[*fetch.ChecksumError](err); lied && pinned == nil {
		if other, at := s.elsewhere(ctx, dirs, r); other != nil {
			return other, at, nil
		}
	}
	return b, dir, err
}

// elsewhere handles a file that no mirror has with the first .md5.txt's digest. It asks the other mirrors for
// their digests, and returns the first file that fits one, with its folder, or nil.
func (s *source) elsewhere(ctx context.Context, dirs []string, r *fetch.Request) (*fetch.Blob, string) {
	tried := []string{r.MD5}
	for _, dir := range dirs {
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
		b, err := s.Fetch.Get(ctx, again)
		if err != nil {
			continue
		}
		s.say(ui.Warning, "fetch", r.Name, "the file and the .md5.txt of the first mirror differ; using those of "+fetch.Shown(dir))
		*r = again
		return b, dir
	}
	return nil, ""
}

// sum fetches name.md5.txt and returns its digest, and the one of dirs that has it.
func (s *source) sum(ctx context.Context, dirs []string, name string) (md5, dir string, err error) {
	urls, err := inDirs(dirs, name+".md5.txt")
	if err != nil {
		return "", "", err
	}
	b, text, err := s.index(ctx, fetch.Request{Name: name + ".md5.txt", URLs: urls, Optional: len(dirs) == 1, Check: checkMD5(name)})
	if err != nil {
		return "", "", err
	}
	if md5, err = tcz.ParseMD5(text, name); err != nil {
		return "", "", fmt.Errorf("read %s: %w", b.URL, err)
	}
	return md5, dirs[max(b.Source, 0)], nil
}

// first asks each mirror for all alternatives before the next mirror. The first mirror has the ISO. Only this
// mirror proves that a file does not exist: other mirrors may have other files.
func (s *source) first(ctx context.Context, files []string) (file, md5, dir string, err error) {
	var first error
	for _, dir = range s.tczDirs() {
		for _, file = range files {
			if md5, _, err = s.sum(ctx, []string{dir}, file); err == nil {
				return file, md5, dir, nil
			}
			if ctx.Err() != nil {
				return "", "", "", err
			}
			if !errors.Is(err, fetch.ErrNotFound) {
				break
			}
		}
		if first == nil {
			first = err
		}
	}
	if errors.Is(first, fetch.ErrNotFound) {
		first = fmt.Errorf("%w: neither of %s", fetch.ErrNotFound, strings.Join(files, ", "))
	}
	return "", "", "", first
}

// forbidden is the error of a status 403, which may mean that the file does not exist.
func forbidden(err error, file string) error {
	return fail.Wrap(fail.Network, err, "some servers forbid missing files, so mkbuild cannot tell whether there is "+file+
		": name another mirror with --mirror URL, or, on a mirror of your own, let the server answer 404")
}

// checkMD5 is a [fetch.Request.Check] for the .md5.txt of a file: a mirror that sends something else is skipped.
// A file longer than the checked part is read later.
func checkMD5(file string) func(head []byte) error {
	return func(head []byte) error {
		if err := fetch.RefuseHTML(head); err != nil || len(head) >= fetch.HeadSize {
			return err
		}
		_, err := tcz.ParseMD5(head, file)
		return err
	}
}

// index fetches a small text file that may have changed since it was cached.
func (s *source) index(ctx context.Context, r fetch.Request) (*fetch.Blob, []byte, error) {
	r.Fresh, r.MaxSize = true, maxIndex
	b, err := s.Fetch.Get(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	text, err := b.ReadAll()
	return b, text, err
}

// sidecar reads the small file with a suffix next to the extension that dir has with the digest md5. If that
// mirror does not answer properly, another mirror with the same extension does.
func (s *source) sidecar(ctx context.Context, dir, md5, file, suffix string) ([]byte, error) {
	text, err := s.optional(ctx, dir, file+suffix)
	if answered(err) || ctx.Err() != nil {
		return text, err
	}
	for _, other := range s.tczDirs() {
		if other == dir {
			continue
		}
		if sum, _, err := s.sum(ctx, []string{other}, file); err != nil || sum != md5 {
			continue
		}
		if text, err := s.optional(ctx, other, file+suffix); answered(err) {
			return text, err
		}
	}
	return nil, err
}

// answered reports whether a mirror returned a file, or said that it does not exist.
func answered(err error) bool { return err == nil || errors.Is(err, fetch.ErrNotFound) }

// optional reads a small file that may be missing.
func (s *source) optional(ctx context.Context, dir, name string) ([]byte, error) {
	urls, err := inDirs([]string{dir}, name)
	if err != nil {
		return nil, err
	}
	_, text, err := s.index(ctx, fetch.Request{Name: name, URLs: urls, Optional: true, Check: fetch.RefuseHTML})
	return text, err
}

// archiveURLs adds the mirrors' folders of archives to the configured places. A mirror on this machine comes
// first, so that one directory can hold everything. A mirror on the network comes first only if a lock pins the
// file.
func (s *source) archiveURLs(name string, urls []string, locked bool) ([]string, error) {
	var near, far []string
	for _, m := range s.mirrors {
		if _, ok := fetch.LocalPath(m.Archives); ok || locked {
			near = append(near, m.Archives)
		} else {
			far = append(far, m.Archives)
		}
	}
	first, err := inDirs(near, name)
	if err != nil {
		return nil, err
	}
	last, err := inDirs(far, name)
	return unique(slices.Concat(first, urls, last)), err
}
