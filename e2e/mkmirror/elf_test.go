package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// elfNeeding makes the smallest 32-bit ELF file whose DT_NEEDED debug/elf reads: a header, a string table, a
// dynamic section and the headers of both sections.
func elfNeeding(sonames ...string) []byte {
	const header, sectionHeader = 52, 40
	names := "\x00"
	var dynamic []uint32
	for _, s := range sonames {
		dynamic = append(dynamic, 1, uint32(len(names))) // DT_NEEDED
		names += s + "\x00"
	}
	dynamic = append(dynamic, 0, 0) // DT_NULL
	stringsAt := uint32(header)
	dynamicAt := stringsAt + uint32(len(names))
	sectionsAt := dynamicAt + uint32(4*len(dynamic))
	var b bytes.Buffer
	put := func(v ...any) {
		for _, x := range v {
			_ = binary.Write(&b, binary.LittleEndian, x)
		}
	}
	put([]byte("\x7fELF\x01\x01\x01"), make([]byte, 9), uint16(3), uint16(3), uint32(1), uint32(0), uint32(0), sectionsAt, uint32(0),
		uint16(header), uint16(0), uint16(0), uint16(sectionHeader), uint16(3), uint16(1))
	put([]byte(names), dynamic)
	put(make([]byte, sectionHeader))
	put([]uint32{0, 3, 0, 0, stringsAt, uint32(len(names)), 0, 0, 1, 0})       // SHT_STRTAB
	put([]uint32{0, 6, 0, 0, dynamicAt, uint32(4 * len(dynamic)), 1, 0, 4, 8}) // SHT_DYNAMIC
	return b.Bytes()
}

// treeOf makes a tree of regular files.
func treeOf(t *testing.T, files map[string][]byte) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	for name, b := range files {
		testkit.Must(t, tree.Put(overlay.File(name, 0o755, b)))
	}
	return tree
}

func TestMissing(t *testing.T) {
	program := treeOf(t, map[string][]byte{
		"usr/local/bin/x":         elfNeeding("liba.so.1", "libb.so.2", "libc.so.6", "libd.so"),
		"usr/local/lib/liba.so.1": elfNeeding("libc.so.6"),
		"usr/local/bin/script":    []byte("#!/bin/sh\n" + strings.Repeat("#", 80)),
		"usr/local/share/libd.so": elfNeeding(), // outside the linker's path
		"usr/local/bin/tiny":      []byte("\x7fELF"),
	})
	base := treeOf(t, map[string][]byte{"lib/libc.so.6": elfNeeding()})
	names, asker, err := missing(program, base)
	testkit.Must(t, err)
	if want := []string{"libb.so.2", "libd.so"}; !slices.Equal(names, want) || asker["libb.so.2"] != "usr/local/bin/x" {
		t.Errorf("got %q for %v, want %q", names, asker, want)
	}
}

func TestMissingOnBrokenELF(t *testing.T) {
	tree := treeOf(t, map[string][]byte{"bin/x": append([]byte("\x7fELF"), bytes.Repeat([]byte{0xff}, 100)...)})
	if _, _, err := missing(tree); err == nil || !strings.Contains(err.Error(), "bin/x") {
		t.Errorf("got error %v", err)
	}
}

// libraryPool makes a pool of one package with the given libraries.
func libraryPool(t *testing.T, libs map[string][]byte) *pool {
	t.Helper()
	root := t.TempDir()
	for name, b := range libs {
		writeTestFile(t, filepath.Join(root, "usr/lib/i386-linux-gnu", name), string(b))
	}
	return &pool{platform: i386(), roots: map[string]string{"libs": root}, debs: map[string]string{}}
}

func TestAddLibrariesFollowsNeeds(t *testing.T) {
	p := libraryPool(t, map[string][]byte{"liba.so.1.2": elfNeeding("libb.so.2"), "libb.so.2": elfNeeding("libc.so.6")})
	testkit.Must(t, os.Symlink("liba.so.1.2", filepath.Join(p.roots["libs"], "usr/lib/i386-linux-gnu/liba.so.1")))
	tree := treeOf(t, map[string][]byte{"usr/local/bin/x": elfNeeding("liba.so.1")})
	base := treeOf(t, map[string][]byte{"lib/libc.so.6": elfNeeding()})
	testkit.Must(t, p.addLibraries(tree, "usr/local/lib", base))
	for _, name := range []string{"usr/local/lib/liba.so.1", "usr/local/lib/libb.so.2"} {
		if e := tree.Get(name); e == nil || !e.IsRegular() {
			t.Errorf("%s is not there as a file", name)
		}
	}
	if tree.Get("usr/local/lib/libc.so.6") != nil {
		t.Error("a library of the base was added again")
	}
}

func TestAddLibrariesFailsLoudly(t *testing.T) {
	tree := treeOf(t, map[string][]byte{"usr/local/bin/x": elfNeeding("libgone.so.9")})
	err := libraryPool(t, nil).addLibraries(tree, "usr/local/lib")
	if err == nil || !strings.Contains(err.Error(), "libgone.so.9") || !strings.Contains(err.Error(), "usr/local/bin/x") {
		t.Errorf("got error %v, want both the library and the file that asks", err)
	}
}
