package mkclient

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

// The tests in this file and its neighbours are named for the requirements E01–E36 of
// docs/runtime.md, which lists them.

func TestE01_ExtensionFactsAreInTheSamePost(t *testing.T) {
	t.Parallel()
	eachFlavour(t, func(t *testing.T, script string) {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, script)
		srv.publish(pack(t, member{"facts.d/x.txt", "ext_x=1\n", 0o644},
			member{"lib/ruby/facter/y.rb", "Facter.add(:ext_y) { setcode { 'two' } }\n", 0o644}), t0)
		facts := m.cycle(srv)
		if facts["ext_x"] != "1" || facts["ext_y"] != "two" || facts["facterversion"] == nil {
			t.Errorf("ext_x=%v ext_y=%v facterversion=%v\n%s", facts["ext_x"], facts["ext_y"], facts["facterversion"], m.log)
		}
		if got := facts["mk_extension_facts"]; got != "ext_x,ext_y" {
			t.Errorf("mk_extension_facts = %v", got)
		}
	})
}

func TestE03_RequestsNameNoNode(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	srv.publish(fact(t, "ext_x", "1"), t0)
	a, b := newMachine(t, srv, shFacter), newMachine(t, srv, shFacter)
	b.write("root/sys/class/net/eth0/address", "52:54:00:00:00:02\n")
	a.cycle(srv)
	b.cycle(srv)
	if x, y := srv.requests[0], srv.requests[1]; !reflect.DeepEqual(x.Header, y.Header) || x.URL.String() != y.URL.String() {
		t.Errorf("requests differ:\n%v %v\n%v %v", x.URL, x.Header, y.URL, y.Header)
	}
	if x, y := a.ref.state.Generations[0].SHA256, b.ref.state.Generations[0].SHA256; x != y {
		t.Errorf("contents differ: %s, %s", x, y)
	}
}

