package fetch

import (
	"crypto/md5" //nolint:gosec // upstream publishes nothing else
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Layout of a cache directory:
//
//	sha256/<first two digits>/<hash>        whole files
//	tmp/                                    files under way
//	index/<first two digits>/<hash>.json    what an address gave last, by the hash of the address
//	derived/<kind>/<two digits>/<hash>.json what was made of other content, by the hash of its key
//
// Nothing in it is trusted: blobs are hashed again, and entries are parsed with limits.
const (
	blobDir    = "sha256"
	indexDir   = "index"
	derivedDir = "derived"
	tmpDir     = "tmp"
)

var (
	errMissing = errors.New("not in the cache")
	errDamaged = errors.New("the cached copy is damaged")
)

// digests are what is known about a blob's content. The SHA-256 is always computed, never believed.
type digests struct {
	sha256, md5 string
	size        int64
}

// hasher computes digests while bytes pass. Only upstream knows files by their MD5.
type hasher struct {
	sha  hash.Hash
	md   hash.Hash // nil where nobody asks for it
	size int64
}

func newHasher(withMD5 bool) *hasher {
	h := &hasher{sha: sha256.New()}
	if withMD5 {
		h.md = md5.New() //nolint:gosec // see the import
	}
	return h
}

// Write never fails.
func (h *hasher) Write(b []byte) (int, error) {
	h.sha.Write(b)
	if h.md != nil {
		h.md.Write(b)
	}
	h.size += int64(len(b))
	return len(b), nil
}

func (h *hasher) sum() digests {
	d := digests{sha256: hex.EncodeToString(h.sha.Sum(nil)), size: h.size}
	if h.md != nil {
		d.md5 = hex.EncodeToString(h.md.Sum(nil))
	}
	return d
}

// cache is a directory of blobs and index entries.
type cache struct {
	dir     string
	session *session
}

func (c cache) blobPath(sha string) string { return filepath.Join(c.dir, blobDir, sha[:2], sha) }

// verify returns the digests of the blob named sha: errMissing without one, errDamaged when its
// bytes are not those of its name, in which case it is removed.
func (c cache) verify(sha string, withMD5 bool) (digests, error) {
	f, err := os.Open(c.blobPath(sha))
	if err != nil {
		return digests{}, fmt.Errorf("%w: %w", errMissing, err)
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return digests{}, errMissing
	}
	if d, ok := c.session.get(sha, st); ok && (d.md5 != "" || !withMD5) {
		return d, nil
	}
	h := newHasher(withMD5)
	_, err = io.Copy(h, f)
	if d := h.sum(); err == nil && d.sha256 == sha {
		c.session.put(d, touch(f.Name(), st))
		return d, nil
	}
	c.drop(sha, st)
	return digests{}, errDamaged
}

// usedEvery is how precisely a blob's modification time tells its last use. Writing it each time
// would make parallel builds doubt each other's blobs.
const usedEvery = time.Hour

// touch notes the use of a blob for [Store.Prune], and returns how it is now. A cache that belongs to
// somebody else keeps its times.
func touch(name string, st fs.FileInfo) fs.FileInfo {
	now := time.Now()
	if now.Sub(st.ModTime()) < usedEvery || os.Chtimes(name, now, now) != nil {
		return st
	}
	if touched, err := os.Stat(name); err == nil {
		return touched
	}
	return st
}

// drop removes a damaged blob, unless another process has put a new file there meanwhile.
func (c cache) drop(sha string, damaged fs.FileInfo) {
	if now, err := os.Stat(c.blobPath(sha)); err == nil && os.SameFile(now, damaged) {
		os.Remove(c.blobPath(sha)) //nolint:errcheck,gosec // a blob that stays is refused again
	}
}

// commit makes a part the blob of its hash. With durable it outlives a power cut.
func (c cache) commit(p *part, durable bool) error {
	d := p.sum()
	target := c.blobPath(d.sha256)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return &CacheError{Dir: c.dir, Err: err}
	}
	if err := p.f.CommitAs(target, durable); err != nil {
		// Windows refuses to replace a file that is open; the one there may be as good.
		if _, verr := c.verify(d.sha256, false); verr == nil {
			return nil
		}
		return &CacheError{Dir: c.dir, Err: err}
	}
	if st, err := os.Stat(target); err == nil {
		c.session.put(d, st)
	}
	return nil
}
