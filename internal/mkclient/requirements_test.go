package mkclient

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/e2e/testkit/standrazor"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/generations"
	"mkbuild/internal/mkclient/settings"
	server "mkbuild/internal/razor"
)

// What the description of the extension mechanism promises to users: docs/runtime.md lists the tests E01 to
// E36 of this file, and has each requirement from the comment of its test.

// A fact that only the extension defines is in the same check-in as Facter's own.
func TestE01_ExtensionFactsAreInTheSamePost(t *testing.T) {
	t.Parallel()
	facters.Each(t, func(t *testing.T, script string) {
		srv, m := bootOn(t, standrazor.Razor, script)
		srv.Publish(pack(t, member{"facts.d/x.txt", "ext_x=1\n", 0o644}, fact("lib/ruby/facter/y.rb", "ext_y", "'two'")), t0)
		got := m.wants(srv, facts.Facts{"ext_x": "1", "ext_y": "two", "mk_extension_facts": "ext_x,ext_y"})
		if got["facterversion"] == nil {
			t.Errorf("Facter's own facts are missing\n%s", m.log)
		}
	})
}

// fact is a Ruby file that defines a fact.
func fact(path, name, code string) member {
	return member{path, "Facter.add(:" + name + ") { setcode { " + code + " } }\n", 0o644}
}

// withServer makes a machine that checks in with the project's own server, which has the given
// files: config.yaml and rules.yaml. EXT in them stands for the path of an extension, which is
// not there yet.
func withServer(t *testing.T, config, rules string) (m *machine, zip string) {
	t.Helper()
	dir := t.TempDir()
	zip = filepath.Join(dir, "mk-extension.zip")
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		testkit.WriteFile(t, p, strings.ReplaceAll(text, "EXT", zip), 0o644)
		return p
	}
	cfg, err := server.LoadConfig(file("config.yaml", config), "production")
	testkit.Must(t, err)
	s, err := server.New(server.Options{
		Config: cfg, RulesFile: file("rules.yaml", rules), DataDir: filepath.Join(dir, "data"),
	})
	testkit.Must(t, err)
	web := httptest.NewServer(s.Handler(nil))
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	m = newMachine(t, &standrazor.Server{Server: web}, facters.Shell)
	m.set.Register, m.set.Server = "", web.URL
	return m, zip
}

// place puts an extension where a server finds it.
func place(t *testing.T, file string, ext []byte, mtime time.Time) {
	t.Helper()
	tmp := file + ".new"
	err := errors.Join(os.WriteFile(tmp, ext, 0o644), os.Chtimes(tmp, mtime, mtime), os.Rename(tmp, file))
	testkit.Must(t, err)
}

// That fact can drive a rule whose policy makes the machine reboot.
func TestE02_ExtensionFactDrivesReboot(t *testing.T) {
	t.Parallel()
	m, ext := withServer(t, "all:\n  microkernel:\n    extension-zip: EXT\n", `
tags:
- name: web
  rule: ["=", ["fact", "ext_role", "none"], "web"]
policies:
- {name: web, repo: r, task: t, broker: noop, tags: [web], max_count: 5}
`)
	marker := filepath.Join(m.base, "rebooted")
	os.Chmod(m.write("root/usr/lib/razor/reboot", "#!/bin/sh\n: > "+marker+"\n"), 0o755)
	for i, role := range []string{"", "database", "web"} {
		if role != "" {
			place(t, ext, textFact(t, "ext_role", role), t0.Add(time.Duration(i)*time.Second))
		}
		testkit.Must(t, m.Cycle(t.Context()))
		if _, err := os.Stat(marker); (err == nil) != (role == "web") {
			t.Errorf("role %q: %v\n%s", role, err, m.log)
		}
	}
}

// Requests for the extension name no node, and all nodes get the same bytes.
func TestE03_RequestsNameNoNode(t *testing.T) {
	srv, a := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	b := newMachine(t, srv, facters.Shell)
	b.write("root/sys/class/net/eth0/address", "52:54:00:00:00:02\n")
	first, second := a.cycle(srv), b.cycle(srv)
	if x, y := srv.Requests[0], srv.Requests[1]; !reflect.DeepEqual(x.Header, y.Header) || x.URL.String() != y.URL.String() {
		t.Errorf("requests differ:\n%v %v\n%v %v", x.URL, x.Header, y.URL, y.Header)
	}
	if x, y := first["mk_extension_sha256"], second["mk_extension_sha256"]; x != y || x == "" {
		t.Errorf("contents differ: %s, %s", x, y)
	}
}

