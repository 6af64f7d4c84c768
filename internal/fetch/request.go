package fetch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// DefaultMaxSize is the limit of a [Request] without its own: larger than any Tiny Core image.
const DefaultMaxSize = 2 << 30

// Request says which file is wanted and what is known about it.
type Request struct {
	// Name is what people call the file: "ruby.tcz".
	Name string
	// URLs are tried in order: http, https and file URLs, or paths on this machine.
	URLs []string
	// MD5 and SHA256 are hex digests that the content must have; empty means not known.
	MD5, SHA256 string
	// MaxSize is the most bytes to accept; 0 means [DefaultMaxSize].
	MaxSize int64
	// Fresh asks the mirror whether a stored copy is still its current one (a conditional
	// request). It is for small index files such as .md5.txt that change in place. It does
	// nothing offline, or when a digest already decides.
	Fresh bool
	// Optional marks a file whose absence is an answer, such as .dep. The absence is
	// remembered, so that the same question gives [ErrNotFound] offline too.
	Optional bool
	// Check, if set, looks at the first bytes (at most [HeadSize]) of the whole content and
	// refuses what cannot be the wanted file. See [RefuseHTML].
	Check func(head []byte) error
}

// HeadSize is how much of a file [Request.Check] is shown, in bytes.
const HeadSize = 512

var errHTML = errors.New("it is an HTML page")

// RefuseHTML is a [Request.Check] against web pages: many servers and hotel networks answer
// with a page and status 200 where a file is missing.
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
	// damaged is set when the store had the content but its bytes had changed.
	damaged bool
	// overHTTP is set when the store has content that came over plain http, which is refused.
	overHTTP bool
}

// newJob checks r and gives its zero fields their defaults.
func (c *Client) newJob(r Request) (*job, error) {
	if len(r.URLs) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrAddress)
	}
	c.start()
	j := &job{Request: r, client: c}
	for _, u := range r.URLs {
		s, err := parseSource(u)
		if err != nil {
			return nil, err
		}
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

// pinned reports whether a digest decides what the content must be.
func (j *job) pinned() bool { return j.MD5 != "" || j.SHA256 != "" }

// check holds content that source shown gave against the request. md5 may be nil if that has none.
func (j *job) check(shown, sha256 string, md5 hash.Hash, head []byte) error {
	if j.Check != nil {
		if err := j.Check(head); err != nil {
			return contentError(j.Name, shown, err)
		}
	}
	if j.SHA256 != "" && j.SHA256 != sha256 {
		return &ChecksumError{Name: j.Name, URL: shown, Algorithm: "sha256", Want: j.SHA256, Got: sha256}
	}
	if j.MD5 == "" {
		return nil
	}
	if got := hex.EncodeToString(md5.Sum(nil)); got != j.MD5 {
		return &ChecksumError{Name: j.Name, URL: shown, Algorithm: "md5", Want: j.MD5, Got: got}
	}
	return nil
}

func (j *job) inform(text string) { j.client.event(ui.Event{Level: ui.Info, Item: j.Name, Text: text}) }

func (j *job) warn(text string) {
	j.client.event(ui.Event{Level: ui.Warning, Item: j.Name, Text: text})
}

// quietSize is the size up to which index files (Fresh or Optional) pass without an event: a
// build asks for two of them per extension.
const quietSize = 64 << 10

// done reports that the content is there and checked.
func (j *job) done(b *Blob) {
	index := j.Fresh || j.Optional
	if b.plain && !index {
		j.client.trust(j.Name)
	}
	if b.Size == 0 || index && b.Size <= quietSize {
		return
	}
	e := ui.Event{Level: ui.Progress, Item: j.Name, Done: b.Size, Total: b.Size}
	if b.Cached {
		e.Text = "from the cache"
	}
	j.client.event(e)
}
