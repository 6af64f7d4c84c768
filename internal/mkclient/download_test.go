package mkclient

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/generations"
)

// Downloaded, kept, refused and withdrawn extensions, as seen in the check-ins.

func TestWithdrawal(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	missing := standrazor.Respond(404, nil, "{}")
	for _, step := range []struct {
		fault http.HandlerFunc
		want  any
	}{
		{missing, "1"}, {missing, "1"}, {nil, "1"}, // a file that is being replaced
		{missing, "1"}, {standrazor.Respond(500, nil, ""), "1"}, {missing, "1"}, {missing, "1"}, {missing, nil}, {missing, nil},
	} {
		srv.SetFault(step.fault)
		m.wants(srv, facts.Facts{"ext_x": step.want})
	}
	if left := m.generations(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	srv.SetFault(nil)
	m.wants(srv, facts.Facts{"ext_x": "1"}) // published again with the old timestamp
}

func TestExtendOffAndPin(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	sum := m.cycle(srv)["mk_extension_sha256"].(string)
	m.set.ExtendSHA256 = strings.Repeat("0", 64)
	got := m.wants(srv, facts.Facts{"ext_x": nil, "mk_extension_status": "failed"})
	if !strings.Contains(got["mk_extension_error"].(string), sum) {
		t.Errorf("wrong pin: %v", got["mk_extension_error"])
	}
	m.set.ExtendSHA256 = sum
	m.wants(srv, facts.Facts{"ext_x": "1", "mk_extension_sha256": sum})
	m.set.ExtendSHA256, m.set.ExtendOff = "", true
	before := srv.Count("GET")
	if m.wants(srv, facts.Facts{"ext_x": nil, "mk_extension_status": "off"}); srv.Count("GET") != before {
		t.Errorf("off: %d requests", srv.Count("GET")-before)
	}
}

// TestRefusedArchiveIsReportedOnce counts log lines here and at the server.
func TestRefusedArchiveIsReportedOnce(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	srv.Publish(pack(t, member{"../evil", "x", 0o755}), t0.Add(time.Minute))
	for range 5 {
		m.wants(srv, facts.Facts{"ext_x": "1", "mk_extension_status": "fallback"})
	}
	if n := strings.Count(m.log.String(), "is refused"); n != 1 {
		t.Errorf("refused %d times in the log\n%s", n, m.log)
	}
	if len(srv.Logs) != 2 || !strings.Contains(srv.Logs[1], "path is not clean") {
		t.Errorf("server's log: %q", srv.Logs)
	}
	srv.Publish(textFact(t, "ext_x", "1"), t0) // withdrawn
	m.wants(srv, facts.Facts{"mk_extension_status": "active", "mk_extension_error": ""})
}

// TestRefusedArchivesAreNotFetchedInEveryCycle counts the cycles until the next full check, also for a server that
// sends no length, and for the ISO published in place of the extension.
func TestRefusedArchivesAreNotFetchedInEveryCycle(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	evil := pack(t, member{"../x", "x", 0o644})
	srv.SetFault(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", t0.Format(http.TimeFormat))
		w.(http.Flusher).Flush()
		w.Write(evil)
	})
	for _, want := range []int{20, 19, 18} {
		if m.cycle(srv); m.memory().Refused.Left != want {
			t.Errorf("%d cycles left, want %d", m.memory().Refused.Left, want)
		}
	}
	srv.SetFault(nil)
	srv.Publish(bytes.Repeat([]byte("CD001"), 1000), t0.Add(time.Minute))
	for _, want := range []int{4, 3, 2, 1, 0, 4} {
		m.wants(srv, facts.Facts{"mk_extension_error": "not a zip archive", "mk_extension_status": "failed"})
		if left := m.memory().Refused.Left; left != want {
			t.Errorf("no zip: %d cycles left, want %d", left, want)
		}
	}
	srv.Publish(textFact(t, "ext_x", "1"), t0.Add(time.Minute)) // another length: checked before all cycles are over
	m.wants(srv, facts.Facts{"ext_x": "1"})
}

// TestDamageIsTriedAgainInTheNextCycle has a CRC that is wrong once, with the same header.
func TestDamageIsTriedAgainInTheNextCycle(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	good := pack(t, member{"facts.d/a.txt", "ext_x=1\n", 0o644}, member{"facts.d/b.txt", "b=2\n", 0o644})
	bad := bytes.Clone(good)
	bad[bytes.LastIndex(bad, []byte("PK\x01\x02"))+16] ^= 0xff
	srv.Publish(bad, t0)
	m.cycle(srv)
	srv.Publish(good, t0)
	m.wants(srv, facts.Facts{"ext_x": "1"})
}

