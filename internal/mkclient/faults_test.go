package mkclient

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/settings"
)

// downloadFault is one reason why an extension is unavailable.
type downloadFault struct {
	name    string
	handler http.HandlerFunc // nil: the server publishes zip
	zip     []byte
}

// downloadFaults lists the faults of the transfer and of the archive.
func downloadFaults(t testing.TB) []downloadFault {
	good := string(textFact(t, "ext_x", "torn"))
	modified := map[string]string{"Last-Modified": t0.Add(time.Hour).Format(http.TimeFormat)}
	link := func(target string) []byte { return pack(t, member{"bin/l", target, 0o120777}) }
	return []downloadFault{
		{"404", standrazor.Respond(404, nil, `{"error":"No extension file configured"}`), nil},
		{"410", standrazor.Respond(410, nil, ""), nil},
		{"403", standrazor.Respond(403, nil, "no"), nil},
		{"500", standrazor.Respond(500, nil, "oops"), nil},
		{"503", standrazor.Respond(503, nil, "later"), nil},
		{"304 unasked", standrazor.Respond(304, nil, ""), nil},
		{"206", standrazor.Respond(206, modified, good[:10]), nil},
		{"200 with Content-Range", standrazor.Respond(200, map[string]string{"Content-Range": "bytes 0-9/100"}, good[:10]), nil},
		{"empty 200", standrazor.Respond(200, nil, ""), nil},
		{"garbage", standrazor.Respond(200, modified, "<html>It works!</html>"), nil},
		{"truncated archive", standrazor.Respond(200, modified, good[:len(good)/2]), nil},
		{"cut connection", standrazor.Raw("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + good), nil},
		{"length too small", standrazor.Raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + good), nil},
		{"no HTTP", standrazor.Raw("SSH-2.0-OpenSSH_9.2\r\n"), nil},
		{"closed at once", standrazor.Raw(""), nil},
		{"endless", standrazor.Endless, nil},
		{"huge", standrazor.Raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nPK"), nil},
		{"stalled, at last", standrazor.Stall, nil},
		{"slow, at last", standrazor.Drip, nil},
		{"no answer, at last", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil},
		{"redirect loop", standrazor.Respond(302, map[string]string{"Location": "/svc/mk/extension.zip"}, ""), nil},
		{"redirect to a file", standrazor.Respond(302, map[string]string{"Location": "file:///etc/passwd"}, ""), nil},
		{"redirect to nowhere", standrazor.Respond(302, nil, ""), nil},
		{"zip-slip", nil, pack(t, member{"bin/ok", "x", 0o755}, member{"../../evil", "x", 0o755})},
		{"absolute name", nil, pack(t, member{"/tmp/mk-evil", "x", 0o755})},
		{"backslash name", nil, pack(t, member{`bin\tool`, "x", 0o755})},
		{"absolute link", nil, link("/etc/passwd")},
		{"escaping link", nil, link("../../../../etc/passwd")},
		{"device", nil, pack(t, member{"bin/null", "", 0o020666})},
		{"fifo", nil, pack(t, member{"bin/fifo", "", 0o010666})},
		{"duplicate", nil, pack(t, member{"bin/a", "1", 0o755}, member{"bin/a", "2", 0o755})},
		{"bomb", nil, pack(t, member{"share/zeros", strings.Repeat("\x00", 8<<20), 0o644})},
		{"wrapping directory", nil, pack(t, member{"ext/facts.d/x.txt", "ext_x=wrapped\n", 0o644})},
		{"checksum", nil, corrupt(t)},
	}
}

// waits reports whether a fault runs into a timeout.
func (f downloadFault) waits() bool { return strings.HasSuffix(f.name, ", at last") }

// quickFaults are the faults without a timeout.
func quickFaults(t testing.TB) []downloadFault {
	return slices.DeleteFunc(downloadFaults(t), downloadFault.waits)
}

// corrupt makes an archive with a valid directory and one damaged member.
func corrupt(t testing.TB) []byte {
	b := pack(t, member{"facts.d/a.txt", "ext_x=half\n", 0o644}, member{"facts.d/b.txt", "b=2\n", 0o644})
	at := strings.LastIndex(string(b), "PK\x01\x02")
	b[at+16] ^= 0xff
	return b
}

// quietFaults leave no error in the facts: no extension is a normal state.
var quietFaults = map[string]bool{"404": true, "410": true}

// withPrevious runs a test without an extension and with a good one.
func withPrevious(t *testing.T, test func(t *testing.T, previous bool)) {
	t.Run("no previous", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("previous good", func(t *testing.T) { t.Parallel(); test(t, true) })
}

func TestFault_Download(t *testing.T) {
	t.Parallel()
	for _, f := range downloadFaults(t) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			withPrevious(t, func(t *testing.T, previous bool) {
				srv, m := bootOn(t, standrazor.Razor, facters.Shell, func(o *Options, _ *settings.Settings) {
					if f.waits() {
						o.Timeouts.Header, o.Timeouts.Stall, o.Timeouts.Download = 2*time.Second, 700*time.Millisecond, 3*time.Second
					}
				})
				if previous {
					srv.Publish(textFact(t, "ext_x", "good"), t0)
					for tries := 0; m.cycle(srv)["ext_x"] != "good" && tries < 5; tries++ { // a loaded machine may miss a timeout
					}
				}
				srv.Publish(f.zip, t0.Add(time.Hour))
				srv.SetFault(f.handler)
				outside := m.outside()
				first, second := m.cycle(srv), m.cycle(srv)
				if fmt.Sprint(first) != fmt.Sprint(second) {
					t.Errorf("facts changed between check-ins:\n%v\n%v", first, second)
				}
				checkFault(t, m, f, previous, second)
				if after := m.outside(); !slices.Equal(after, outside) {
					t.Errorf("something escaped: %q, had %q", after, outside)
				}
			})
		})
	}
}

