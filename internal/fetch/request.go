package fetch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"mkbuild/internal/overlay"
)

// DefaultMaxSize is the limit of a [Request] without its own: larger than any Tiny Core image.
const DefaultMaxSize = 2 << 30

// Request names a file and its known properties.
type Request struct {
	// Name is the file's name in messages: "ruby.tcz".
	Name string
	// URLs are tried in order: http, https and file URLs, or paths on this machine.
	URLs []string
	// MD5 and SHA256 are the content's hex digests; empty means unknown.
	MD5, SHA256 string
	// MaxSize is the limit in bytes; 0 means [DefaultMaxSize].
	MaxSize int64
	// Fresh asks the mirror whether a stored copy is still its current one (a conditional request). It is for
	// small index files such as .md5.txt that change in place. It has no effect offline, or with a digest.
	Fresh bool
	// Optional marks a file that may be missing, such as .dep. The store remembers the absence, so that the same
	// request returns [ErrNotFound] offline, too.
	Optional bool
	// Check, if set, reads the first bytes (at most [HeadSize]) of the content and refuses a wrong file. See
	// [RefuseHTML].
	Check func(head []byte) error
}

// HeadSize is the length of the head for [Request.Check], in bytes.
const HeadSize = 512

var errHTML = errors.New("it is an HTML page")

// RefuseHTML is a [Request.Check] against web pages: many servers and hotel networks answer with a page and
// status 200 if a file is missing.
func RefuseHTML(head []byte) error {
	if overlay.LooksLikeHTML(head) {
		return errHTML
	}
	return nil
}

// job is one validated request on its way.
type job struct {
	Request
	client  *Client
	sources []source
	// lost says why stored content is useless.
	lost string
}

// newJob checks r and gives its zero fields their defaults.
func newJob(c *Client, r Request) (*job, error) {
	if len(r.URLs) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrAddress)
	}
	j := &job{Request: r, client: c}
	for i, u := range r.URLs {
		s, err := parseSource(u)
		if err != nil {
			return nil, err
		}
		s.index = i
		j.sources = append(j.sources, s)
	}
	var err error
	if j.MD5, err = cleanHex("md5", r.MD5, 16); err != nil {
		return nil, err
	}
	if j.SHA256, err = cleanHex("sha256", r.SHA256, 32); err != nil {
		return nil, err
	}
	if j.Name == "" {
		j.Name = j.sources[0].shown
	}
	if j.MaxSize <= 0 {
		j.MaxSize = DefaultMaxSize
	}
	return j, nil
}

// cleanHex lower-cases a digest of size bytes; empty stays empty.
func cleanHex(algorithm, s string, size int) (string, error) {
	b, err := hex.DecodeString(s)
	if err != nil || s != "" && len(b) != size {
		return "", fmt.Errorf("%s %q is not %d hex digits", algorithm, s, 2*size)
	}
	return strings.ToLower(s), nil
}

// pinned reports whether the request has a digest.
func (j *job) pinned() bool { return j.MD5 != "" || j.SHA256 != "" }
