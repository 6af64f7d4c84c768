package fetch

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // upstream publishes nothing else
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// record is the store's data of an address, besides its content's digest.
type record struct {
	// ETag and LastModified are the validators of RFC 9110 section 8.8.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	// Size and MTime describe a local source, MTime in nanoseconds since 1970; 0 means that it changed too
	// recently to detect another change.
	Size  int64 `json:"size,omitempty"`
	MTime int64 `json:"mtime_ns,omitempty"`
	// TLS is true if the answer came over https, even to an http address.
	TLS bool `json:"tls,omitempty"`

	// MD5 is the requested digest at the time of the download. See [Client.TrustIndex].
	MD5 string `json:"md5,omitempty"`

	// sha256 is empty if the source does not have the file.
	sha256 string
}

// recorded returns the store's data of a source, or nil. Only a request with a digest may use an untrusted entry.
func (j *job) recorded(s source) *record {
	e, err := j.client.Store.Entry(store.KindDownload, j.key(s))
	r := &record{sha256: e.SHA256}
	if err != nil || !e.Trusted && !j.pinned() || json.Unmarshal(e.About, r) != nil {
		return nil
	}
	return r
}

// key is the name of a source in the store. The query of an address may be a secret, and selects content.
func (j *job) key(s source) string {
	key := cmp.Or(s.path, s.shown)
	if !s.local() && s.u.RawQuery != "" {
		key += " " + j.client.Store.Mark(s.u.RawQuery)[:32]
	}
	return key
}

func (j *job) record(ctx context.Context, s source, r record) error {
	about, _ := json.Marshal(r) // texts and numbers
	return j.client.Store.Put(ctx, store.KindDownload, store.Entry{Key: j.key(s), SHA256: r.sha256, About: about})
}

// plain reports whether a recorded source came over plain http, and the request has no digest from elsewhere.
func (j *job) plain(s source, r *record) bool {
	return j.SHA256 == "" && !s.local() && s.u.Scheme != "https" && !r.TLS
}

// refused reports whether [Client.RequireHTTPS] keeps stored content out.
func (j *job) refused(s source, r *record) bool {
	return j.client.RequireHTTPS && r != nil && j.plain(s, r)
}

// fromStore answers a request without the network, or returns nil. It may use a later source that is stored
// before an earlier one that is not; the content was checked when it came.
func (j *job) fromStore(ctx context.Context) *Blob {
	if j.SHA256 != "" { // whatever address it once came from
		return j.stored(ctx, source{index: -1}, &record{sha256: j.SHA256})
	}
	for _, s := range j.sources {
		r := j.recorded(s)
		if j.refused(s, r) {
			j.lost = "its cached copy came over plain http, which --require-https refuses"
			continue
		}
		if !s.local() && j.Fresh && !j.client.Offline && !j.pinned() {
			return nil
		}
		if j.pinned() || !s.local() || unchanged(s, r) {
			if b := j.stored(ctx, s, r); b != nil {
				return b
			}
		}
		if _, err := os.Stat(s.path); s.local() && !j.pinned() && err == nil {
			return nil // a new local file: read it in its turn
		}
	}
	return nil
}

// stored returns the content of a source's record r, if it satisfies the request.
func (j *job) stored(ctx context.Context, s source, r *record) *Blob {
	if r == nil || r.sha256 == "" {
		return nil
	}
	sum := j.md5()
	if j.client.TrustIndex && r.MD5 == j.MD5 {
		sum = nil
	}
	b, err := j.client.Store.Get(ctx, r.sha256, sum)
	if errors.Is(err, store.ErrDamaged) {
		j.lost = "its cached copy was damaged and has been removed"
		j.say(ui.Warning, j.lost)
	}
	if err != nil || b.Size > j.MaxSize || j.check(s, r.sha256, sum, b.Reader()) != nil {
		return nil
	}
	return &Blob{Blob: b, URL: s.shown, Source: s.index, plain: j.plain(s, r)}
}

// md5 is the hash that the request needs besides the SHA-256; nil for none.
func (j *job) md5() hash.Hash {
	if j.MD5 == "" {
		return nil
	}
	return md5.New() //nolint:gosec // see the import
}

// check checks content of a source against the request. sum is that of [job.md5]; nil if the MD5 need not be
// checked.
func (j *job) check(s source, sha256 string, sum hash.Hash, content io.Reader) error {
	if j.Check != nil {
		head, err := io.ReadAll(io.LimitReader(content, HeadSize))
		if err != nil {
			return err
		}
		if err := j.Check(head); err != nil {
			return fmt.Errorf("fetch %s: %s %w: %w", j.Name, s.shown, ErrContent, err)
		}
	}
	wrong := &ChecksumError{Name: j.Name, URL: s.shown, Algorithm: "sha256", Want: j.SHA256, Got: sha256}
	if j.SHA256 != "" && j.SHA256 != sha256 {
		return wrong
	}
	if sum == nil {
		return nil
	}
	wrong.Algorithm, wrong.Want, wrong.Got = "md5", j.MD5, hex.EncodeToString(sum.Sum(nil))
	if wrong.Want != wrong.Got {
		return wrong
	}
	return nil
}