// outside lists everything of the machine outside the extension's root.
func (m *machine) outside() []string {
	m.t.Helper()
	return slices.DeleteFunc(listing(m.t, m.base), func(p string) bool {
		return p == m.opt.ExtensionDir || strings.HasPrefix(p, m.opt.ExtensionDir+"/")
	})
}

// checkFault checks the check-in after a fault and that the fault leaves nothing.
func checkFault(t *testing.T, m *machine, f downloadFault, previous bool, got facts.Facts) {
	t.Helper()
	var want any
	dirs := 0
	if previous {
		want, dirs = "good", 1
	}
	if got["ext_x"] != want {
		t.Errorf("ext_x = %v, want %v", got["ext_x"], want)
	}
	silent := quietFaults[f.name] || previous && (f.name == "empty 200" || f.name == "304 unasked")
	if text := got["mk_extension_error"]; (text == "") != silent {
		t.Errorf("mk_extension_error = %q", text)
	}
	entries, _ := os.ReadDir(m.opt.ExtensionDir)
	if n := len(m.generations()); n != dirs || len(entries) > dirs+2 {
		t.Errorf("%d generations, want %d; root has %v", n, dirs, entries)
	}
	if _, err := os.Stat("/tmp/mk-evil"); err == nil {
		t.Error("an absolute name was written")
	}
}

func TestFault_Unreachable(t *testing.T) {
	t.Parallel()
	withPrevious(t, func(t *testing.T, previous bool) {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		srv.Publish(textFact(t, "ext_x", "good"), t0)
		var want any
		if previous {
			want = m.cycle(srv)["ext_x"]
		}
		m.set.Extend = "http://127.0.0.1:1/svc/mk/extension.zip"
		m.wants(srv, facts.Facts{"mk_extension_error": "the server is unreachable", "ext_x": want})
	})
}

func TestFault_FullDisk(t *testing.T) {
	t.Parallel()
	withPrevious(t, func(t *testing.T, previous bool) {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		root := m.opt.ExtensionDir
		testkit.Must(t, os.Mkdir(root, 0o700))
		if err := syscall.Mount("none", root, "tmpfs", 0, "size=128k,mode=700"); err != nil {
			if errors.Is(err, syscall.EPERM) {
				t.Skip("a small file system needs root")
			}
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Unmount(root, syscall.MNT_DETACH) })
		var want any
		if previous {
			srv.Publish(textFact(t, "ext_x", "good"), t0)
			want = m.cycle(srv)["ext_x"]
		}
		srv.Publish(pack(t, member{"share/big", strings.Repeat("0123456789abcdef", 16<<10), 0o644}), t0.Add(time.Hour))
		m.wants(srv, facts.Facts{"mk_extension_error": "no space left to unpack it", "ext_x": want})
		srv.Publish(textFact(t, "ext_x", "small"), t0.Add(2*time.Hour))
		m.wants(srv, facts.Facts{"ext_x": "small"}) // the space is freed
	})
}

