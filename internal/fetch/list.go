package fetch

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Limits of a directory listing. The tcz/ directory of a release has about 20,000 files.
const (
	pageLimit  = 16 << 20
	namesLimit = 100_000
)

// List returns the names in a mirror's directory, sorted: of the first of urls that can be
// listed. On disk it reads the directory; over HTTP it takes the links to direct children out
// of the index page that most servers make, which is best effort and never stored.
func (c *Client) List(ctx context.Context, urls []string) ([]string, error) {
	j, err := c.newJob(Request{Name: "directory", URLs: urls, MaxSize: pageLimit})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var attempts []attempt
	for _, s := range j.sources {
		var names []string
		switch {
		case s.local():
			names, err = listDir(s.path)
		case c.Offline:
			err = ErrOffline
		default:
			names, err = j.listPage(ctx, s)
		}
		if err == nil {
			return names, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("list %s: %w", s.shown, ctx.Err())
		}
		attempts = append(attempts, attempt{s.shown, err})
	}
	return nil, j.verdict(attempts)
}

func listDir(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no such directory", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	names, err := f.Readdirnames(namesLimit)
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: an empty directory
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// listPage asks once: a listing only makes an error message better.
func (j *job) listPage(ctx context.Context, s source) ([]string, error) {
	web := j.client.web
	if s, _ = web.secured(ctx, s); s.u.Scheme != "https" && j.client.RequireHTTPS {
		return nil, ErrInsecure
	}
	if down := web.host(s).get().down; down != nil {
		return nil, down
	}
	ctx, cancel := web.limits.bound(ctx)
	defer cancel()
	ctx, dog := web.limits.watch(ctx)
	defer dog.stop()
	dir := *s.u
	dir.Path, dir.RawPath = strings.TrimSuffix(dir.Path, "/")+"/", ""
	resp, err := web.get(ctx, &dir, http.Header{})
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, ErrNotFound
	default:
		return nil, &statusError{code: resp.StatusCode}
	}
	page, err := io.ReadAll(io.LimitReader(fedReader{resp.Body, dog}, pageLimit+1))
	if err != nil {
		return nil, cause(ctx, err)
	}
	if len(page) > pageLimit {
		return nil, tooLarge(j.Name, s.shown, pageLimit)
	}
	return children(resp.Request.URL, page), nil
}

// href finds the target of links in the pages that Apache, nginx, lighttpd and others make.
var href = regexp.MustCompile(`(?i)<a\s[^<>]*?href\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s"'<>]+))`)

// children returns the names that a page of links gives for the directory itself: sorted, each
// once, without the slash of subdirectories. Links upwards, sideways or with a query are not
// names, and names that could not be used in [Join] are left out.
func children(base *url.URL, page []byte) []string {
	dir := base.Path[:strings.LastIndex(base.Path, "/")+1]
	seen := map[string]bool{}
	for _, m := range href.FindAllSubmatch(page, namesLimit) {
		ref, err := url.Parse(html.UnescapeString(string(m[1]) + string(m[2]) + string(m[3])))
		if err != nil || ref.RawQuery != "" || ref.ForceQuery {
			continue
		}
		u := base.ResolveReference(ref)
		name, ok := strings.CutPrefix(u.Path, dir)
		name = strings.TrimSuffix(name, "/")
		if !ok || u.Host != base.Host || name == "" || name == "." || strings.Contains(name, "/") || checkName(name) != nil {
			continue
		}
		seen[name] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