func TestE05_UnpackThenCollectThenPost(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	events := filepath.Join(m.base, "events")
	record := func(e string) {
		f, err := os.OpenFile(events, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprintln(f, e)
			f.Close()
		}
	}
	script := "#!/bin/sh\n[ -f \"$(dirname \"$0\")/data.txt\" ] && echo collect >> " + events + "\n"
	ext := pack(t, member{"facts.d/x", script, 0o755}, member{"facts.d/data.txt", "a=b\n", 0o644})
	srv.setFault(func(w http.ResponseWriter, r *http.Request) {
		record("get")
		srv.conditional(w, r, ext, t0.Format(http.TimeFormat))
	})
	srv.answer = func(post) string { record("post"); return "none" }
	m.cycle(srv)
	m.cycle(srv)
	b, _ := os.ReadFile(events)
	if got, want := strings.Fields(string(b)), "get collect post get collect post"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestE06_EveryCheckinFollowsOneRetrieval(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	for _, status := range []int{0, 404, 500, 0, 503, 0} {
		srv.publish(fact(t, "ext_x", "1"), t0)
		srv.setFault(nil)
		if status != 0 {
			srv.setFault(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		}
		m.cycle(srv)
	}
	if got, want := strings.Join(srv.events, " "), strings.TrimSpace(strings.Repeat("GET POST ", 6)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestE07_RunningClientUsesNewExtension(t *testing.T) {
	t.Parallel()
	for _, kind := range serverKinds {
		srv := newRazor(t, kind)
		m := newMachine(t, srv, shFacter)
		if got := m.cycle(srv)["ext_x"]; got != nil {
			t.Fatalf("%s: ext_x = %v before anything was published", kind, got)
		}
		for i, want := range []string{"one", "two", "three"} {
			srv.publish(fact(t, "ext_x", want), t0.Add(time.Duration(i)*time.Second))
			if got := m.cycle(srv)["ext_x"]; got != want {
				t.Errorf("%s: ext_x = %v, want %s\n%s", kind, got, want, m.log)
			}
		}
	}
}

// clocks are what a machine's own clock may say.
var clocks = map[string]time.Time{"1970": time.Unix(60, 0), "2038": time.Unix(1<<31, 0)}

func TestE08_NewerTimestampIsFetchedWhateverTheClock(t *testing.T) {
	t.Parallel()
	for name, clock := range clocks {
		for _, kind := range serverKinds {
			srv := newRazor(t, kind)
			m := newMachine(t, srv, shFacter, func(o *Options, _ *Settings) { o.Now = func() time.Time { return clock } })
			srv.publish(fact(t, "ext_x", "1"), t0)
			m.cycle(srv)
			first := m.generation()
			srv.publish(fact(t, "ext_x", "2"), t0.Add(time.Second))
			if got := m.cycle(srv)["ext_x"]; got != "2" || m.generation() == first {
				t.Errorf("%s, clock %s: ext_x = %v", kind, name, got)
			}
		}
	}
}

func TestE09_NeverDownloadedIsFetchedWhateverItsTimestamp(t *testing.T) {
	t.Parallel()
	statuses := map[string]http.HandlerFunc{
		"404":       func(w http.ResponseWriter, r *http.Request) { http.Error(w, "{}", 404) },
		"500":       func(w http.ResponseWriter, r *http.Request) { http.Error(w, "{}", 500) },
		"empty 200": func(http.ResponseWriter, *http.Request) {},
		"garbage": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			fmt.Fprint(w, "<html>")
		},
	}
	for _, kind := range serverKinds {
		srv := newRazor(t, kind)
		m := newMachine(t, srv, shFacter)
		for name, h := range statuses {
			srv.setFault(h)
			if got := m.cycle(srv)["ext_x"]; got != nil {
				t.Fatalf("%s after %s: ext_x = %v", kind, name, got)
			}
		}
		srv.setFault(nil)
		srv.publish(fact(t, "ext_x", "old"), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC))
		if got := m.cycle(srv)["ext_x"]; got != "old" {
			t.Errorf("%s: ext_x = %v\n%s", kind, got, m.log)
		}
	}
}

func TestE10_NotNewerIsNotUnpackedAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range serverKinds {
		for _, step := range []time.Duration{0, -time.Hour} {
			srv := newRazor(t, kind)
			m := newMachine(t, srv, shFacter)
			srv.publish(fact(t, "ext_x", "1"), t0)
			m.cycle(srv)
			first := m.generation()
			if step != 0 {
				srv.publish(fact(t, "ext_x", "rolled back"), t0.Add(step))
			}
			for range 3 {
				if got := m.cycle(srv)["ext_x"]; got != "1" || m.generation() != first {
					t.Errorf("%s, %v: ext_x = %v in %s, was in %s", kind, step, got, m.generation(), first)
				}
			}
			if n := strings.Count(m.log.String(), "rolled back?"); step != 0 && kind != rfcKind && n != 1 {
				t.Errorf("%s: the older copy was logged %d times", kind, n)
			}
		}
	}
}

func TestE11_OldAndNewNeverMix(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(fact(t, "ext_a", "1"), t0)
	m.cycle(srv)
	srv.publish(fact(t, "ext_b", "2"), t0.Add(time.Minute))
	facts := m.cycle(srv)
	if facts["ext_a"] != nil || facts["ext_b"] != "2" {
		t.Errorf("ext_a = %v, ext_b = %v", facts["ext_a"], facts["ext_b"])
	}
	if _, err := os.Stat(filepath.Join(m.generation(), "facts.d/ext_a.txt")); err == nil {
		t.Error("a file of the old generation is in the new one")
	}
}

func TestE12_ExtensionIsNotPersistent(t *testing.T) {
	t.Parallel()
	if DefaultExtensionRoot != "/tmp/mk-extension" {
		t.Errorf("%s may not be on the RAM file system", DefaultExtensionRoot)
	}
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	before := listing(t, m.base)
	srv.publish(fact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	if m.generation() == "" {
		t.Fatal("no generation")
	}
	if err := os.RemoveAll(m.opt.ExtensionRoot); err != nil { // a reboot
		t.Fatal(err)
	}
	if after := listing(t, m.base); !reflect.DeepEqual(before, after) {
		t.Errorf("left behind outside the extension's root: %q, had %q", after, before)
	}
	srv.publish(nil, t0)
	if got := m.cycle(srv); got["ext_x"] != nil || got["mk_extension_status"] != "none" {
		t.Errorf("after a reboot: %v, %v", got["ext_x"], got["mk_extension_status"])
	}
}

// listing names everything below dir.
func listing(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		names = append(names, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestE13_LocalEditsVanishWithANewExtension(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(fact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	os.WriteFile(filepath.Join(m.generation(), "facts.d/marker.txt"), []byte("marker=1\n"), 0o644)
	if m.cycle(srv)["marker"] != "1" {
		t.Fatal("the edit has no effect: the test proves nothing")
	}
	srv.publish(fact(t, "ext_x", "1"), t0.Add(time.Minute)) // the same content, touched
	if got := m.cycle(srv)["marker"]; got != nil {
		t.Errorf("marker = %v after a new extension", got)
	}
}

func TestE14_IdleCyclesEraseNothing(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(fact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	marker := filepath.Join(m.generation(), "marker")
	os.WriteFile(marker, nil, 0o644)
	for range 5 {
		m.cycle(srv)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Error(err)
	}
}

func TestE15_BinIsInPath(t *testing.T) {
	t.Parallel()
	script := flavours(t)[2].script
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, script)
	srv.publish(pack(t, member{"bin/ext-tool", "#!/bin/sh\necho from-tool\n", 0o755},
		member{"facts.d/x", "#!/bin/sh\necho ext_tool=$(sh -c ext-tool)\necho ext_path=$PATH\n", 0o755}), t0)
	facts := m.cycle(srv)
	path, _ := facts["ext_path"].(string)
	if facts["ext_tool"] != "from-tool" || !strings.HasPrefix(path, m.generation()+"/bin:") {
		t.Errorf("ext_tool = %v, ext_path = %v\n%s", facts["ext_tool"], path, m.log)
	}
}

func TestE16_LibIsInLibraryPath(t *testing.T) {
	t.Parallel()
	cc := testkit.Tool(t, "cc")
	dir := t.TempDir()
	write := func(name, body string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	lib := write("lib.c", "const char *answer(void) { return \"ext_elf=from-library\"; }\n")
	prog := write("prog.c", "#include <stdio.h>\nconst char *answer(void);\nint main(void) { puts(answer()); return 0; }\n")
	testkit.Run(t, cc, "-shared", "-fPIC", "-o", filepath.Join(dir, "libext.so"), lib)
	testkit.Run(t, cc, "-o", filepath.Join(dir, "prog"), prog, "-L"+dir, "-lext")
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(pack(t, member{"facts.d/elf", read("prog"), 0o755}, member{"lib/libext.so", read("libext.so"), 0o644}), t0)
	if got := m.cycle(srv)["ext_elf"]; got != "from-library" {
		t.Errorf("ext_elf = %v\n%s", got, m.log)
	}
}

func TestE17_LibRubyIsInRubylib(t *testing.T) {
	t.Parallel()
	script := flavours(t)[2].script
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, script)
	srv.publish(pack(t, member{"lib/ruby/site_helper.rb", "SITE = 'helped'\n", 0o644},
		member{"lib/ruby/facter/z.rb", "require 'site_helper'\nFacter.add(:ext_site) { setcode { SITE } }\n", 0o644}), t0)
	if got := m.cycle(srv)["ext_site"]; got != "helped" {
		t.Errorf("ext_site = %v\n%s", got, m.log)
	}
}

func TestE18_FactsDInAllFourKinds(t *testing.T) {
	t.Parallel()
	eachFlavour(t, func(t *testing.T, script string) {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, script)
		srv.publish(pack(t, member{"facts.d/a.txt", "ext_txt=t\n", 0o644}, member{"facts.d/b.json", `{"ext_json":"j"}`, 0o644},
			member{"facts.d/c.yaml", "ext_yaml: y\n", 0o644}, member{"facts.d/d.sh", "#!/bin/sh\necho ext_exec=e\n", 0o755},
			member{"facts.d/.hidden.txt", "ext_hidden=1\n", 0o644}, member{"facts.d/sub/e.txt", "ext_sub=1\n", 0o644},
			member{"facts.d/f.yml", "ext_yml: 1\n", 0o644}, member{"facts.d/g.exe", "#!/bin/sh\necho ext_exe=1\n", 0o755}), t0)
		facts := m.cycle(srv)
		for name, want := range map[string]any{"ext_txt": "t", "ext_json": "j", "ext_yaml": "y", "ext_exec": "e",
			"ext_hidden": nil, "ext_sub": nil, "ext_yml": nil, "ext_exe": nil} {
			if facts[name] != want {
				t.Errorf("%s = %v, want %v\n%s", name, facts[name], want, m.log)
			}
		}
	})
}
