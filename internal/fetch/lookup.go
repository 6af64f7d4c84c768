package fetch

import (
	"errors"
	"os"
)

// fromCache answers a request without the network, or returns nil. An earlier source that is
// not cached yields to a later one that is; the content was good when it came.
func (j *job) fromCache() *Blob {
	if b := j.bySHA256(); b != nil {
		return b
	}
	if j.Fresh && !j.Offline && !j.pinned() {
		return nil
	}
	for i, s := range j.sources {
		e := j.cache.entry(s)
		if j.refused(i, e) {
			j.overHTTP = true
			continue
		}
		if s.local() && !j.pinned() && !unchanged(s, e) {
			e = nil
		}
		if d, ok := j.cached(e); ok {
			j.remember(s, e, d)
			return j.blob(d, i, e)
		}
		if s.local() && !j.pinned() && exists(s.path) {
			return nil // there, and new to us: read it in its turn
		}
	}
	return nil
}

// remember adds an MD5 that had to be computed to its entry, for the next build. Without it that one
// takes longer, no more.
func (j *job) remember(s source, e *entry, d digests) {
	if e.MD5 == "" && d.md5 != "" {
		known := *e
		known.MD5 = d.md5
		j.cache.record(s, known) //nolint:errcheck,gosec // see above
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// bySHA256 looks for the very content, whatever address it once came from.
func (j *job) bySHA256() *Blob {
	if j.SHA256 == "" {
		return nil
	}
	d, ok := j.usable(j.SHA256, "")
	if !ok {
		return nil
	}
	for i, s := range j.sources {
		if e := j.cache.entry(s); e != nil && e.SHA256 == j.SHA256 {
			return j.blob(d, i, e)
		}
	}
	return j.blob(d, -1, nil)
}

// cached returns the content that an entry points to, if it is whole and what the request wants.
func (j *job) cached(e *entry) (digests, bool) {
	if e == nil || e.Missing {
		return digests{}, false
	}
	d, ok := j.usable(e.SHA256, e.MD5)
	return d, ok && d.size == e.Size
}

// usable verifies a blob and holds it against the request's digests, limit and check. md5 is that of
// the same content, if it is known.
func (j *job) usable(sha, md5 string) (digests, bool) {
	d, err := j.cache.verify(sha, j.needsMD5() && md5 == "")
	if d.md5 == "" {
		d.md5 = md5
	}
	if errors.Is(err, errDamaged) {
		j.damaged = true
		j.warn(j.Name, "its cached copy was damaged and has been removed")
	}
	if err != nil || d.size > j.MaxSize || j.match("", d) != nil {
		return digests{}, false
	}
	return d, j.Check == nil || j.checkFile(j.cache.blobPath(sha)) == nil
}

func (j *job) checkFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	head, err := readHead(f)
	if err != nil {
		return err
	}
	return j.Check(head)
}