// facterFault is a Facter with a fault; ok is true if its facts are still usable.
type facterFault struct {
	name, script string
	ok           bool
}

func facterFaults() []facterFault {
	version := "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\n"
	return []facterFault{
		{"missing", "", false},
		{"hanging", version + "sleep 60 & sleep 60", false},
		{"hanging at --version", "sleep 60", false},
		{"reading stdin", version + "cat >/dev/null\necho '{\"own\":\"1\"}'", true},
		{"noise before", version + "echo hello\necho '{broken'\necho '{\"own\":\"1\"}'", true},
		{"noise behind", version + "echo '{\"own\":\"1\"}'\necho bye\necho '{}'", true},
		{"noise on the line", version + "printf hello\necho '{\"own\":\"1\"}'", true},
		{"JSON noise", version + "many='{\"k0\":0'\ni=1\nwhile [ $i -lt 400 ]; do many=\"$many,\\\"k$i\\\":$i\"; i=$((i+1)); done\n" +
			"echo \"$many}\"\necho '{\"own\":\"1\",\"facterversion\":\"2.5.7\"}'\necho \"$many}\"", true},
		{"exit 1 with good JSON", version + "echo '{\"own\":\"1\"}'\nexit 1", true},
		{"exit 5 without JSON", version + "exit 5", false},
		{"killed", version + "kill -9 $$", false},
		{"half of the JSON", version + "echo '{\"own\":\"1\",'", false},
		{"exit 0 with garbage", version + "echo Segmentation fault", false},
		{"endless output", version + "yes", false},
		{"no version", "echo unknown", false},
		{"background child", version + "sleep 30 &\necho '{\"own\":\"1\"}'", true},
	}
}

func TestFault_Facter(t *testing.T) {
	t.Parallel()
	for _, f := range facterFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			withPrevious(t, func(t *testing.T, previous bool) {
				srv, m := bootOn(t, standrazor.Razor, facters.Shell)
				want := facts.Facts{"macaddress": "52:54:00:00:00:01"} // otherwise the server cannot identify the node
				if previous {
					srv.Publish(textFact(t, "ext_x", "good"), t0)
					m.cycle(srv)
				}
				if os.Remove(filepath.Join(m.bin, "facter")); f.script != "" {
					m.program("facter", f.script)
				}
				if previous && !f.ok { // a fault of Facter, not of the extension
					want["ext_x"], want["mk_extension_status"] = "good", "active"
				}
				if f.ok {
					want["own"] = "1"
				}
				if !f.ok { // some end only with the timeout
					m.factTimeout(1500 * time.Millisecond)
				}
				m.wants(srv, want)
			})
		})
	}
}

// TestFault_BadFacts publishes extensions that unpack well and break Facter.
func TestFault_BadFacts(t *testing.T) {
	t.Parallel()
	for name, code := range badFacts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withPrevious(t, func(t *testing.T, previous bool) {
				srv, m := bootOn(t, standrazor.Razor, facters.All(t)[2].Script)
				want := facts.Facts{"mk_extension_status": "failed", "ext_x": nil, "facterversion": "2.5.7"}
				if previous {
					srv.Publish(textFact(t, "ext_x", "good"), t0)
					m.cycle(srv)
					want["mk_extension_status"], want["ext_x"] = "fallback", "good"
				}
				srv.Publish(pack(t, member{"lib/ruby/facter/bad.rb", code, 0o644}), t0.Add(time.Minute))
				if name == "hang" {
					m.factTimeout(8 * time.Second)
				}
				first := m.wants(srv, want)
				if second := m.wants(srv, want); fmt.Sprint(first) != fmt.Sprint(second) || first["mk_extension_error"] == "" {
					t.Errorf("facts changed between check-ins:\n%v\n%v", first, second)
				}
				if strikes := m.memory().Generations[0].Strikes; strikes != 2 {
					t.Errorf("%d strikes", strikes)
				}
				m.factTimeout(time.Minute)
				m.wants(srv, want) // without running it again
				srv.Publish(textFact(t, "ext_x", "fixed"), t0.Add(2*time.Minute))
				m.wants(srv, facts.Facts{"ext_x": "fixed", "mk_extension_status": "active", "mk_extension_error": ""})
			})
		})
	}
}

// badFacts are Ruby files that crash Facter 1.7 and 2.
func badFacts() map[string]string {
	return map[string]string{
		"raise at file level": "raise 'no'\n",
		"exit":                "exit 5\n",
		"hang":                "sleep 60\n",
	}
}