// TestServerWithoutTimestamps unpacks again only if the content changes.
func TestServerWithoutTimestamps(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.SetFault(standrazor.Respond(200, nil, string(textFact(t, "ext_x", "1"))))
	m.cycle(srv)
	gen := m.generation()
	if m.cycle(srv); m.generation() != gen {
		t.Error("the same bytes were unpacked again")
	}
	srv.SetFault(standrazor.Respond(200, nil, string(textFact(t, "ext_x", "2"))))
	m.wants(srv, facts.Facts{"ext_x": "2"})
}

// TestValidatorsGoBackVerbatim uses servers that compare strings: a timestamp in another valid spelling must be
// sent back unchanged.
func TestValidatorsGoBackVerbatim(t *testing.T) {
	t.Parallel()
	for _, stamp := range []string{t0.Format(http.TimeFormat), t0.Format("Monday, 02-Jan-06 15:04:05 GMT"), t0.Format(time.ANSIC)} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		ext := textFact(t, "ext_x", "1")
		srv.SetFault(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `W/"a, b"`)
			srv.Conditional(w, r, ext, stamp)
		})
		m.wants(srv, facts.Facts{"ext_x": "1"})
		m.wants(srv, facts.Facts{"ext_x": "1"})
		for i, want := range []string{"", stamp + ` W/"a, b"`} {
			h := srv.Requests[i].Header
			if got := strings.TrimSpace(h.Get("If-Modified-Since") + " " + h.Get("If-None-Match")); got != want || h.Get("Range") != "" {
				t.Errorf("%s: request %d says %q", stamp, i, h)
			}
		}
	}
}

// TestChangedURLStartsAnew changes the client's URL: the old file's data decide nothing about the new file, even if
// that is older.
func TestChangedURLStartsAnew(t *testing.T) {
	t.Parallel()
	for _, kind := range standrazor.Kinds {
		a, m := bootOn(t, kind, facters.Shell)
		b := standrazor.New(t, kind)
		a.Publish(textFact(t, "ext_x", "a"), t0)
		b.Publish(textFact(t, "ext_x", "b"), t0.Add(-time.Hour))
		m.cycle(a)
		m.set.Extend = b.URL + "/svc/mk/extension.zip"
		m.wants(a, facts.Facts{"ext_x": "b"})
		if h := b.Requests[0].Header; h.Get("If-Modified-Since")+h.Get("If-None-Match") != "" {
			t.Errorf("%s: the old place's validators went to the new one: %v", kind, h)
		}
	}
}

// TestOneFailureIsForgiven makes facts fail once, then twice in a row.
func TestOneFailureIsForgiven(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	runs, fail := m.write("runs", ""), filepath.Join(m.base, "fail")
	m.program("facter", "case \"$*\" in *external*) echo x >> "+runs+"; [ -f "+fail+" ] && exit 1 ;; esac\n"+facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	for _, step := range []struct {
		name, status string
		fails, ran   bool
	}{
		{"works", "active", false, true}, {"fails", "failed", true, true}, {"works again", "active", false, true},
		{"fails after a success", "failed", true, true}, {"fails twice in a row", "failed", true, true}, {"is out of use", "failed", false, false},
	} {
		if os.Remove(fail); step.fails {
			m.write("fail", "")
		}
		before, _ := os.ReadFile(runs)
		m.wants(srv, facts.Facts{"mk_extension_status": step.status})
		if after, _ := os.ReadFile(runs); (len(after) > len(before)) != step.ran {
			t.Errorf("%s: ran %t", step.name, len(after) > len(before))
		}
	}
	srv.Publish(textFact(t, "ext_x", "2"), t0.Add(time.Minute))
	m.wants(srv, facts.Facts{"mk_extension_status": "active"})
}

func TestUselessArchiveIsReported(t *testing.T) {
	t.Parallel()
	const note = "nothing in it is used: no bin, lib or facts.d"
	for name, tt := range map[string]struct {
		want    int
		members []member
	}{
		"other names": {1, []member{{"README", "x", 0o644}, {"scripts/x", "x", 0o755}}},
		"empty":       {0, nil},
		"lib":         {0, []member{{"README", "x", 0o644}, {"lib/x", "x", 0o644}}},
	} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		srv.Publish(pack(t, tt.members...), t0)
		for range 2 {
			m.wants(srv, facts.Facts{"mk_extension_status": "active", "mk_extension_error": ""})
		}
		if here, there := strings.Count(m.log.String(), note), strings.Count(fmt.Sprint(srv.Logs), note); here != tt.want || there != tt.want {
			t.Errorf("%s: said %d times here and %d times at the server", name, here, there)
		}
	}
}

