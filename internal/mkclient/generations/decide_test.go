package generations

import (
	"net/http"
	"testing"
	"time"
)

// t0 is the publication time of the current copy.
var t0 = time.Date(2014, 5, 1, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	lm := func(d time.Duration) string { return t0.Add(d).Format(http.TimeFormat) }
	have := &validators{LastModified: lm(0), ETag: `"a"`, Size: 100}
	bare := &validators{Size: 100}
	tests := []struct {
		name string
		have *validators
		r    reply
		want verdict
	}{
		{"first", nil, reply{Status: 200, Length: 5, LastModified: lm(-time.Hour)}, fetch},
		{"first without headers", nil, reply{Status: 200, Length: -1}, fetch},
		{"first but empty", nil, reply{Status: 200}, failed},
		{"304 without a copy", nil, reply{Status: 304}, failed},
		{"304", have, reply{Status: 304}, keep},
		{"Razor's empty 200", have, reply{Status: 200}, keep},
		{"newer by a second", have, reply{Status: 200, Length: 100, LastModified: lm(time.Second)}, fetch},
		{"equal", have, reply{Status: 200, Length: 100, LastModified: lm(0)}, keep},
		{"equal, no length", have, reply{Status: 200, Length: -1, LastModified: lm(0)}, keep},
		{"equal second, other length", have, reply{Status: 200, Length: 101, LastModified: lm(0)}, fetch},
		{"equal second, other tag", have, reply{Status: 200, Length: 100, LastModified: lm(0), ETag: `"b"`}, fetch},
		{"equal second, weak tag", have, reply{Status: 200, Length: 100, LastModified: lm(0), ETag: `W/"a"`}, keep},
		{"equal in another spelling", have, reply{Status: 200, Length: 100, LastModified: t0.Format(time.RFC850)}, keep},
		{"older", have, reply{Status: 200, Length: 9, LastModified: lm(-time.Second), ETag: `"b"`}, older},
		{"no timestamp", have, reply{Status: 200, Length: 100}, fetch},
		{"no timestamp, same tag", have, reply{Status: 200, Length: 100, ETag: `"a"`}, keep},
		{"unreadable timestamp", have, reply{Status: 200, Length: 100, LastModified: "yesterday"}, fetch},
		{"never a timestamp", bare, reply{Status: 200, Length: 100}, fetch},
		{"timestamp for the first time", bare, reply{Status: 200, Length: 100, LastModified: lm(0)}, fetch},
		{"404", have, reply{Status: 404}, gone},
		{"410", have, reply{Status: 410}, gone},
		{"206", have, reply{Status: 206, Length: 100}, failed},
		{"200 with a part", have, reply{Status: 200, Length: 10, ContentRange: "bytes 0-9/100"}, failed},
		{"500", have, reply{Status: 500}, failed},
		{"403", have, reply{Status: 403}, failed},
		{"204", have, reply{Status: 204}, failed},
	}
	for _, tt := range tests {
		if got := decide(tt.have, tt.r, false); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := decide(have, reply{Status: 200, Length: 9, LastModified: lm(-time.Second)}, true); got != fetch {
		t.Errorf("any-change, older: got %v, want fetch", got)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(200, int64(0), "Thu, 01 May 2014 12:00:00 GMT", `"a"`, "", true, false)
	f.Add(206, int64(10), "", "", "bytes 0-9/10", false, true)
	f.Fuzz(func(t *testing.T, status int, length int64, modified, etag, rng string, with, anyChange bool) {
		var have *validators
		if with {
			have = &validators{LastModified: t0.Format(http.TimeFormat), Size: 7}
		}
		r := reply{Status: status, Length: length, LastModified: modified, ETag: etag, ContentRange: rng}
		got := decide(have, r, anyChange)
		if got == fetch && (status != 200 || length == 0 || rng != "") {
			t.Errorf("%+v: the body of this must not be used", r)
		}
		if (got == keep || got == older) && have == nil {
			t.Errorf("%+v: there is nothing to keep", r)
		}
		if status/100 == 5 && got != failed {
			t.Errorf("%+v: got %v", r, got)
		}
		if h := conditions(have, anyChange); h.Get("Range") != "" {
			t.Error("a Range is never asked for")
		}
	})
}
