package fetch

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// drip sends a byte now and then, endlessly: never idle, never done. It supports ranges, so that each attempt makes
// progress.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"1"`)
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		w.Header().Set("Content-Range", "bytes "+from+"999999/1000000")
		w.WriteHeader(http.StatusPartialContent)
	}
	for r.Context().Err() == nil {
		w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
}

// slowly are limits that drip exceeds and an honest mirror never.
func slowly() Options {
	o := quick
	o.Idle, o.MinRate = time.Second, 1000
	return o
}

func TestSlowDripIsAStall(t *testing.T) {
	t.Parallel()
	url, count := serve(t, drip)
	c := newClient(t)
	c.HTTP = slowly()
	_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{url}})
	if !errors.Is(err, errSlow) || !strings.Contains(err.Error(), "too slow: ") {
		t.Fatal(err)
	}
	if count() != 2 {
		t.Errorf("%d attempts: a few bytes forward are no reason for more", count())
	}
	clean(t, c)
}

// TestSlowDripYieldsToAnotherMirror: the other mirror is asked first from then on.
func TestSlowDripYieldsToAnotherMirror(t *testing.T) {
	t.Parallel()
	slow, asked := serve(t, drip)
	good, _ := serve(t, static("right"))
	c, sink := newClient(t), &recorder{}
	c.HTTP, c.Sink = slowly(), sink
	for _, name := range []string{"/x", "/y", "/z"} {
		b := want(t, c, Request{Name: name, URLs: []string{slow + name, good + name}, MD5: md5hex("right")}, "right")
		if b.URL != good+name || b.Source != 1 {
			t.Errorf("from %s", b.URL)
		}
	}
	if w := sink.warnings(); asked() != 2 || len(w) != 1 || !strings.Contains(w[0], "too slow") {
		t.Errorf("%d requests to the slow one, warnings %q", asked(), w)
	}
}

// TestOrder: only a fault of the host itself moves the host to the end.
func TestOrder(t *testing.T) {
	t.Parallel()
	good, _ := serve(t, static("right"))
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		last bool
	}{
		"503": {status(503), true}, "429": {status(429), true}, "cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"404": {status(404), false}, "403": {status(403), false}, "lie": {static("wrong"), false}, "page": {static("<html>"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, asked := serve(t, tt.h)
			c := newClient(t)
			r := Request{Name: "x", URLs: []string{bad + "/x", good + "/x"}, MD5: md5hex("right"), Check: RefuseHTML}
			want(t, c, r, "right")
			n := asked()
			r.URLs = []string{bad + "/y", good + "/y"}
			want(t, c, r, "right")
			if again := asked() > n; again == tt.last {
				t.Errorf("asked again: %v", again)
			}
		})
	}
}