// The file that `microkernel.extension-zip` names is what clients get.
func TestE04_ConfiguredFileIsWhatClientsGet(t *testing.T) {
	t.Parallel()
	const named = "microkernel:\n    extension-zip: EXT\n"
	for config, want := range map[string]any{
		"all:\n  " + named: "from the file",
		"all:\n  microkernel:\n    extension-zip: EXT.other\nproduction:\n  " + named:       "from the file",
		"all:\n  " + named + "development:\n  microkernel:\n    extension-zip: EXT.other\n": "from the file",
		"all:\n  microkernel:\n    extension-zip: EXT.other\n":                              nil,
		"all:\n  match_nodes_on: [mac]\n":                                                   nil,
	} {
		m, ext := withServer(t, config, "tags: []\n")
		b := textFact(t, "ext_x", "from the file")
		place(t, ext, b, t0)
		testkit.Must(t, m.Cycle(t.Context()))
		col, err := m.Collect(t.Context())
		if err != nil || col.Facts["ext_x"] != want {
			t.Errorf("%s: ext_x = %v, %v\n%s", config, col.Facts["ext_x"], err, m.log)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(b)); want != nil && col.Facts["mk_extension_sha256"] != sum {
			t.Errorf("got the bytes of %v, want %s", col.Facts["mk_extension_sha256"], sum)
		}
	}
}

