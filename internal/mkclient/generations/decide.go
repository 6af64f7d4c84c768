package generations

import (
	"net/http"
	"strings"
)

// reply is the part of an HTTP answer that decides about an extension.
type reply struct {
	Status       int
	Length       int64 // -1 if unknown
	LastModified string
	ETag         string
	ContentRange string
}

// replyOf takes the deciding part of an answer.
func replyOf(resp *http.Response) reply {
	return reply{
		Status: resp.StatusCode, Length: resp.ContentLength,
		LastModified: resp.Header.Get("Last-Modified"), ETag: resp.Header.Get("ETag"),
		ContentRange: resp.Header.Get("Content-Range"),
	}
}

// validators identify one state of the file at the server.
type validators struct {
	LastModified string `json:"last_modified,omitempty"` // verbatim
	ETag         string `json:"etag,omitempty"`
	Size         int64  `json:"size"`
}

type verdict int

const (
	keep   verdict = iota // nothing new
	older                 // nothing new: the server's copy is older than ours
	fetch                 // read the body
	gone                  // the server has no extension
	failed                // no usable answer: try again in the next cycle
)

// decide is the download condition. It compares only the server's timestamps, not this machine's clock. have is
// the downloaded copy, nil without one. It works with RFC-correct servers (304), nginx (exact comparison of
// If-Modified-Since, hence the verbatim string), and Razor's own, which answers 200 with an empty body for
// "unchanged", never 304, and 200 to a range.
func decide(have *validators, r reply, anyChange bool) verdict {
	switch {
	case r.Status == http.StatusNotFound, r.Status == http.StatusGone:
		return gone
	case r.Status == http.StatusNotModified && have != nil:
		return keep
	case r.Status != http.StatusOK, r.ContentRange != "":
		return failed
	case r.Length == 0 && have != nil:
		return keep
	case r.Length == 0:
		return failed
	case have == nil:
		return fetch
	}
	return compare(have, r, anyChange)
}

// compare decides for a full answer if there is a copy.
func compare(have *validators, r reply, anyChange bool) verdict {
	same := sameFile(have, r)
	if r.LastModified != "" && r.LastModified == have.LastModified {
		if same {
			return keep
		}
		return fetch // replaced within the same second
	}
	ours, err1 := http.ParseTime(have.LastModified)
	theirs, err2 := http.ParseTime(r.LastModified)
	switch {
	case err1 != nil || err2 != nil:
		if have.ETag != "" && r.ETag == have.ETag && same {
			return keep
		}
		return fetch // no timestamps: the content's hash decides
	case anyChange || theirs.After(ours):
		return fetch
	case theirs.Before(ours):
		return older
	case same:
		return keep
	}
	return fetch
}

// sameFile reports whether the two may differ only in the timestamp.
func sameFile(have *validators, r reply) bool {
	if r.Length >= 0 && r.Length != have.Size {
		return false
	}
	return have.ETag == "" || r.ETag == "" || strongTag(have.ETag) == strongTag(r.ETag)
}

// strongTag drops the weakness mark, which a compressing proxy may add.
func strongTag(tag string) string { return strings.TrimPrefix(tag, "W/") }

// conditions are the request's headers, without a Range: Razor's server would answer 200 with a part. With
// anyChange there is no If-Modified-Since: an RFC-correct server would answer 304 for an older copy.
func conditions(have *validators, anyChange bool) http.Header {
	h := http.Header{"Accept": {"application/zip, */*"}}
	if have == nil || anyChange {
		return h
	}
	if _, err := http.ParseTime(have.LastModified); err == nil {
		h.Set("If-Modified-Since", have.LastModified)
	}
	if have.ETag != "" {
		h.Set("If-None-Match", have.ETag)
	}
	return h
}
