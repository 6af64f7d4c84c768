package fetch

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"unicode"
)

// source is a possible origin of a file: an HTTP address or a path on this machine.
type source struct {
	u     *url.URL // nil for a path
	path  string   // empty for an address
	shown string   // for messages, without a password or a query
	index int      // in [Request.URLs]
}

func (s source) local() bool { return s.u == nil }

// parseSource sorts an address by kind. An address without "scheme://" is a path, so a Windows drive letter is
// not a scheme.
func parseSource(raw string) (source, error) {
	switch scheme := schemeOf(raw); scheme {
	case "http", "https", "oci":
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" {
			return source{}, fmt.Errorf("%w: %q is not a web address", ErrAddress, raw)
		}
		u.Fragment = ""
		return source{u: u, shown: redacted(u)}, nil
	case "file":
		p, err := filePath(raw)
		if err != nil {
			return source{}, err
		}
		return pathSource(p, raw)
	case "":
		return pathSource(raw, raw)
	default:
		return source{}, fmt.Errorf("%w: %q: http, https, oci, file or a path is supported, not %s", ErrAddress, raw, scheme)
	}
}

// redacted renders an address without its password and query, and without a user name that has no password: each
// may be a token.
func redacted(u *url.URL) string {
	shown := *u
	switch {
	case shown.Scheme == "oci": // mkbuild's own mark, not a secret
		shown.RawQuery = ""
	case shown.RawQuery != "":
		shown.RawQuery = "xxxxx"
	}
	if password, _ := u.User.Password(); password == "" && u.User.Username() != "" {
		shown.User = url.User("xxxxx")
	}
	return shown.Redacted()
}

// LocalPath returns the absolute path of an address on this machine, if it is not a web address.
func LocalPath(address string) (string, bool) {
	s, err := parseSource(address)
	return s.path, err == nil && s.local()
}

// Shown returns an address for messages: without a password or a query.
func Shown(address string) string {
	s, err := parseSource(address)
	if err != nil {
		return ""
	}
	return s.shown
}

var schemeForm = regexp.MustCompile(`(?i)^(?:(file):|([a-z0-9+.-]{2,})://)`)

// schemeOf returns the lower-case scheme of a URL, or "" for a path.
func schemeOf(s string) string {
	m := schemeForm.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1] + m[2])
}

// filePath turns a file URL into a path (RFC 8089: the host is empty or "localhost").
func filePath(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Path == "" || (u.Host != "" && u.Host != "localhost") {
		return "", fmt.Errorf("%w: %q: a file URL has three slashes: file:///path", ErrAddress, raw)
	}
	p := u.Path
	if runtime.GOOS == "windows" && len(p) > 2 && p[0] == '/' && p[2] == ':' {
		p = p[1:]
	}
	return filepath.FromSlash(p), nil
}

func pathSource(p, shown string) (source, error) {
	abs, err := filepath.Abs(p)
	if err != nil || p == "" || strings.ContainsRune(p, 0) {
		return source{}, fmt.Errorf("%w: %q is not a path", ErrAddress, shown)
	}
	return source{path: abs, shown: shown}, nil
}

// Join appends slash-separated names to a mirror's base, a URL or a directory, with or without a slash at its
// end. Names are plain text: Join escapes them for a URL. It refuses names that leave the base.
func Join(base string, elems ...string) (string, error) {
	var names []string
	for _, e := range elems {
		for _, n := range strings.Split(e, "/") {
			if err := checkName(n); err != nil {
				return "", fmt.Errorf("join %q to %q: %w", e, base, err)
			}
			if n != "" && n != "." {
				names = append(names, n)
			}
		}
	}
	switch schemeOf(base) {
	case "http", "https", "file":
		return joinURL(base, names)
	case "oci":
		return joinURL(tagged(base), names)
	case "":
		if base == "" {
			return "", fmt.Errorf("join: %w: the mirror's base is empty", ErrAddress)
		}
		return filepath.Join(append([]string{base}, names...)...), nil
	}
	_, err := parseSource(base)
	return "", err
}

// tagged returns the address of a mirror in a registry with its tag or digest: the names of its files follow it.
func tagged(base string) string {
	base = strings.TrimRight(base, "/")
	if host, repo, _ := strings.Cut(base[len("oci://"):], "/"); host != "" && !strings.ContainsAny(repo, ":@") {
		return base + ":latest"
	}
	return base
}

func joinURL(base string, names []string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("join: %w: %q is not a URL", ErrAddress, base)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("join: %w: %q: a mirror's base has no query", ErrAddress, redacted(u))
	}
	for i, n := range names {
		names[i] = url.PathEscape(n)
	}
	return u.JoinPath(names...).String(), nil
}

// checkName refuses one path segment that could lead elsewhere. A backslash and a colon are
// harmless in a URL, but separate paths on Windows, and no Tiny Core mirror has such names.
func checkName(n string) error {
	if n == ".." || strings.ContainsAny(n, "\\:") || strings.ContainsFunc(n, unicode.IsControl) {
		return fmt.Errorf("%w: the name %q is not allowed", ErrAddress, n)
	}
	return nil
}