// Unpacking comes before collecting, and that before the check-in, in every cycle.
func TestE05_UnpackThenCollectThenPost(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	events := m.write("events", "")
	record := func(e string) {
		f, err := os.OpenFile(events, os.O_APPEND|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprintln(f, e)
			f.Close()
		}
	}
	script := "#!/bin/sh\n[ -f \"$(dirname \"$0\")/data.txt\" ] && echo collect >> " + events + "\n"
	ext := pack(t, member{"facts.d/x", script, 0o755}, member{"facts.d/data.txt", "a=b\n", 0o644})
	srv.SetFault(func(w http.ResponseWriter, r *http.Request) {
		record("get")
		srv.Conditional(w, r, ext, t0.Format(http.TimeFormat))
	})
	srv.Answer = func(standrazor.Post) string { record("post"); return "none" }
	m.cycle(srv)
	m.cycle(srv)
	b, _ := os.ReadFile(events)
	if got, want := strings.Fields(string(b)), "get collect post get collect post"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// One retrieval attempt comes before each check-in, after failures too.
func TestE06_EveryCheckinFollowsOneRetrieval(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	for _, status := range []int{0, 404, 500, 0, 503, 0} {
		srv.Publish(textFact(t, "ext_x", "1"), t0)
		srv.SetFault(nil)
		if status != 0 {
			srv.SetFault(standrazor.Respond(status, nil, ""))
		}
		m.cycle(srv)
	}
	if got, want := strings.Join(srv.Events, " "), strings.TrimSpace(strings.Repeat("GET POST ", 6)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A client that runs already uses a new extension at its next check-in.
func TestE07_RunningClientUsesNewExtension(t *testing.T) {
	t.Parallel()
	for _, kind := range standrazor.Kinds {
		srv, m := bootOn(t, kind, facters.Shell)
		m.wants(srv, facts.Facts{"ext_x": nil})
		for i, want := range []string{"one", "two", "three"} {
			srv.Publish(textFact(t, "ext_x", want), t0.Add(time.Duration(i)*time.Second))
			m.wants(srv, facts.Facts{"ext_x": want})
		}
	}
}

// clocks are what a machine's own clock may say.
var clocks = map[string]time.Time{"1970": time.Unix(60, 0), "2038": time.Unix(1<<31, 0)}

// A server timestamp newer than the downloaded copy's is fetched, whatever the local clock says.
func TestE08_NewerTimestampIsFetchedWhateverTheClock(t *testing.T) {
	t.Parallel()
	for name, clock := range clocks {
		for _, kind := range standrazor.Kinds {
			srv, m := bootOn(t, kind, facters.Shell, func(o *Options, _ *settings.Settings) { o.Now = func() time.Time { return clock } })
			srv.Publish(textFact(t, "ext_x", "1"), t0)
			m.cycle(srv)
			first := m.generation()
			srv.Publish(textFact(t, "ext_x", "2"), t0.Add(time.Second))
			if m.wants(srv, facts.Facts{"ext_x": "2"}); m.generation() == first {
				t.Errorf("%s, clock %s: the same directory", kind, name)
			}
		}
	}
}

// Without a downloaded copy the extension is fetched whatever its timestamp.
func TestE09_NeverDownloadedIsFetchedWhateverItsTimestamp(t *testing.T) {
	t.Parallel()
	now := map[string]string{"Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
	for _, kind := range standrazor.Kinds {
		srv, m := bootOn(t, kind, facters.Shell)
		for _, fault := range []http.HandlerFunc{standrazor.Respond(404, nil, "{}"), standrazor.Respond(500, nil, "{}"), standrazor.Respond(200, nil, ""), standrazor.Respond(200, now, "<html>")} {
			srv.SetFault(fault)
			m.wants(srv, facts.Facts{"ext_x": nil})
		}
		srv.SetFault(nil)
		srv.Publish(textFact(t, "ext_x", "old"), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC))
		m.wants(srv, facts.Facts{"ext_x": "old"})
	}
}

// What is not newer is not unpacked again.
func TestE10_NotNewerIsNotUnpackedAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range standrazor.Kinds {
		for _, step := range []time.Duration{0, -time.Hour} {
			srv, m := bootOn(t, kind, facters.Shell)
			srv.Publish(textFact(t, "ext_x", "1"), t0)
			m.cycle(srv)
			first := m.generation()
			if step != 0 {
				srv.Publish(textFact(t, "ext_x", "rolled back"), t0.Add(step))
			}
			for range 3 {
				if m.wants(srv, facts.Facts{"ext_x": "1"}); m.generation() != first {
					t.Errorf("%s, %v: in %s, was in %s", kind, step, m.generation(), first)
				}
			}
			if n := strings.Count(m.log.String(), "rolled back?"); step != 0 && kind != standrazor.RFC && n != 1 {
				t.Errorf("%s: the older copy was logged %d times", kind, n)
			}
		}
	}
}

// Content goes to a new directory; old and new never mix.
func TestE11_OldAndNewNeverMix(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_a", "1"), t0)
	m.cycle(srv)
	srv.Publish(textFact(t, "ext_b", "2"), t0.Add(time.Minute))
	m.wants(srv, facts.Facts{"ext_a": nil, "ext_b": "2"})
	if _, err := os.Stat(filepath.Join(m.generation(), "facts.d/ext_a.txt")); err == nil {
		t.Error("a file of the old generation is in the new one")
	}
}

// The directory does not outlive the running image.
func TestE12_ExtensionIsNotPersistent(t *testing.T) {
	if generations.DefaultDir != "/tmp/mk-extension" {
		t.Errorf("%s may not be on the RAM file system", generations.DefaultDir)
	}
	srv, m := boot(t, facters.Shell)
	before := listing(t, m.base)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	if m.generation() == "" {
		t.Fatal("no generation")
	}
	if err := os.RemoveAll(m.opt.ExtensionDir); err != nil { // a reboot
		t.Fatal(err)
	}
	if after := listing(t, m.base); !reflect.DeepEqual(before, after) {
		t.Errorf("left behind outside the extension's root: %q, had %q", after, before)
	}
	srv.Publish(nil, t0)
	m.wants(srv, facts.Facts{"ext_x": nil, "mk_extension_status": "none"})
}

// listing names everything below dir.
func listing(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		names = append(names, p)
		return err
	})
	testkit.Must(t, err)
	return names
}

// Local edits in it vanish when a new extension arrives.
func TestE13_LocalEditsVanishWithANewExtension(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	testkit.WriteFile(t, filepath.Join(m.generation(), "facts.d/marker.txt"), "marker=1\n", 0o644)
	m.wants(srv, facts.Facts{"marker": "1"})
	srv.Publish(textFact(t, "ext_x", "1"), t0.Add(time.Minute)) // the same content, touched
	m.wants(srv, facts.Facts{"marker": nil})
}

