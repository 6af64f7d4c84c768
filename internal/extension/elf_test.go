package extension

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// testELF makes a small dynamic executable of 32 or 64 bits: program headers, and the sections
// .dynamic and .dynstr that name its libraries.
func testELF(bits int, interpreter string, libs []string) []byte {
	var le = binary.LittleEndian
	strtab := []byte{0}
	var dyn []byte
	word := func(v uint64) {
		if bits == 64 {
			dyn = le.AppendUint64(dyn, v)
		} else {
			dyn = le.AppendUint32(dyn, uint32(v))
		}
	}
	for _, l := range libs {
		word(uint64(elf.DT_NEEDED))
		word(uint64(len(strtab)))
		strtab = append(append(strtab, l...), 0)
	}
	word(0)
	word(0)
	head, ph, sh := uint64(52), uint64(32), uint64(40)
	if bits == 64 {
		head, ph, sh = 64, 56, 64
	}
	interp := append([]byte(interpreter), 0)
	interpAt := head + ph
	dynAt := interpAt + uint64(len(interp))
	strAt := dynAt + uint64(len(dyn))
	shAt := strAt + uint64(len(strtab))
	var b bytes.Buffer
	ident := [16]byte{0x7f, 'E', 'L', 'F', 1, 1, 1}
	put := func(v any) { _ = binary.Write(&b, le, v) }
	progType := uint32(elf.PT_INTERP)
	if interpreter == "" {
		progType = uint32(elf.PT_NULL)
	}
	size := uint64(len(interp))
	if bits == 64 {
		ident[4] = 2
		put(elf.Header64{Ident: ident, Type: 2, Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: head, Shoff: shAt, Ehsize: 64, Phentsize: uint16(ph), Phnum: 1, Shentsize: uint16(sh), Shnum: 3, Shstrndx: 2})
		put(elf.Prog64{Type: progType, Off: interpAt, Filesz: size, Memsz: size})
	} else {
		put(elf.Header32{Ident: ident, Type: 2, Machine: uint16(elf.EM_386), Version: 1, Phoff: uint32(head), Shoff: uint32(shAt), Ehsize: 52, Phentsize: uint16(ph), Phnum: 1, Shentsize: uint16(sh), Shnum: 3, Shstrndx: 2})
		put(elf.Prog32{Type: progType, Off: uint32(interpAt), Filesz: uint32(size), Memsz: uint32(size)})
	}
	b.Write(interp)
	b.Write(dyn)
	b.Write(strtab)
	section := func(kind elf.SectionType, off, size uint64, link uint32) {
		if bits == 64 {
			put(elf.Section64{Type: uint32(kind), Off: off, Size: size, Link: link})
		} else {
			put(elf.Section32{Type: uint32(kind), Off: uint32(off), Size: uint32(size), Link: link})
		}
	}
	section(elf.SHT_NULL, 0, 0, 0)
	section(elf.SHT_DYNAMIC, dynAt, uint64(len(dyn)), 2)
	section(elf.SHT_STRTAB, strAt, uint64(len(strtab)), 0)
	return b.Bytes()
}

// TestELFOfTheCompiler reads what a real linker writes, symbol versions included.
func TestELFOfTheCompiler(t *testing.T) {
	testkit.Tool(t, "gcc")
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	// A library with a version, a newer one of it, and a program that needs the newer version.
	src, mapOld, mapNew := write("l.c", "int f(void){return 1;}\n"), write("old.map", "V_1 { global: f; };\n"), write("new.map", "V_1 { };\nV_2 { global: f; } V_1;\n")
	main := write("m.c", "int f(void);\nint main(void){return f();}\n")
	old, newer, prog := filepath.Join(dir, "old.so"), filepath.Join(dir, "libf.so"), filepath.Join(dir, "prog")
	testkit.Run(t, "gcc", "-shared", "-fPIC", "-Wl,-soname,libf.so", "-Wl,--version-script="+mapOld, "-o", old, src)
	testkit.Run(t, "gcc", "-shared", "-fPIC", "-Wl,-soname,libf.so", "-Wl,--version-script="+mapNew, "-o", newer, src)
	testkit.Run(t, "gcc", "-o", prog, main, newer)
	read := func(p string) []byte {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	info, err := readELF(read(prog))
	if err != nil {
		t.Fatal(err)
	}
	if archName(info.class, info.machine) != "x86_64" || !strings.HasPrefix(info.interp, "/lib") || len(info.needed) < 2 || info.needed[0].name != "libf.so" {
		t.Skipf("the compiler here is for another machine: %+v", info)
	}
	for lib, want := range map[string]string{newer: "", old: "bin/prog error elf-version"} {
		img := &overlay.Tree{}
		for _, e := range []overlay.Entry{overlay.File("usr/lib/libf.so", 0o755, read(lib)), overlay.File("lib/libc.so.6", 0o755, nil), overlay.File(info.interp, 0o755, nil)} {
			e.Path = strings.TrimPrefix(e.Path, "/")
			if err := img.Put(e); err != nil {
				t.Fatal(err)
			}
		}
		tr := tree{"bin/prog*": string(read(prog))}
		if got := rulesOf(tr.lint(t, LintOptions{Arch: "x86_64", Image: NewImage("mk.iso", "x86_64", img)})); got != want {
			t.Errorf("%s: got %q, want %q", lib, got, want)
		}
	}
	if got := rulesOf(tree{"bin/prog*": string(read(prog))}.lint(t, LintOptions{Arch: "x86"})); got != "bin/prog error elf-arch" {
		t.Errorf("on x86: %q", got)
	}
}
