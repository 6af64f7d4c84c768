package inputs

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// fetchISO fetches the source image and prefers its mirror from then on: another one may have the
// extensions of another time.
func (g *Gathering) fetchISO(ctx context.Context) (*fetch.Blob, error) {
	name := g.plan.ISO
	pinned, err := g.pinOf(lock.ISO, name)
	if err != nil {
		return nil, err
	}
	var dirs []string
	owner := map[string]Mirror{}
	for _, m := range g.mirrors {
		dirs = append(dirs, m.Release, m.Archived)
		owner[m.Release], owner[m.Archived] = m, m
	}
	r := fetch.Request{Name: name, MaxSize: maxISO, Check: fetch.RefuseHTML}
	dir := dirs[0]
	if pinned != nil {
		r.MD5 = pinned.MD5
	} else if r.MD5, dir, err = g.sum(ctx, dirs, name); errors.Is(err, fetch.ErrNotFound) {
		return nil, g.noRelease(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	b, dir, err := g.fetchFrom(ctx, pinned, dir, dirs, &r)
	if err != nil {
		return nil, err
	}
	first := owner[dir]
	g.mirrors = append([]Mirror{first}, slices.DeleteFunc(slices.Clone(g.mirrors), func(m Mirror) bool { return m == first })...)
	g.note(lock.Input{Kind: lock.ISO, Name: name, MD5: r.MD5, Why: []string{lock.WhyConfig}}, b, r.URLs)
	return b, nil
}

// fetchFrom fetches a file from the folder that gave its digest, or from another of dirs. It returns
// the folder that the file belongs to, and the request that was granted in r.
func (g *Gathering) fetchFrom(ctx context.Context, pinned *lock.Input, dir string, dirs []string, r *fetch.Request) (*fetch.Blob, string, error) {
	var err error
	if r.URLs, err = inDirs(preferred(dir, dirs), r.Name); err != nil {
		return nil, "", err
	}
	b, err := g.get(ctx, pinned, *r)
	if _, lied := errors.AsType[*fetch.ChecksumError](err); lied && pinned == nil {
		if other, at := g.elsewhere(ctx, dirs, r); other != nil {
			return other, at, nil
		}
	}
	return b, dir, err
}

// elsewhere is for a file that no mirror has as its .md5.txt says. It asks the others for theirs, and
// returns the file that fits one, with that one's folder, or nil.
func (g *Gathering) elsewhere(ctx context.Context, dirs []string, r *fetch.Request) (*fetch.Blob, string) {
	tried := []string{r.MD5}
	for _, dir := range dirs {
		md5, _, err := g.sum(ctx, []string{dir}, r.Name)
		if err != nil || slices.Contains(tried, md5) {
			continue
		}
		tried = append(tried, md5)
		again := *r
		again.MD5 = md5
		if again.URLs, err = inDirs(preferred(dir, dirs), r.Name); err != nil {
			continue
		}
		b, err := g.options.Fetch.Get(ctx, again)
		if err != nil {
			continue
		}
		g.options.say(ui.Warning, "fetch", r.Name, "no mirror has the file that the first one's .md5.txt describes; "+fetch.Shown(dir)+" has a file and an .md5.txt that fit")
		*r = again
		return b, dir
	}
	return nil, ""
}

// sum fetches name.md5.txt and returns the digest in it, and which of dirs it came from.
func (g *Gathering) sum(ctx context.Context, dirs []string, name string) (md5, dir string, err error) {
	urls, err := inDirs(dirs, name+".md5.txt")
	if err != nil {
		return "", "", err
	}
	b, text, err := g.index(ctx, fetch.Request{Name: name + ".md5.txt", URLs: urls, Check: checkMD5(name)})
	if err != nil {
		return "", "", err
	}
	md5, err = tcz.ParseMD5(text, name)
	if err != nil {
		return "", "", fmt.Errorf("read %s: %w", b.URL, err)
	}
	return md5, dirs[max(b.Source, 0)], nil
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
func (g *Gathering) index(ctx context.Context, r fetch.Request) (*fetch.Blob, []byte, error) {
	r.Fresh, r.MaxSize = true, maxIndex
	b, err := g.options.Fetch.Get(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	text, err := b.ReadAll()
	return b, text, err
}

// archiveURLs puts the mirrors' folders of archives around the configured places. A mirror on this
// machine comes first, so that one directory can hold everything. One on the network comes before
// them only if a lock decides what it may give.
func (g *Gathering) archiveURLs(name string, urls []string, locked bool) ([]string, error) {
	var near, far []string
	for _, m := range g.mirrors {
		if _, ok := fetch.LocalPath(m.Archives); ok {
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
	if err != nil {
		return nil, err
	}
	if locked {
		return unique(slices.Concat(first, last, urls)), nil
	}
	return unique(slices.Concat(first, urls, last)), nil
}

// inDirs returns name in each of dirs.
func inDirs(dirs []string, name string) ([]string, error) {
	out := make([]string, len(dirs))
	for i, d := range dirs {
		var err error
		if out[i], err = fetch.Join(d, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// preferred puts first before the others of all.
func preferred(first string, all []string) []string { return unique(append([]string{first}, all...)) }

// unique drops repeats, so that no address is asked twice.
func unique(list []string) []string {
	var out []string
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
