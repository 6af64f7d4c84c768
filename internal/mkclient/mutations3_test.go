package mkclient

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestValidatorsGoBackVerbatim uses servers that compare strings: a timestamp in another valid
// spelling must come back as it was.
func TestValidatorsGoBackVerbatim(t *testing.T) {
	t.Parallel()
	for name, stamp := range map[string]string{
		"RFC 1123": t0.Format(http.TimeFormat), "RFC 850": t0.Format("Monday, 02-Jan-06 15:04:05 GMT"), "asctime": t0.Format(time.ANSIC),
	} {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, shFacter)
		ext := fact(t, "ext_x", "1")
		srv.setFault(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `W/"a, b"`)
			srv.conditional(w, r, ext, stamp)
		})
		for range 2 {
			if got := m.cycle(srv)["ext_x"]; got != "1" {
				t.Errorf("%s: ext_x = %v\n%s", name, got, m.log)
			}
		}
		first, second := srv.requests[0].Header, srv.requests[1].Header
		if first.Get("If-Modified-Since")+first.Get("If-None-Match") != "" {
			t.Errorf("%s: conditions without a copy: %v", name, first)
		}
		if got := second.Get("If-Modified-Since"); got != stamp {
			t.Errorf("%s: If-Modified-Since %q, want %q", name, got, stamp)
		}
		if got := second.Get("If-None-Match"); got != `W/"a, b"` {
			t.Errorf("%s: If-None-Match %q", name, got)
		}
		if second.Get("Range") != "" {
			t.Errorf("%s: a range was asked for", name)
		}
	}
}

// TestChangedURLStartsAnew points the client elsewhere: what the old place said about its file
// decides nothing about the new one, be it older.
func TestChangedURLStartsAnew(t *testing.T) {
	t.Parallel()
	for _, kind := range serverKinds {
		a, b := newRazor(t, kind), newRazor(t, kind)
		m := newMachine(t, a, shFacter)
		a.publish(fact(t, "ext_x", "a"), t0)
		b.publish(fact(t, "ext_x", "b"), t0.Add(-time.Hour))
		m.cycle(a)
		m.set.Extend = b.URL + "/svc/mk/extension.zip"
		if got := m.cycle(a)["ext_x"]; got != "b" {
			t.Errorf("%s: ext_x = %v\n%s", kind, got, m.log)
		}
		if h := b.requests[0].Header; h.Get("If-Modified-Since")+h.Get("If-None-Match") != "" {
			t.Errorf("%s: the old place's validators went to the new one: %v", kind, h)
		}
	}
}

// TestOneFailureIsForgiven fails facts once, then twice in a row.
func TestOneFailureIsForgiven(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	runs, fail := filepath.Join(m.base, "runs"), filepath.Join(m.base, "fail")
	m.program("facter", "case \"$*\" in *external*) echo x >> "+runs+"; [ -f "+fail+" ] && exit 1 ;; esac\n"+shFacter)
	srv.publish(fact(t, "ext_x", "1"), t0)
	count := func() int {
		b, _ := os.ReadFile(runs)
		return strings.Count(string(b), "x")
	}
	expect := func(step string, fails bool, status string, ran bool) {
		t.Helper()
		os.Remove(fail)
		if fails {
			m.write("fail", "")
		}
		before := count()
		facts := m.cycle(srv)
		if facts["mk_extension_status"] != status || (count() > before) != ran {
			t.Errorf("%s: %v, ran %v; want %s, %v\n%s", step, facts["mk_extension_status"], count() > before, status, ran, m.log)
		}
	}
	expect("works", false, "active", true)
	expect("fails", true, "failed", true)
	expect("works again", false, "active", true)
	expect("fails after a success", true, "failed", true)
	expect("fails twice in a row", true, "failed", true)
	expect("is out of use", false, "failed", false)
	srv.publish(fact(t, "ext_x", "2"), t0.Add(time.Minute))
	expect("a new one", false, "active", true)
}

