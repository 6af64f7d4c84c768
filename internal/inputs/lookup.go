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

// Sizes that no real file of the kind comes near. Larger files are refused unread.
const (
	maxISO     = 2 << 30
	maxTCZ     = 1 << 30
	maxArchive = 256 << 20
	maxIndex   = 1 << 20
)

// file fetches a file from the folder that gave its digest, or from another of dirs. It returns the
// folder that the file belongs to, and in r the request that was granted.
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

// elsewhere is for a file that no mirror has as its .md5.txt says. It asks the others for theirs, and
// returns the file that fits one, with that one's folder, or nil.
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
		s.say(ui.Warning, "fetch", r.Name, "no mirror has the file that the first one's .md5.txt describes; "+fetch.Shown(dir)+" has a file and an .md5.txt that fit")
		*r = again
		return b, dir
	}
	return nil, ""
}

// sum fetches name.md5.txt and returns the digest in it, and which of dirs it came from.
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

// first asks the mirrors for alternatives, each for all of them before the next. The first mirror is the one that
// gave the ISO. Only that one proves that a file does not exist: the others may have other files.
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

// forbidden is the error of a server that may mean that there is no such file.
func forbidden(err error, file string) error {
	return fail.Wrap(fail.Network, err, "some servers forbid what does not exist, so it cannot be told whether there is "+file+
		": name another mirror with --mirror URL, or, on a mirror of your own, let the server answer 404")
}

// checkMD5 is a [fetch.Request.Check] for the .md5.txt of a file, so that a mirror that sends
// something else is passed over. A file that is longer than what the check sees is read later.
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

// sidecar reads the small file of a suffix next to the extension file that dir has with the digest
// md5. If that mirror does not answer properly, another one counts that has the same extension.
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

// answered reports whether a mirror gave a file, or said that there is none.
func answered(err error) bool { return err == nil || errors.Is(err, fetch.ErrNotFound) }

// optional reads a small file that need not be there.
func (s *source) optional(ctx context.Context, dir, name string) ([]byte, error) {
	urls, err := inDirs([]string{dir}, name)
	if err != nil {
		return nil, err
	}
	_, text, err := s.index(ctx, fetch.Request{Name: name, URLs: urls, Optional: true, Check: fetch.RefuseHTML})
	return text, err
}

// archiveURLs puts the mirrors' folders of archives around the configured places. A mirror on this
// machine comes first, so that one directory can hold everything. One on the network comes before
// them only if a lock decides what it may give.
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
