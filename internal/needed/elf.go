package needed

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"strings"

	"mkbuild/internal/overlay"
)

const (
	elfMagic = "\x7fELF"
	// maxFile bounds a program that is looked into: the largest real ones have some 30 MB.
	maxFile = 256 << 20
	// maxDynamic bounds the tables that say what a file needs.
	maxDynamic = 16 << 20
	// maxNeeded bounds the libraries of one file; real ones have some dozens.
	maxNeeded = 4096
)

// object is what the loader wants to know of a program or library.
type object struct {
	class   elf.Class
	machine elf.Machine
	interp  string   // the dynamic loader
	needed  []string // DT_NEEDED
	paths   []string // RUNPATH, else RPATH
}

// readObject reads a program or library, or returns nil for everything else.
func readObject(e *overlay.Entry) (o *object) {
	if !e.IsRegular() || e.Size < int64(len(elfMagic)) || e.Size > maxFile || !startsELF(e) {
		return nil
	}
	defer func() {
		if recover() != nil { // debug/elf on hostile bytes
			o = nil
		}
	}()
	b, err := e.Content(maxFile)
	if err != nil {
		return nil
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil
	}
	o = &object{class: f.Class, machine: f.Machine}
	if err := o.read(f); err != nil {
		return &object{class: f.Class, machine: f.Machine}
	}
	return o
}

func startsELF(e *overlay.Entry) bool {
	if e.Open == nil {
		return false
	}
	r, err := e.Open()
	if err != nil {
		return false
	}
	defer r.Close() //nolint:errcheck // only read
	var head [len(elfMagic)]byte
	_, err = io.ReadFull(r, head[:])
	return err == nil && string(head[:]) == elfMagic
}

// read takes the answers from the program headers, as the kernel and the loader do: Tiny Core
// strips sections from many files, and debug/elf looks for them there.
func (o *object) read(f *elf.File) error {
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_INTERP:
			b, err := section(p, 4096)
			if err != nil {
				return err
			}
			o.interp = strings.TrimRight(string(b), "\x00")
		case elf.PT_DYNAMIC:
			b, err := section(p, maxDynamic)
			if err != nil {
				return err
			}
			if err := o.dynamic(f, b); err != nil {
				return err
			}
		}
	}
	return nil
}

var errELF = errors.New("damaged ELF file")

func section(p *elf.Prog, limit uint64) ([]byte, error) {
	if p.Filesz > limit {
		return nil, errELF
	}
	b := make([]byte, p.Filesz)
	n, err := p.ReadAt(b, 0)
	if n < len(b) {
		return nil, err
	}
	return b, nil
}

// dynamic reads the dynamic table.
func (o *object) dynamic(f *elf.File, b []byte) error {
	tags := dynamicTags(f, b)
	text, err := stringTable(f, last(tags[elf.DT_STRTAB]), last(tags[elf.DT_STRSZ]))
	if err != nil {
		return err
	}
	if len(tags[elf.DT_NEEDED]) > maxNeeded {
		return errELF
	}
	for _, at := range tags[elf.DT_NEEDED] {
		if name := stringAt(text, at); name != "" {
			o.needed = append(o.needed, name)
		}
	}
	at := tags[elf.DT_RUNPATH]
	if len(at) == 0 {
		at = tags[elf.DT_RPATH]
	}
	if len(at) > 0 {
		o.paths = strings.Split(stringAt(text, last(at)), ":")
	}
	return nil
}

// dynamicTags returns the values of each tag up to DT_NULL.
func dynamicTags(f *elf.File, b []byte) map[elf.DynTag][]uint64 {
	tags := make(map[elf.DynTag][]uint64)
	size := 8
	if f.Class == elf.ELFCLASS64 {
		size = 16
	}
	for ; len(b) >= size; b = b[size:] {
		var tag, val uint64
		if f.Class == elf.ELFCLASS64 {
			tag, val = f.ByteOrder.Uint64(b), f.ByteOrder.Uint64(b[8:])
		} else {
			tag, val = uint64(f.ByteOrder.Uint32(b)), uint64(f.ByteOrder.Uint32(b[4:]))
		}
		if elf.DynTag(tag) == elf.DT_NULL {
			break
		}
		tags[elf.DynTag(tag)] = append(tags[elf.DynTag(tag)], val)
	}
	return tags
}

func last(v []uint64) uint64 {
	if len(v) == 0 {
		return 0
	}
	return v[len(v)-1]
}

// stringTable reads the table at a memory address out of the segment that is loaded there.
func stringTable(f *elf.File, addr, size uint64) ([]byte, error) {
	if size > maxDynamic {
		return nil, errELF
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || addr < p.Vaddr || addr-p.Vaddr >= p.Filesz || size > p.Filesz-(addr-p.Vaddr) {
			continue
		}
		b := make([]byte, size)
		if n, err := p.ReadAt(b, int64(addr-p.Vaddr)); n < len(b) {
			return nil, err
		}
		return b, nil
	}
	return nil, errELF
}

func stringAt(text []byte, at uint64) string {
	if at >= uint64(len(text)) {
		return ""
	}
	b, _, _ := bytes.Cut(text[at:], []byte{0})
	return string(b)
}