// fakeProc gives the machine's garbage collection a process file system of its own.
func (m *machine) fakeProc(meminfo string) {
	m.write("proc/meminfo", meminfo)
	m.ref.proc = filepath.Join(m.base, "proc")
}

// TestUseHoldsSixGenerationsAtMost has ten superseded generations in use.
func TestUseHoldsSixGenerationsAtMost(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	m.fakeProc("")
	for i := range 10 {
		name := fmt.Sprintf("g-%d", i)
		m.write("ext/"+name+"/bin/x", "x")
		dir := filepath.Join(m.opt.ExtensionRoot, name)
		m.write(fmt.Sprintf("proc/%d/environ", 100+i), "A=1\x00PATH="+dir+"/bin:/bin\x00")
		when := t0.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
	}
	m.cycle(srv)
	var names []string
	for _, d := range m.generations() {
		names = append(names, filepath.Base(d))
	}
	if got, want := strings.Join(names, " "), "g-4 g-5 g-6 g-7 g-8 g-9"; got != want {
		t.Errorf("left %s, want the newest: %s", got, want)
	}
}

// TestHalfOfTheMemoryAtMost unpacks 1 MiB where more or less than twice that is free.
func TestHalfOfTheMemoryAtMost(t *testing.T) {
	t.Parallel()
	for meminfo, fits := range map[string]bool{
		"MemTotal: 9999999 kB\nMemFree: 100 kB\nMemAvailable:    2200 kB\n":                       true,
		"MemTotal: 9999999 kB\nMemFree: 9999999 kB\nMemAvailable:    2000 kB\n":                   false,
		"MemTotal: 9999999 kB\nMemFree: 1100 kB\nBuffers: 1100 kB\nCached: 1 kB\n":                true,
		"MemTotal: 9999999 kB\nMemFree: 1000 kB\nBuffers: 1000 kB\nCached: 9999999 kB\n":          false,
		"MemTotal: 9999999 kB\nMemFree: 1 kB\nBuffers: 1 kB\nMemAvailable: 9999999999999999 kB\n": true,
	} {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, shFacter)
		m.fakeProc(meminfo)
		blob := make([]byte, 1<<20) // random enough for the limit on the ratio
		for i, x := 0, uint32(1); i < len(blob); i++ {
			x = x*1664525 + 1013904223
			blob[i] = byte(x>>24) & 0x0f
		}
		srv.publish(pack(t, member{"share/big", string(blob), 0o644}), t0)
		facts := m.cycle(srv)
		if (facts["mk_extension_status"] == "active") != fits {
			t.Errorf("%q: %v, %v", meminfo, facts["mk_extension_status"], facts["mk_extension_error"])
		}
	}
}

// TestLimitsAreNeverRaised keeps the configured limit where the memory would allow more.
func TestLimitsAreNeverRaised(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRazor(t, razorKind), shFacter)
	m.fakeProc("MemAvailable: 999999999 kB\n")
	if got, want := m.ref.limits(), m.opt.Limits; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	m.fakeProc("MemAvailable: 1 kB\n")
	if got := m.ref.limits().Total; got != 512 {
		t.Errorf("half of 1 KiB is %d", got)
	}
}

// TestHangingToolIsContained has lshw hang with a child: the check-in does not wait for it, nor
// does the next one run it again.
func TestHangingToolIsContained(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	pidFile := filepath.Join(m.base, "pid")
	m.program("lshw", "PATH=/usr/bin:/bin\nsleep 60 &\necho $! > "+pidFile+"\nwait")
	start := time.Now()
	for range 3 {
		m.cycle(srv)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %s", d)
	}
	if !strings.Contains(m.log.String(), "lshw "+errTimeout.Error()) {
		t.Errorf("log:\n%s", m.log)
	}
	if n := strings.Count(m.log.String(), "lshw"); n > 2 {
		t.Errorf("said %d times\n%s", n, m.log)
	}
	pid := readPID(t, pidFile)
	waitFor(t, func() bool { return !alive(pid) })
}
