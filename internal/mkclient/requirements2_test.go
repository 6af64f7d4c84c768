package mkclient

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

// envFact reports the whole environment of a fact.
const envFact = "#!/bin/sh\necho ext_env=$(env | sort | tr '\\n' ' ')\n"

func TestE19_InheritedSearchPathsStay(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter, func(o *Options, _ *Settings) {
		o.Environ = []string{"PATH=/opt/mine:/usr/bin:/bin", "RUBYLIB=/opt/ruby", "LD_LIBRARY_PATH=/opt/lib", "FACTER_evil=1", "RUBYOPT=-d"}
	})
	srv.publish(pack(t, member{"facts.d/e", envFact, 0o755}), t0)
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

func TestE20_AnyDirectoryMayBeMissing(t *testing.T) {
	t.Parallel()
	exts := map[string][]byte{
		"bin only":     pack(t, member{"bin/x", "x", 0o755}),
		"lib only":     pack(t, member{"lib/x.so", "x", 0o644}),
		"ruby only":    pack(t, member{"lib/ruby/facter/x.rb", "", 0o644}),
		"facts.d only": pack(t, member{"facts.d/x.txt", "a=b\n", 0o644}),
		"share only":   pack(t, member{"share/x", "x", 0o644}),
		"empty":        pack(t),
	}
	for name, ext := range exts {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, shFacter)
		srv.publish(ext, t0)
		if facts := m.cycle(srv); facts["mk_extension_status"] != "active" || facts["mk_extension_error"] != "" {
			t.Errorf("%s: %v, %v\n%s", name, facts["mk_extension_status"], facts["mk_extension_error"], m.log)
		}
	}
}

func TestE21_OnlyThreeVariablesDiffer(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	script := strings.Replace(shFacter, `echo "$out}"`, `echo "$out,\"fenv\":\"$(env | sort | tr '\n' ' ')\"}"`, 1)
	m.program("facter", script)
	without := strings.Fields(m.cycle(srv)["fenv"].(string))
	srv.publish(fact(t, "ext_x", "1"), t0)
	with := strings.Fields(m.cycle(srv)["fenv"].(string))
	names := func(env []string) (rest []string) {
		for _, kv := range env {
			name, _, _ := strings.Cut(kv, "=")
			if name != "PATH" && name != "LD_LIBRARY_PATH" && name != "RUBYLIB" && name != "PWD" {
				rest = append(rest, kv)
			}
		}
		return rest
	}
	if a, b := strings.Join(names(without), " "), strings.Join(names(with), " "); a != b || a == "" {
		t.Errorf("without: %s\nwith:    %s", a, b)
	}
}

func TestE22_ExecutableBitIsPreserved(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(pack(t, member{"bin/yes", "x", 0o755}, member{"bin/no", "x", 0o644}, member{"bin/group", "x", 0o775}), t0)
	m.cycle(srv)
	for name, want := range map[string]os.FileMode{"yes": 0o755, "no": 0o644, "group": 0o755} {
		if fi, err := os.Stat(filepath.Join(m.generation(), "bin", name)); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, fi.Mode(), err, want)
		}
	}
}

func TestE23_NoSpecialBits(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(pack(t, member{"bin/a", "x", 0o104755}, member{"bin/b", "x", 0o102755}, member{"bin/c", "x", 0o106777},
		member{"bin/d", "x", 0o101755}, member{"bin/e/", "", 0o047777}), t0)
	m.cycle(srv)
	for _, p := range listing(t, m.generation())[1:] {
		fi, err := os.Lstat(p)
		if err != nil || fi.Mode()&^os.ModeDir != 0o755 {
			t.Errorf("%s: %v, %v", p, fi.Mode(), err)
		}
	}
}

func TestE24_FactsRunAsTheClientsUser(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(pack(t, member{"facts.d/id", "#!/bin/sh\necho ext_uid=$(id -u)\n", 0o755}), t0)
	if got, want := m.cycle(srv)["ext_uid"], strconv.Itoa(os.Geteuid()); got != want {
		t.Errorf("ext_uid = %v, want %s (0 in an image)", got, want)
	}
}