// It is not erased by a cycle that brought nothing new.
func TestE14_IdleCyclesEraseNothing(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.cycle(srv)
	marker := filepath.Join(m.generation(), "marker")
	testkit.WriteFile(t, marker, "", 0o644)
	for range 5 {
		m.cycle(srv)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Error(err)
	}
}

// `bin` is in PATH for facts and all their children.
func TestE15_BinIsInPath(t *testing.T) {
	srv, m := boot(t, facters.All(t)[2].Script)
	srv.Publish(pack(t, member{"bin/ext-tool", "#!/bin/sh\necho from-tool\n", 0o755},
		member{"facts.d/x", "#!/bin/sh\necho ext_tool=$(sh -c ext-tool)\necho ext_path=$PATH\n", 0o755}), t0)
	path, _ := m.wants(srv, facts.Facts{"ext_tool": "from-tool"})["ext_path"].(string)
	if !strings.HasPrefix(path, m.generation()+"/bin:") {
		t.Errorf("ext_path = %v\n%s", path, m.log)
	}
}

// compile makes a program or a library out of C, and returns it as the content of a member.
func compile(t *testing.T, dir, out, source string, args ...string) string {
	t.Helper()
	src := filepath.Join(dir, out+".c")
	testkit.WriteFile(t, src, source, 0o644)
	testkit.Run(t, testkit.Tool(t, "cc"), append([]string{"-o", filepath.Join(dir, out), src}, args...)...)
	b, err := os.ReadFile(filepath.Join(dir, out))
	testkit.Must(t, err)
	return string(b)
}

// `lib` is in LD_LIBRARY_PATH.
func TestE16_LibIsInLibraryPath(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	dir := t.TempDir()
	lib := compile(t, dir, "libext.so", "const char *answer(void) { return \"ext_elf=from-library\"; }\n", "-shared", "-fPIC")
	prog := compile(t, dir, "prog", "#include <stdio.h>\nconst char *answer(void);\nint main(void) { puts(answer()); return 0; }\n", "-L"+dir, "-lext")
	srv.Publish(pack(t, member{"facts.d/elf", prog, 0o755}, member{"lib/libext.so", lib, 0o644}), t0)
	m.wants(srv, facts.Facts{"ext_elf": "from-library"})
}

// `lib/ruby` is in RUBYLIB.
func TestE17_LibRubyIsInRubylib(t *testing.T) {
	srv, m := boot(t, facters.All(t)[2].Script)
	srv.Publish(pack(t, member{"lib/ruby/site_helper.rb", "SITE = 'helped'\n", 0o644},
		member{"lib/ruby/facter/z.rb", "require 'site_helper'\nFacter.add(:ext_site) { setcode { SITE } }\n", 0o644}), t0)
	m.wants(srv, facts.Facts{"ext_site": "helped"})
}

// `facts.d` gives external facts: .txt, .json, .yaml and executables.
func TestE18_FactsDInAllFourKinds(t *testing.T) {
	t.Parallel()
	facters.Each(t, func(t *testing.T, script string) {
		srv, m := bootOn(t, standrazor.Razor, script)
		srv.Publish(pack(t, member{"facts.d/a.txt", "ext_txt=t\n", 0o644}, member{"facts.d/b.json", `{"ext_json":"j"}`, 0o644},
			member{"facts.d/c.yaml", "ext_yaml: y\n", 0o644}, member{"facts.d/d.sh", "#!/bin/sh\necho ext_exec=e\n", 0o755},
			member{"facts.d/.hidden.txt", "ext_hidden=1\n", 0o644}, member{"facts.d/sub/e.txt", "ext_sub=1\n", 0o644},
			member{"facts.d/f.yml", "ext_yml: 1\n", 0o644}, member{"facts.d/g.exe", "#!/bin/sh\necho ext_exe=1\n", 0o755}), t0)
		m.wants(srv, facts.Facts{"ext_txt": "t", "ext_json": "j", "ext_yaml": "y", "ext_exec": "e",
			"ext_hidden": nil, "ext_sub": nil, "ext_yml": nil, "ext_exe": nil})
	})
}

