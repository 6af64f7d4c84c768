package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/internal/needed"
	"mkbuild/internal/overlay"
)

func image(t *testing.T, arch string, entries ...overlay.Entry) *Image {
	t.Helper()
	tree := &overlay.Tree{}
	for _, e := range entries {
		testkit.Must(t, tree.Put(e))
	}
	return NewImage("mk.iso", arch, tree)
}

// TestLintImage checks against an image: guesses then become errors.
func TestLintImage(t *testing.T) {
	lib32, lib64 := []byte(ext.ELF(32, "")), []byte(ext.ELF(64, ""))
	im := image(t, "x86",
		overlay.File("bin/busybox", 0o755, nil), overlay.Symlink("bin/sh", "busybox"), overlay.Symlink("usr/bin/env", "/bin/busybox"),
		overlay.File("usr/local/bin/python", 0o755, nil), overlay.File("lib/ld-linux.so.2", 0o755, nil), overlay.Symlink("bin/broken", "nowhere"),
		overlay.File("usr/local/lib/libz.so.1", 0o755, lib32), overlay.File("opt/lib/libq.so.1", 0o755, lib32),
		overlay.File("usr/lib/libwide.so.1", 0o755, lib64), overlay.File("etc/ld.so.conf", 0o644, []byte("/opt/lib\n")))
	exe := func(libs ...string) string { return ext.ELF(32, "/lib/ld-linux.so.2", libs...) }
	for name, tt := range map[string]struct {
		tree tree
		want string
	}{
		"its shells":              {tree{"bin/x*": sh, "bin/y*": "#!/usr/bin/env python\n"}, ""},
		"no interpreter":          {tree{"bin/x*": "#!/usr/bin/python3\n"}, "bin/x error interpreter"},
		"dangling interpreter":    {tree{"bin/x*": "#!/bin/broken\n"}, "bin/x error interpreter"},
		"no command":              {tree{"bin/x*": "#!/usr/bin/env perl\n"}, "bin/x error interpreter"},
		"its libraries":           {tree{"bin/x*": exe("libz.so.1", "libq.so.1")}, ""},
		"no library":              {tree{"bin/x*": exe("libc.so.6")}, "bin/x error elf-library"},
		"library for 64 bits":     {tree{"bin/x*": exe("libwide.so.1")}, "bin/x error elf-library"},
		"the extension's library": {tree{"bin/x*": exe("libfoo.so.1"), "lib/libfoo.so.1": "x"}, ""},
		"other loader":            {tree{"bin/x*": ext.ELF(32, "/lib/ld-other.so")}, "bin/x error elf-loader"},
	} {
		if got := rulesOf(tt.tree.lint(t, Options{Image: im})); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// TestVersionsOfTheCompiler reads the symbol versions of a real linker, also from files without section headers.
func TestVersionsOfTheCompiler(t *testing.T) {
	testkit.Tool(t, "gcc")
	dir := ext.Tree{
		"l.c": "int f(void){return 1;}\n", "old.map": "V_1 { global: f; };\n", "new.map": "V_1 { };\nV_2 { global: f; } V_1;\n",
		"m.c": "int f(void);\nint main(void){return f();}\n",
	}.Write(t, t.TempDir())
	in := func(name string) string { return filepath.Join(dir, name) }
	for out, script := range map[string]string{"old.so": "old.map", "libf.so": "new.map"} {
		testkit.Run(t, "gcc", "-shared", "-fPIC", "-Wl,-soname,libf.so", "-Wl,--version-script="+in(script), "-o", in(out), in("l.c"))
	}
	testkit.Run(t, "gcc", "-o", in("prog"), in("m.c"), in("libf.so"))
	read := func(name string, sections bool) string {
		b, err := os.ReadFile(in(name))
		testkit.Must(t, err)
		if !sections { // e_shoff and the counts
			clear(b[0x28:0x30])
			clear(b[0x3a:0x40])
		}
		return string(b)
	}
	for _, sections := range []bool{true, false} {
		prog := read("prog", sections)
		o, err := needed.Read([]byte(prog))
		testkit.Must(t, err)
		if !strings.Contains(o.Machine.String(), "X86_64") {
			t.Skipf("the compiler here is for another machine: %+v", o)
		}
		for lib, want := range map[string]string{"libf.so": "", "old.so": "bin/prog error elf-version"} {
			im := image(t, "x86_64", overlay.File("usr/lib/libf.so", 0o755, []byte(read(lib, sections))),
				overlay.File("lib/libc.so.6", 0o755, []byte(ext.ELF(64, ""))), overlay.File(strings.TrimPrefix(o.Interp, "/"), 0o755, nil))
			if got := rulesOf(tree{"bin/prog*": prog}.lint(t, Options{Arch: "x86_64", Image: im})); got != want {
				t.Errorf("%s, sections %t: got %q, want %q", lib, sections, got, want)
			}
		}
		if got := rulesOf(tree{"bin/prog*": prog}.lint(t, Options{Arch: "x86"})); got != "bin/prog error elf-arch" {
			t.Errorf("on x86: %q", got)
		}
	}
}
