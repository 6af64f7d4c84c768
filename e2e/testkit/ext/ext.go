// Package ext makes runtime extensions for tests: directories, archives, and the ELF files in them.
package ext

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Sh is the shortest script.
const Sh = "#!/bin/sh\n"

// Tree is a directory: path → content. A path that ends in "*" is executable, a path with " -> " is a symlink.
type Tree map[string]string

// Write writes the tree into dir, and returns dir.
func (tr Tree) Write(t testing.TB, dir string) string {
	t.Helper()
	for name, body := range tr {
		name, x := strings.CutSuffix(name, "*")
		name, target, link := strings.Cut(name, " -> ")
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if x {
			mode = 0o755
		}
		var err error
		if link {
			err = os.Symlink(target, p)
		} else if err = os.WriteFile(p, []byte(body), 0o600); err == nil {
			err = os.Chmod(p, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Types of a [Member] in st_mode of stat(2).
const (
	File = 0o100000
	Link = 0o120000
	Dir  = 0o040000
	FIFO = 0o010000
)

// Member is one member of an archive.
type Member struct {
	Name, Body string
	Mode       uint32 // type and permissions as in stat(2); 0 means a member from MS-DOS
}

// Item makes a member in one line.
func Item(name, body string, mode uint32) Member { return Member{name, body, mode} }

// Zip packs members in the given order, without checks.
func Zip(t testing.TB, members ...Member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.Name, Method: zip.Deflate}
		if m.Mode != 0 {
			h.CreatorVersion = 3 << 8
			h.ExternalAttrs = m.Mode << 16
		}
		isDir := strings.HasSuffix(m.Name, "/")
		if isDir {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err == nil && !isDir {
			_, err = f.Write([]byte(m.Body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// ELF makes a small dynamic executable for x86 (32 bits) or x86_64 with program headers only, like many files of
// Tiny Core. Without an interpreter it looks static.
func ELF(bits int, interpreter string, libs ...string) string {
	names := []byte{0}
	var dynamic []uint64
	for _, l := range libs {
		dynamic = append(dynamic, uint64(elf.DT_NEEDED), uint64(len(names)))
		names = append(append(names, l...), 0)
	}
	wide := bits == 64
	word, head, entry := 4, 52, 32
	if wide {
		word, head, entry = 8, 64, 56
	}
	interpAt := head + 3*entry
	namesAt := interpAt + len(interpreter) + 1
	dynamicAt := namesAt + len(names)
	dynamic = append(dynamic, uint64(elf.DT_STRTAB), uint64(namesAt), 0, 0)
	end := dynamicAt + len(dynamic)*word

	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	segment := func(kind elf.ProgType, from, to int) {
		if wide {
			put(elf.Prog64{Type: uint32(kind), Off: uint64(from), Vaddr: uint64(from), Filesz: uint64(to - from), Memsz: uint64(to - from)})
		} else {
			put(elf.Prog32{Type: uint32(kind), Off: uint32(from), Vaddr: uint32(from), Filesz: uint32(to - from), Memsz: uint32(to - from)})
		}
	}
	ident := [16]byte{0x7f, 'E', 'L', 'F', 1, 1, 1}
	if wide {
		ident[4] = 2
		put(elf.Header64{Ident: ident, Type: 2, Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: uint64(head), Ehsize: uint16(head), Phentsize: uint16(entry), Phnum: 3})
	} else {
		put(elf.Header32{Ident: ident, Type: 2, Machine: uint16(elf.EM_386), Version: 1, Phoff: uint32(head), Ehsize: uint16(head), Phentsize: uint16(entry), Phnum: 3})
	}
	kind := elf.PT_INTERP
	if interpreter == "" {
		kind = elf.PT_NULL
	}
	segment(elf.PT_LOAD, 0, end)
	segment(kind, interpAt, namesAt)
	segment(elf.PT_DYNAMIC, dynamicAt, end)
	b.WriteString(interpreter + "\x00")
	b.Write(names)
	for _, v := range dynamic {
		if wide {
			put(v)
		} else {
			put(uint32(v))
		}
	}
	return b.String()
}
