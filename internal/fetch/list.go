package fetch

import (
	"context"
	"fmt"
	"html"
	"maps"
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

// List returns the names in a mirror's directory, sorted. On disk it reads the directory; over HTTP it reads the
// links to direct children in the server's index page.
func (c *Client) List(ctx context.Context, dir string) ([]string, error) {
	s, err := parseSource(dir)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	if s.local() {
		entries, err := os.ReadDir(s.path)
		names := make([]string, len(entries))
		for i, e := range entries {
			names[i] = e.Name()
		}
		return names, err
	}
	s.u.Path, s.u.RawPath = strings.TrimSuffix(s.u.Path, "/")+"/", ""
	b, err := c.Get(ctx, Request{Name: "the listing", URLs: []string{s.u.String()}, Fresh: true, MaxSize: pageLimit})
	if err != nil {
		return nil, err
	}
	page, err := b.ReadAll()
	return children(s.u, page), err
}

// href matches the target of links in the index pages of Apache, nginx, lighttpd and others.
var href = regexp.MustCompile(`(?i)<a\s[^<>]*?href\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s"'<>]+))`)

// children returns the names of the directory itself in a page of links: sorted, each once, without the slash of
// subdirectories. It leaves out links to other directories or with a query, and names that [Join] would refuse.
func children(base *url.URL, page []byte) []string {
	dir := base.Path[:strings.LastIndex(base.Path, "/")+1]
	names := map[string]bool{}
	for _, m := range href.FindAllSubmatch(page, namesLimit) {
		ref, err := url.Parse(html.UnescapeString(string(m[1]) + string(m[2]) + string(m[3])))
		if err != nil || ref.RawQuery != "" || ref.ForceQuery {
			continue
		}
		u := base.ResolveReference(ref)
		name, ok := strings.CutPrefix(u.Path, dir)
		name = strings.TrimSuffix(name, "/")
		if ok && u.Host == base.Host && name != "" && name != "." && !strings.Contains(name, "/") && checkName(name) == nil {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
