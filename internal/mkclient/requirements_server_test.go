package mkclient

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	server "mkbuild/internal/razor"
)

// withServer makes a machine that checks in with the project's own server, which has the given
// files: config.yaml and rules.yaml. EXT in them stands for the path of an extension, which is
// not there yet.
func withServer(t *testing.T, config, rules string) (m *machine, ext string) {
	t.Helper()
	dir := t.TempDir()
	ext = filepath.Join(dir, "mk-extension.zip")
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(strings.ReplaceAll(text, "EXT", ext)), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	cfg, err := server.LoadConfig(file("config.yaml", config), "production")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{
		Config: cfg, RulesFile: file("rules.yaml", rules), DataDir: filepath.Join(dir, "data"),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler(nil))
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	m = newMachine(t, &razor{Server: web}, shFacter)
	m.set.Register, m.set.Server = "", web.URL
	return m, ext
}

// place puts an extension where a server finds it.
func place(t *testing.T, file string, ext []byte, mtime time.Time) {
	t.Helper()
	tmp := file + ".new"
	err := errors.Join(os.WriteFile(tmp, ext, 0o644), os.Chtimes(tmp, mtime, mtime), os.Rename(tmp, file))
	if err != nil {
		t.Fatal(err)
	}
}

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
			place(t, ext, fact(t, "ext_role", role), t0.Add(time.Duration(i)*time.Second))
		}
		if err := m.Cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(marker); (err == nil) != (role == "web") {
			t.Errorf("role %q: %v\n%s", role, err, m.log)
		}
	}
}

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
		b := fact(t, "ext_x", "from the file")
		place(t, ext, b, t0)
		if err := m.Cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		col, err := m.Collect(t.Context())
		if err != nil || col.Facts["ext_x"] != want {
			t.Errorf("%s: ext_x = %v, %v\n%s", config, col.Facts["ext_x"], err, m.log)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(b)); want != nil && col.Facts["mk_extension_sha256"] != sum {
			t.Errorf("got the bytes of %v, want %s", col.Facts["mk_extension_sha256"], sum)
		}
	}
}