// fromSources asks each source in turn, hosts in trouble last, and returns the first correct content.
func (j *job) fromSources(ctx context.Context) (*Blob, error) {
	var attempts []error
	sources := j.order()
	for n, s := range sources {
		b, err := j.fromSource(ctx, s)
		if err == nil {
			return b, nil
		}
		if errors.Is(err, store.ErrWrite) {
			return nil, fmt.Errorf("fetch %s: %w", j.Name, err) // no other mirror helps
		}
		if isA[*hostError](err) {
			attempts = append(attempts, err) // it names the server
		} else {
			attempts = append(attempts, fmt.Errorf("%s: %w", s.shown, err))
		}
		if ctx.Err() != nil {
			break
		}
		if troubled(err) {
			j.client.web.host(s).last.Store(true)
		}
		others := sources[n+1:]
		if e, ok := errors.AsType[*hostError](err); ok {
			others = slices.DeleteFunc(slices.Clone(others), func(o source) bool { return e.again || o.u != nil && o.u.Host == s.u.Host })
		}
		if len(others) > 0 && !isAny(err, ErrNotFound, ErrOffline, ErrInsecure) {
			j.say(ui.Warning, j.passedOver(s, err)+"; trying the next source")
		}
	}
	return nil, j.verdict(attempts)
}

// order returns the sources in the order of requests: hosts in trouble come last.
func (j *job) order() []source {
	var first, last []source
	for _, s := range j.sources {
		if j.client.web.host(s).last.Load() {
			last = append(last, s)
		} else {
			first = append(first, s)
		}
	}
	return append(first, last...)
}

func (j *job) say(level ui.Level, text string) {
	j.client.event(ui.Event{Level: level, Item: j.Name, Text: text})
}

// passedOver says why a source was skipped. Some errors name file and source themselves.
func (j *job) passedOver(s source, err error) string {
	if dialFailed(err) && !isA[*hostError](err) {
		err = &hostError{host: s.u.Host, err: err}
	}
	text := strings.TrimPrefix(err.Error(), "fetch "+j.Name+": ")
	if strings.Contains(text, s.shown) {
		return text
	}
	if isA[*hostError](err) {
		return text
	}
	return s.shown + ": " + text
}

func (j *job) fromSource(ctx context.Context, s source) (*Blob, error) {
	switch {
	case s.local():
		return j.fromFile(ctx, s)
	case j.client.Offline:
		if r := j.recorded(s); j.Optional && r != nil && r.sha256 == "" && !j.refused(s, r) {
			return nil, ErrNotFound
		}
		return nil, ErrOffline
	}
	return j.fromWeb(ctx, s)
}

// verdict joins the sources' errors into the error of the request. Wrong content comes first, then unreachable
// mirrors, then missing files.
func (j *job) verdict(attempts []error) error {
	for _, wrong := range []func(error) bool{isA[*ChecksumError], is(ErrContent), is(ErrTooLarge)} {
		if i := slices.IndexFunc(attempts, wrong); i >= 0 {
			return errors.Unwrap(attempts[i])
		}
	}
	count := func(kind error) int { return len(attempts) - len(slices.DeleteFunc(slices.Clone(attempts), is(kind))) }
	all := j.places()
	switch missing, insecure := count(ErrNotFound), count(ErrInsecure); {
	case missing == len(attempts):
		return fmt.Errorf("fetch %s: %w: %s", j.Name, ErrNotFound, all)
	case count(ErrOffline) > 0:
		return fmt.Errorf("fetch %s: %w, and %s", j.Name, ErrOffline, cmp.Or(j.lost, "it is not in the cache"+j.onDisk()))
	case insecure > 0 && insecure+missing == len(attempts):
		return fmt.Errorf("fetch %s: %w: %s", j.Name, ErrInsecure, all)
	}
	return unreachable(j.Name, attempts)
}

// onDisk names the places on this machine that lack the file, after "not in the cache".
func (j *job) onDisk() (text string) {
	for _, s := range j.sources {
		if s.local() {
			text += " or at " + s.shown
		}
	}
	return text
}

// maxPlaces is the number of addresses that an error names in full.
const maxPlaces = 2

// places lists the addresses of the file, or of many the first one and the servers.
func (j *job) places() string {
	var urls, hosts []string
	for _, s := range j.sources {
		urls = append(urls, s.shown)
		if !s.local() && !slices.Contains(hosts, s.u.Host) {
			hosts = append(hosts, s.u.Host)
		}
	}
	if len(urls) <= maxPlaces || len(hosts) == 0 {
		return strings.Join(urls, ", ")
	}
	return fmt.Sprintf("%s and %d more addresses at %s", urls[0], len(urls)-1, strings.Join(hosts, ", "))
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// unreachable joins the sources' errors. A "not found" next to a source that did not answer proves no absence,
// and a cancelled attempt is no interrupt of the user: the text has both, but they are not among the causes.
func unreachable(name string, attempts []error) error {
	kind := ErrUnreachable
	unresolved, untrusted := 0, false
	for _, a := range attempts {
		untrusted = untrusted || isA[*tls.CertificateVerificationError](a)
		if isA[*net.DNSError](a) {
			unresolved++
		}
	}
	switch {
	case untrusted:
		kind = ErrCertificate
	case unresolved == len(attempts):
		kind = ErrUnresolved
	}
	err, sep, told := error(kind), ": ", []string{}
	for _, a := range attempts {
		if isAny(a, ErrNotFound, context.Canceled) {
			a = errors.New(a.Error())
		}
		if host, ok := errors.AsType[*hostError](a); ok { // once for all files of the server
			if slices.Contains(told, host.Error()) {
				continue
			}
			told = append(told, host.Error())
		}
		if dns, ok := errors.AsType[*net.DNSError](a); ok && kind == ErrUnresolved {
			a = errors.New(dns.Name)
		}
		err, sep = fmt.Errorf("%w%s%w", err, sep, a), "; "
	}
	return fmt.Errorf("fetch %s: %w", name, err)
}