// envFact reports the whole environment of a fact.
const envFact = "#!/bin/sh\necho ext_env=$(env | sort | tr '\\n' ' ')\n"

// What these variables held before is kept behind the extension's directories.
func TestE19_InheritedSearchPathsStay(t *testing.T) {
	srv, m := boot(t, facters.Shell, func(o *Options, _ *settings.Settings) {
		o.Facts.Environ = []string{"PATH=/opt/mine:/usr/bin:/bin", "RUBYLIB=/opt/ruby", "LD_LIBRARY_PATH=/opt/lib", "FACTER_evil=1", "RUBYOPT=-d"}
	})
	srv.Publish(pack(t, member{"facts.d/e", envFact, 0o755}), t0)
	env := m.cycle(srv)["ext_env"].(string) + " "
	gen := m.generation()
	for _, want := range []string{"PATH=" + gen + "/bin:/opt/mine:/usr/bin:/bin:" + m.bin + " ",
		"RUBYLIB=" + gen + "/lib/ruby:/opt/ruby ", "LD_LIBRARY_PATH=" + gen + "/lib:/opt/lib "} {
		if !strings.Contains(env, want) {
			t.Errorf("%q is not in %q", want, env)
		}
	}
	for _, bad := range []string{"FACTER_", "RUBYOPT"} {
		if strings.Contains(env, bad) {
			t.Errorf("%s leaked into %q", bad, env)
		}
	}
}

// Any of the directories may be missing; an archive may be empty.
func TestE20_AnyDirectoryMayBeMissing(t *testing.T) {
	t.Parallel()
	for _, members := range [][]member{
		{{"bin/x", "x", 0o755}}, {{"lib/x.so", "x", 0o644}}, {{"lib/ruby/facter/x.rb", "", 0o644}},
		{{"facts.d/x.txt", "a=b\n", 0o644}}, {{"share/x", "x", 0o644}}, nil,
	} {
		srv, m := bootOn(t, standrazor.Razor, facters.Shell)
		srv.Publish(pack(t, members...), t0)
		m.wants(srv, facts.Facts{"mk_extension_status": "active", "mk_extension_error": ""})
	}
}

// No other variable differs between a run with and without an extension.
func TestE21_OnlyThreeVariablesDiffer(t *testing.T) {
	srv, m := boot(t, strings.Replace(facters.Shell, `echo "$out}"`, `echo "$out,\"fenv\":\"$(env | sort | tr '\n' ' ')\"}"`, 1))
	others := func() (rest []string) {
		for _, kv := range strings.Fields(m.cycle(srv)["fenv"].(string)) {
			name, _, _ := strings.Cut(kv, "=")
			if name != "PATH" && name != "LD_LIBRARY_PATH" && name != "RUBYLIB" && name != "PWD" {
				rest = append(rest, kv)
			}
		}
		return rest
	}
	without := others()
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	if with := others(); !reflect.DeepEqual(with, without) || len(with) == 0 {
		t.Errorf("without: %s\nwith:    %s", without, with)
	}
}

// unpackedModes publishes an empty file or directory of each mode, and compares what it becomes.
func unpackedModes(t *testing.T, modes map[uint32]os.FileMode) {
	t.Helper()
	srv, m := boot(t, facters.Shell)
	var members []member
	for mode := range modes {
		name := fmt.Sprintf("bin/%o", mode)
		if mode&0o170000 == ext.Dir {
			name += "/"
		}
		members = append(members, member{name, "", mode})
	}
	srv.Publish(pack(t, members...), t0)
	m.cycle(srv)
	for mode, want := range modes {
		if fi, err := os.Lstat(filepath.Join(m.generation(), fmt.Sprintf("bin/%o", mode))); err != nil || fi.Mode() != want {
			t.Errorf("%o: %v, %v; want %v", mode, fi.Mode(), err, want)
		}
	}
}

// Files that are executable in the archive are so after unpacking, others are not.
func TestE22_ExecutableBitIsPreserved(t *testing.T) {
	unpackedModes(t, map[uint32]os.FileMode{0o755: 0o755, 0o644: 0o644, 0o775: 0o755})
}