func TestE25_DirectoryDiffersBetweenGenerations(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	seen := map[string]bool{}
	for i := range 5 {
		srv.publish(fact(t, "ext_x", "1"), t0.Add(time.Duration(i)*time.Second))
		m.cycle(srv)
		seen[m.generation()] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d directories for 5 generations", len(seen))
	}
}

func TestE26_ContentIsReachableRelatively(t *testing.T) {
	t.Parallel()
	eachFlavour(t, func(t *testing.T, script string) {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, script)
		// The image has external facts of its own: Facter 1.7 and 2 then get a merged directory.
		m.write("root/etc/facter/facts.d/own.txt", "img_own=kept\next_here=image\n")
		srv.publish(pack(t, member{"share/data", "shared\n", 0o644},
			member{"facts.d/x", "#!/bin/sh\necho ext_rel=$(cat \"$(dirname \"$0\")/../share/data\")\necho ext_cwd=$(cat share/data)\n", 0o755},
			member{"facts.d/y.txt", "ext_here=extension\n", 0o644}), t0)
		facts := m.cycle(srv)
		if facts["ext_rel"] != "shared" || facts["ext_cwd"] != "shared" {
			t.Errorf("by $0: %v, by cwd: %v\n%s", facts["ext_rel"], facts["ext_cwd"], m.log)
		}
		if facts["img_own"] != "kept" || facts["ext_here"] != "extension" {
			t.Errorf("image's own: %v, same name: %v", facts["img_own"], facts["ext_here"])
		}
	})
}

func TestE27_StateOutsideSurvives(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	counter := filepath.Join(m.base, "counter")
	script := "#!/bin/sh\necho x >> " + counter + "\necho ext_count=$(wc -l < " + counter + ")\n"
	var got []string
	for i := range 4 {
		srv.publish(pack(t, member{"facts.d/c", script, 0o755}), t0.Add(time.Duration(i/2)*time.Minute))
		got = append(got, fmt.Sprint(m.cycle(srv)["ext_count"]))
	}
	if strings.Join(got, " ") != "1 2 3 4" {
		t.Errorf("got %q", got)
	}
}

func TestE28_StateInsideVanishes(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	script := "#!/bin/sh\ncd \"$(dirname \"$0\")/..\"\necho x >> counter\necho ext_count=$(wc -l < counter)\n"
	var got []string
	for i := range 4 {
		srv.publish(pack(t, member{"facts.d/c", script, 0o755}), t0.Add(time.Duration(i/2)*time.Minute))
		got = append(got, fmt.Sprint(m.cycle(srv)["ext_count"]))
	}
	if strings.Join(got, " ") != "1 2 1 2" {
		t.Errorf("got %q", got)
	}
}

func TestE29_RubyFactsLoadWithoutConfiguration(t *testing.T) {
	t.Parallel()
	eachStandIn(t, func(t *testing.T, script string) {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, script)
		srv.publish(pack(t, member{"lib/ruby/facter/auto.rb", "Facter.add(:ext_auto) { setcode { 'loaded' } }\n", 0o644},
			member{"lib/ruby/not_a_fact.rb", "Facter.add(:ext_not) { setcode { 'loaded' } }\n", 0o644}), t0)
		facts := m.cycle(srv)
		if facts["ext_auto"] != "loaded" || facts["ext_not"] != nil {
			t.Errorf("ext_auto = %v, ext_not = %v\n%s", facts["ext_auto"], facts["ext_not"], m.log)
		}
	})
}

func TestE30_FirstCheckinHasThem(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, rfcKind)
	srv.publish(fact(t, "ext_x", "1"), t0)
	m := newMachine(t, srv, shFacter)
	if got := m.cycle(srv)["ext_x"]; got != "1" || len(srv.posts) != 1 {
		t.Errorf("ext_x = %v in the first of %d posts", got, len(srv.posts))
	}
}