// TestBakedExtension: the image's own extension is active until the server has one, and again after the server has
// withdrawn it.
func TestBakedExtension(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	m.write("root/"+generations.Baked, string(textFact(t, "ext_x", "baked")))
	missing, broken := standrazor.Respond(404, nil, "{}"), standrazor.Respond(500, nil, "")
	nothing := func() {}
	for _, step := range []struct {
		name   string
		do     func()
		want   any
		status string
	}{
		{"the server has none", nothing, "baked", "active"},
		{"still", nothing, "baked", "active"},
		{"again", nothing, "baked", "active"},
		{"and again: nothing is withdrawn", nothing, "baked", "active"},
		{"it is down", func() { srv.SetFault(broken) }, "baked", "active"},
		{"it offers one older than the image", func() { srv.SetFault(nil); srv.Publish(textFact(t, "ext_x", "served"), t0) }, "served", "active"},
		{"it is down again", func() { srv.SetFault(broken) }, "served", "active"},
		{"it is missing", func() { srv.SetFault(missing) }, "served", "active"},
		{"twice", nothing, "served", "active"},
		{"three times", nothing, "baked", "active"},
		{"more often", nothing, "baked", "active"},
		{"it offers no zip", func() { srv.SetFault(nil); srv.Publish([]byte(strings.Repeat("no zip ", 100)), t0.Add(time.Hour)) }, "baked", "fallback"},
		{"off", func() { m.set.ExtendOff = true }, nil, "off"},
	} {
		step.do()
		if got := m.cycle(srv); got["ext_x"] != step.want || got["mk_extension_status"] != step.status {
			t.Errorf("%s: ext_x = %v, %v (%v)", step.name, got["ext_x"], got["mk_extension_status"], got["mk_extension_error"])
		}
	}
	if n := strings.Count(m.log.String(), "extension of the image"); n != 2 {
		t.Errorf("unpacked %d times:\n%s", n, m.log)
	}
}

func TestBakedExtensionThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*machine){
		"no zip": func(m *machine) { m.write("root/"+generations.Baked, "no zip") },
		"wrapped": func(m *machine) {
			m.write("root/"+generations.Baked, string(pack(t, member{"x/facts.d/a.txt", "a=1\n", 0o644})))
		},
		"wrong pin": func(m *machine) { m.set.ExtendSHA256 = strings.Repeat("0", 64) },
	} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		m.write("root/"+generations.Baked, string(textFact(t, "ext_x", "baked")))
		change(m)
		m.cycle(srv)
		m.wants(srv, facts.Facts{"ext_x": nil, "mk_extension_status": "none"})
		if n := strings.Count(m.log.String(), "the image's own extension"); n != 1 {
			t.Errorf("%s: said %d times:\n%s", name, n, m.log)
		}
	}
}

// TestStateSurvivesTheProcess checks that a second client, such as a manual `mk-client register`, finds the first
// client's download.
func TestStateSurvivesTheProcess(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	gen := m.generation()
	m.Client = New(m.opt, m.set)
	if m.wants(srv, facts.Facts{"ext_x": "1"}); m.generation() != gen || len(srv.Logs) != 1 {
		t.Errorf("in %s, was %s; logs %q", m.generation(), gen, srv.Logs)
	}
	before, _ := os.ReadFile(filepath.Join(m.opt.ExtensionDir, "state.json"))
	col, err := m.Collect(t.Context())
	if err != nil || col.Facts["ext_x"] != "1" || col.Sources["ext_x"] != "extension" {
		t.Errorf("collect: %v from %q, %v", col.Facts["ext_x"], col.Sources["ext_x"], err)
	}
	off := m.set
	off.ExtendOff = true
	col, err = New(m.opt, off).Collect(t.Context())
	if after, _ := os.ReadFile(filepath.Join(m.opt.ExtensionDir, "state.json")); err != nil || col.Facts["ext_x"] != nil || !bytes.Equal(after, before) {
		t.Errorf("collect with extensions off: %v, %v; state was %s, is %s", col.Facts["ext_x"], err, before, after)
	}
}