// There is no setuid, setgid or sticky bit after unpacking.
func TestE23_NoSpecialBits(t *testing.T) {
	unpackedModes(t, map[uint32]os.FileMode{0o104755: 0o755, 0o102755: 0o755, 0o106777: 0o755, 0o101755: 0o755, 0o047777: os.ModeDir | 0o755})
}

// Facts run as the client's user: root in an image.
func TestE24_FactsRunAsTheClientsUser(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(pack(t, member{"facts.d/id", "#!/bin/sh\necho ext_uid=$(id -u)\n", 0o755}), t0)
	m.wants(srv, facts.Facts{"ext_uid": strconv.Itoa(os.Geteuid())}) // 0 in an image
}

// The directory's name differs between generations.
func TestE25_DirectoryDiffersBetweenGenerations(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	seen := map[string]bool{}
	for i := range 5 {
		srv.Publish(textFact(t, "ext_x", "1"), t0.Add(time.Duration(i)*time.Second))
		m.cycle(srv)
		seen[m.generation()] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d directories for 5 generations", len(seen))
	}
}

// Content is reachable relative to itself, to the working directory and through the search paths.
func TestE26_ContentIsReachableRelatively(t *testing.T) {
	t.Parallel()
	facters.Each(t, func(t *testing.T, script string) {
		srv, m := bootOn(t, standrazor.Razor, script)
		// The image has external facts of its own: Facter 1.7 and 2 then get a merged directory.
		m.write("root/etc/facter/facts.d/own.txt", "img_own=kept\next_here=image\n")
		srv.Publish(pack(t, member{"share/data", "shared\n", 0o644},
			member{"facts.d/x", "#!/bin/sh\necho ext_rel=$(cat \"$(dirname \"$0\")/../share/data\")\necho ext_cwd=$(cat share/data)\n", 0o755},
			member{"facts.d/y.txt", "ext_here=extension\n", 0o644}), t0)
		m.wants(srv, facts.Facts{"ext_rel": "shared", "ext_cwd": "shared", "img_own": "kept", "ext_here": "extension"})
	})
}

// counts runs a fact that counts its runs, with two cycles for each of two extensions.
func counts(t *testing.T, srv *standrazor.Server, m *machine, script string) string {
	t.Helper()
	var got []string
	for i := range 4 {
		srv.Publish(pack(t, member{"facts.d/c", script, 0o755}), t0.Add(time.Duration(i/2)*time.Minute))
		got = append(got, fmt.Sprint(m.cycle(srv)["ext_count"]))
	}
	return strings.Join(got, " ")
}

// State outside the directory, as in `/tmp`, survives check-ins and new extensions.
func TestE27_StateOutsideSurvives(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	counter := filepath.Join(m.base, "counter")
	if got := counts(t, srv, m, "#!/bin/sh\necho x >> "+counter+"\necho ext_count=$(wc -l < "+counter+")\n"); got != "1 2 3 4" {
		t.Errorf("got %q", got)
	}
}

// State inside it vanishes with a new extension.
func TestE28_StateInsideVanishes(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	if got := counts(t, srv, m, "#!/bin/sh\ncd \"$(dirname \"$0\")/..\"\necho x >> counter\necho ext_count=$(wc -l < counter)\n"); got != "1 2 1 2" {
		t.Errorf("got %q", got)
	}
}

// `lib/ruby/facter/NAME.rb` is loaded as custom facts without configuration.
func TestE29_RubyFactsLoadWithoutConfiguration(t *testing.T) {
	t.Parallel()
	facters.EachStandIn(t, func(t *testing.T, script string) {
		srv, m := bootOn(t, standrazor.Razor, script)
		srv.Publish(pack(t, fact("lib/ruby/facter/auto.rb", "ext_auto", "'loaded'"), fact("lib/ruby/not_a_fact.rb", "ext_not", "'loaded'")), t0)
		m.wants(srv, facts.Facts{"ext_auto": "loaded", "ext_not": nil})
	})
}

// The first check-in with the extension has its facts already.
func TestE30_FirstCheckinHasThem(t *testing.T) {
	t.Parallel()
	srv, m := bootOn(t, standrazor.RFC, facters.Shell)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	if m.wants(srv, facts.Facts{"ext_x": "1"}); len(srv.Posts) != 1 {
		t.Errorf("%d posts", len(srv.Posts))
	}
}

