package mkclient

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	t.Parallel()
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

func TestWithdrawal(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(fact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	missing := respond(404, nil, "{}")
	steps := []struct {
		fault http.HandlerFunc
		want  any
	}{
		{missing, "1"}, {missing, "1"}, {nil, "1"}, // a file that is being replaced
		{missing, "1"}, {respond(500, nil, ""), "1"}, {missing, "1"}, {missing, "1"}, {missing, nil}, {missing, nil},
	}
	for i, s := range steps {
		srv.setFault(s.fault)
		if got := m.cycle(srv)["ext_x"]; got != s.want {
			t.Errorf("step %d: ext_x = %v, want %v", i, got, s.want)
		}
	}
	if left := m.generations(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	srv.setFault(nil)
	if got := m.cycle(srv)["ext_x"]; got != "1" {
		t.Errorf("published again with the old timestamp: ext_x = %v", got)
	}
}

func TestExtendOffAndPin(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	ext := fact(t, "ext_x", "1")
	srv.publish(ext, t0)
	m := newMachine(t, srv, shFacter)
	m.cycle(srv)
	sum := m.ref.state.Generations[0].SHA256
	m.set.ExtendSHA256 = strings.Repeat("0", 64)
	facts := m.cycle(srv)
	if facts["ext_x"] != nil || facts["mk_extension_status"] != "failed" || !strings.Contains(facts["mk_extension_error"].(string), sum) {
		t.Errorf("wrong pin: %v, %v, %v", facts["ext_x"], facts["mk_extension_status"], facts["mk_extension_error"])
	}
	m.set.ExtendSHA256 = sum
	if facts := m.cycle(srv); facts["ext_x"] != "1" || facts["mk_extension_sha256"] != sum {
		t.Errorf("right pin: %v, %v", facts["ext_x"], facts["mk_extension_sha256"])
	}
	m.set.ExtendSHA256, m.set.ExtendOff = "", true
	before := srv.count("GET")
	if facts := m.cycle(srv); facts["ext_x"] != nil || facts["mk_extension_status"] != "off" || srv.count("GET") != before {
		t.Errorf("off: %v, %v, %d requests", facts["ext_x"], facts["mk_extension_status"], srv.count("GET")-before)
	}
}

// TestRefusedArchiveIsNotDownloadedEveryTime counts bodies, not requests.
func TestRefusedArchiveIsNotDownloadedEveryTime(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(fact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	srv.publish(pack(t, member{"../evil", "x", 0o755}), t0.Add(time.Minute))
	for range 5 {
		if facts := m.cycle(srv); facts["ext_x"] != "1" || facts["mk_extension_status"] != "fallback" {
			t.Errorf("%v, %v", facts["ext_x"], facts["mk_extension_status"])
		}
	}
	if n := strings.Count(m.log.String(), "is refused"); n != 1 {
		t.Errorf("refused %d times in the log\n%s", n, m.log)
	}
	if len(srv.logs) != 2 || !strings.Contains(srv.logs[1], "path is not clean") {
		t.Errorf("server's log: %q", srv.logs)
	}
	srv.publish(fact(t, "ext_x", "1"), t0) // taken back
	if facts := m.cycle(srv); facts["mk_extension_status"] != "active" || facts["mk_extension_error"] != "" {
		t.Errorf("after taking it back: %v, %v", facts["mk_extension_status"], facts["mk_extension_error"])
	}
}

// TestServerWithoutTimestamps unpacks again only when the content changes.
func TestServerWithoutTimestamps(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.setFault(respond(200, nil, string(fact(t, "ext_x", "1"))))
	m.cycle(srv)
	gen := m.generation()
	m.cycle(srv)
	if m.generation() != gen {
		t.Error("the same bytes were unpacked again")
	}
	srv.setFault(respond(200, nil, string(fact(t, "ext_x", "2"))))
	if got := m.cycle(srv)["ext_x"]; got != "2" {
		t.Errorf("ext_x = %v", got)
	}
}

// TestStateSurvivesTheProcess lets a second client, as `mk-client register` by hand is one,
// find what the first one fetched.
func TestStateSurvivesTheProcess(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(fact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	gen := m.generation()
	m.Client = New(m.opt, m.set)
	if got := m.cycle(srv)["ext_x"]; got != "1" || m.generation() != gen || len(srv.logs) != 1 {
		t.Errorf("ext_x = %v in %s, was %s; logs %q", got, m.generation(), gen, srv.logs)
	}
	col, err := m.Collect(t.Context())
	if err != nil || col.Facts["ext_x"] != "1" || col.Sources["ext_x"] != "extension" {
		t.Errorf("collect: %v from %q, %v", col.Facts["ext_x"], col.Sources["ext_x"], err)
	}
}