func TestE31_NoEnvironmentThroughTheArchive(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(pack(t, member{"env", "FACTER_evil=1\n", 0o644}, member{".profile", "export FACTER_evil=1\n", 0o644},
		member{"etc/environment", "FACTER_evil=1\n", 0o644}, member{"bin/env.sh", "export FACTER_evil=1\n", 0o755},
		member{"facts.d/e", envFact, 0o755}), t0)
	facts := m.cycle(srv)
	if env, _ := facts["ext_env"].(string); env == "" || strings.Contains(env, "evil") || facts["evil"] != nil {
		t.Errorf("ext_env = %q, evil = %v", env, facts["evil"])
	}
}

func TestE32_FactersOwnExecFindsTools(t *testing.T) {
	t.Parallel()
	eachFlavour(t, func(t *testing.T, script string) {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, script)
		srv.publish(pack(t, member{"bin/ext-tool", "#!/bin/sh\necho ran\n", 0o755},
			member{"lib/ruby/facter/t.rb", "Facter.add(:ext_ran) { setcode { Facter::Util::Resolution.exec('ext-tool') } }\n", 0o644},
			member{"lib/ruby/facter/w.rb", "Facter.add(:ext_which) { setcode { Facter::Core::Execution.which('ext-tool') } }\n", 0o644}), t0)
		facts := m.cycle(srv)
		if facts["ext_ran"] != "ran" {
			t.Errorf("ext_ran = %v\n%s", facts["ext_ran"], m.log)
		}
		// Facter 1.x has no Facter::Core.
		version, _ := facts["facterversion"].(string)
		if want := filepath.Join(m.generation(), "bin/ext-tool"); facts["ext_which"] != want && !strings.HasPrefix(version, "1.") {
			t.Errorf("ext_which = %v, want %s", facts["ext_which"], want)
		}
	})
}

func TestE33_TroubleNeverPreventsACheckin(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	for _, f := range quickFaults(t) {
		srv.publish(f.zip, t0)
		srv.setFault(f.handler)
		m.cycle(srv) // fails the test unless a check-in arrives
	}
}

func TestE34_TheNextCycleTriesAgain(t *testing.T) {
	t.Parallel()
	good := fact(t, "ext_x", "1")
	for _, f := range quickFaults(t) {
		srv := newRazor(t, rfcKind)
		m := newMachine(t, srv, shFacter)
		srv.publish(f.zip, t0)
		srv.setFault(f.handler)
		m.cycle(srv)
		srv.publish(good, t0) // with the timestamp of the one that failed
		srv.setFault(nil)
		if got := m.cycle(srv)["ext_x"]; got != "1" {
			t.Errorf("after %s: ext_x = %v\n%s", f.name, got, m.log)
		}
	}
}

func TestE35_NoExtensionIsQuiet(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	for range 3 {
		facts := m.cycle(srv)
		if facts["mk_extension_status"] != "none" || facts["mk_extension_error"] != "" {
			t.Errorf("%v, %v", facts["mk_extension_status"], facts["mk_extension_error"])
		}
	}
	if m.log.Len() != 0 || len(srv.logs) != 0 {
		t.Errorf("log %q, server's log %q", m.log, srv.logs)
	}
}

func TestE36_ScriptsRubyAndELFAtWill(t *testing.T) {
	t.Parallel()
	cc, ruby := testkit.Tool(t, "cc"), testkit.Tool(t, "ruby")
	dir := t.TempDir()
	src := filepath.Join(dir, "p.c")
	os.WriteFile(src, []byte("#include <stdio.h>\nint main(void) { puts(\"ext_elf=1\"); return 0; }\n"), 0o644)
	testkit.Run(t, cc, "-o", filepath.Join(dir, "p"), src)
	elf, err := os.ReadFile(filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(pack(t, member{"facts.d/elf", string(elf), 0o755}, member{"facts.d/sh", "#!/bin/sh\necho ext_sh=1\n", 0o755},
		member{"facts.d/rb", "#!" + ruby + "\nputs 'ext_rb=1'\n", 0o755}), t0)
	facts := m.cycle(srv)
	for _, name := range []string{"ext_elf", "ext_sh", "ext_rb"} {
		if facts[name] != "1" {
			t.Errorf("%s = %v\n%s", name, facts[name], m.log)
		}
	}
}

// respond makes a handler that answers with a header and a body.
func respond(status int, header map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}
