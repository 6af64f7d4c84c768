package fetch

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strings"
)

// Limits of a directory listing. The tcz/ directory of a release has about 20,000 files.
const (
	pageLimit  = 16 << 20
	namesLimit = 100_000
)

// List returns the names in a mirror's directory, sorted: of the first of urls that can be
// listed. On disk it reads the directory; over HTTP it takes the links to direct children out
// of the index page that most servers make, which is best effort and never cached.
func (c *Client) List(ctx context.Context, urls []string) ([]string, error) {
	j, err := c.newJob(Request{Name: "directory", URLs: urls})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var attempts []Attempt
	for _, s := range j.sources {
		names, err := j.listSource(ctx, s)
		if err == nil {
			return names, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("list %s: %w", s.shown, ctx.Err())
		}
		attempts = append(attempts, Attempt{URL: s.shown, Err: err})
	}
	return nil, j.verdict(attempts)
}

func (j *job) listSource(ctx context.Context, s source) ([]string, error) {
	switch {
	case s.local():
		return listDir(s.path)
	case j.Offline:
		return nil, ErrOffline
	}
	return j.listPage(ctx, s)
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
	sort.Strings(names)
	return names, nil
}

// listPage asks once: a listing only makes an error message better.
func (j *job) listPage(ctx context.Context, s source) ([]string, error) {
	if s, _ = j.secured(ctx, s); s.u.Scheme != "https" && j.RequireHTTPS {
		return nil, ErrInsecure
	}
	if down := j.hosts.get(s).down; down != nil {
		return nil, down
	}
	o := j.HTTP.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Total, &StallError{After: o.Total, Whole: true})
	defer cancel()
	ctx, dog := watch(ctx, o)
	defer dog.stop()
	dir := *s.u
	dir.Path, dir.RawPath = strings.TrimSuffix(dir.Path, "/")+"/", ""
	resp, err := j.get(ctx, source{u: &dir, shown: s.shown}, nil)
	if err != nil {
		return nil, cause(ctx, plain(err))
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
		return nil, &SizeError{Name: j.Name, URL: s.shown, Limit: pageLimit}
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
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