// No environment variable can be set through files in the archive.
func TestE31_NoEnvironmentThroughTheArchive(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	srv.Publish(pack(t, member{"env", "FACTER_evil=1\n", 0o644}, member{".profile", "export FACTER_evil=1\n", 0o644},
		member{"etc/environment", "FACTER_evil=1\n", 0o644}, member{"bin/env.sh", "export FACTER_evil=1\n", 0o755},
		member{"facts.d/e", envFact, 0o755}), t0)
	if env, _ := m.wants(srv, facts.Facts{"evil": nil})["ext_env"].(string); env == "" || strings.Contains(env, "evil") {
		t.Errorf("ext_env = %q", env)
	}
}

// Facter's own command execution finds the extension's programs.
func TestE32_FactersOwnExecFindsTools(t *testing.T) {
	t.Parallel()
	facters.Each(t, func(t *testing.T, script string) {
		srv, m := bootOn(t, standrazor.Razor, script)
		srv.Publish(pack(t, member{"bin/ext-tool", "#!/bin/sh\necho ran\n", 0o755},
			fact("lib/ruby/facter/t.rb", "ext_ran", "Facter::Util::Resolution.exec('ext-tool')"),
			fact("lib/ruby/facter/w.rb", "ext_which", "Facter::Core::Execution.which('ext-tool')")), t0)
		got := m.wants(srv, facts.Facts{"ext_ran": "ran"})
		// Facter 1.x has no Facter::Core.
		version, _ := got["facterversion"].(string)
		if want := filepath.Join(m.generation(), "bin/ext-tool"); got["ext_which"] != want && !strings.HasPrefix(version, "1.") {
			t.Errorf("ext_which = %v, want %s", got["ext_which"], want)
		}
	})
}

// Trouble with the extension never prevents a check-in.
func TestE33_TroubleNeverPreventsACheckin(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	for _, f := range quickFaults(t) {
		srv.Publish(f.zip, t0)
		srv.SetFault(f.handler)
		m.cycle(srv) // fails the test unless a check-in arrives
	}
}

// After a failed attempt the next cycle tries again.
func TestE34_TheNextCycleTriesAgain(t *testing.T) {
	t.Parallel()
	good := textFact(t, "ext_x", "1")
	for _, f := range quickFaults(t) {
		srv, m := bootOn(t, standrazor.RFC, facters.Shell)
		srv.Publish(f.zip, t0)
		srv.SetFault(f.handler)
		m.cycle(srv)
		srv.Publish(good, t0) // with the timestamp of the one that failed
		srv.SetFault(nil)
		if got := m.cycle(srv)["ext_x"]; got != "1" {
			t.Errorf("after %s: ext_x = %v\n%s", f.name, got, m.log)
		}
	}
}

// No extension at the server is a normal, quiet state.
func TestE35_NoExtensionIsQuiet(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	for range 3 {
		m.wants(srv, facts.Facts{"mk_extension_status": "none", "mk_extension_error": ""})
	}
	log := slices.DeleteFunc(strings.SplitAfter(m.log.String(), "\n"), func(l string) bool { return l == "" || strings.Contains(l, "info: open: ") })
	if len(log) != 0 || len(srv.Logs) != 0 {
		t.Errorf("log %q, server's log %q", log, srv.Logs)
	}
}

// Scripts, Ruby, ELF programs and libraries work.
func TestE36_ScriptsRubyAndELFAtWill(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	elf := compile(t, t.TempDir(), "p", "#include <stdio.h>\nint main(void) { puts(\"ext_elf=1\"); return 0; }\n")
	srv.Publish(pack(t, member{"facts.d/elf", elf, 0o755}, member{"facts.d/sh", "#!/bin/sh\necho ext_sh=1\n", 0o755},
		member{"facts.d/rb", "#!" + testkit.Tool(t, "ruby") + "\nputs 'ext_rb=1'\n", 0o755}), t0)
	m.wants(srv, facts.Facts{"ext_elf": "1", "ext_sh": "1", "ext_rb": "1"})
}
