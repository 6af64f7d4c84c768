package needed

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

const (
	// Magic begins every ELF file.
	Magic      = "\x7fELF"
	maxName    = 4096    // bytes of a name in a file: PATH_MAX
	maxRecords = 1 << 14 // entries of a file's tables; glibc has some hundreds
)

// Object holds the data of a program or a library that the dynamic loader uses.
type Object struct {
	Class    elf.Class
	Machine  elf.Machine
	Interp   string              // the dynamic loader; empty in libraries and static programs
	Needs    []string            // the libraries that it needs: "libssl.so.0.9.8", or a path
	Versions map[string][]string // the symbol versions that it needs of each: "GLIBC_2.4"
	Defines  []string            // the symbol versions that a library has
	Paths    []string            // RUNPATH, else RPATH
}

var errDamaged = errors.New("damaged ELF file")

// Read reads an ELF file. It uses the program headers, like the kernel and the loader: Tiny Core strips the section
// headers from many files, and debug/elf looks for libraries there. If the dynamic table is damaged, it returns an
// object without requirements, and an error.
func Read(b []byte) (o *Object, err error) {
	defer func() {
		if p := recover(); p != nil { // debug/elf reads untrusted bytes
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	r := &reader{file: f, bytes: b, left: maxRecords, o: Object{Class: f.Class, Machine: f.Machine}}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			r.o.Interp = text(r.segment(p), 0)
		}
		if p.Type == elf.PT_DYNAMIC && err == nil {
			err = r.dynamic(r.segment(p))
		}
	}
	return &r.o, err
}

// reader reads the bytes of a file.
type reader struct {
	file  *elf.File
	bytes []byte
	names []byte // the string table, and the bytes after it
	left  int    // records that may still be read
	o     Object
}

// segment returns the bytes of a segment, as far as the file has them.
func (r *reader) segment(p *elf.Prog) []byte {
	b := skip(r.bytes, p.Off)
	return b[:min(p.Filesz, uint64(len(b)))]
}

// at returns the bytes loaded at an address, up to the end of its segment. No table has address 0.
func (r *reader) at(addr uint64) []byte {
	for _, p := range r.file.Progs {
		if p.Type == elf.PT_LOAD && addr > 0 && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return skip(r.segment(p), addr-p.Vaddr)
		}
	}
	return nil
}

// dynamic reads the dynamic table and the tables that it points to.
func (r *reader) dynamic(table []byte) error {
	tags, needed := r.tags(table)
	r.names = r.at(tags[elf.DT_STRTAB])
	if len(tags) > 0 && len(r.names) == 0 {
		return errDamaged
	}
	for _, at := range needed {
		if name := text(r.names, at); name != "" {
			r.o.Needs = append(r.o.Needs, name)
		}
	}
	// Offset 0 of a string table is the empty string.
	if paths := cmp.Or(text(r.names, tags[elf.DT_RUNPATH]), text(r.names, tags[elf.DT_RPATH])); paths != "" {
		r.o.Paths = strings.Split(paths, ":")
	}
	r.versions(r.at(tags[elf.DT_VERNEED]), r.at(tags[elf.DT_VERDEF]))
	return nil
}

// tags returns the last value of each tag before DT_NULL, and all values of DT_NEEDED.
func (r *reader) tags(table []byte) (tags map[elf.DynTag]uint64, needed []uint64) {
	size, word := 4, r.word
	if r.file.Class == elf.ELFCLASS64 {
		size, word = 8, r.file.ByteOrder.Uint64
	}
	tags = map[elf.DynTag]uint64{}
	for ; len(table) >= 2*size && r.left > 0; table = table[2*size:] {
		tag, value := elf.DynTag(word(table)), word(table[size:]) //nolint:gosec // a strange one is of no interest
		if tag == elf.DT_NULL {
			break
		}
		if tags[tag] = value; tag == elf.DT_NEEDED {
			needed = append(needed, value)
		}
		r.left--
	}
	return tags, needed
}

// versions reads the tables of Verneed with its Vernaux, and of Verdef, whose first Verdaux has its name. They have
// the same layout with 32 and 64 bits.
func (r *reader) versions(needed, defined []byte) {
	r.o.Versions = map[string][]string{}
	r.records(needed, 12, func(need []byte) {
		lib := text(r.names, r.word(need[4:]))
		r.records(skip(need, r.word(need[8:])), 12, func(aux []byte) {
			r.o.Versions[lib] = append(r.o.Versions[lib], text(r.names, r.word(aux[8:])))
		})
	})
	r.records(defined, 16, func(def []byte) {
		if aux := skip(def, r.word(def[12:])); len(aux) >= 4 {
			r.o.Defines = append(r.o.Defines, text(r.names, r.word(aux)))
		}
	})
}

// records visits a list of records. The word at offset next of each is the distance to the following record, or 0.
func (r *reader) records(b []byte, next int, visit func([]byte)) {
	for step := uint64(1); step > 0 && len(b) >= next+4 && r.left > 0; b = skip(b, step) {
		r.left--
		visit(b)
		step = r.word(b[next:])
	}
}

func (r *reader) word(b []byte) uint64 { return uint64(r.file.ByteOrder.Uint32(b)) }

// skip drops the first n bytes.
func skip(b []byte, n uint64) []byte { return b[min(n, uint64(len(b))):] }

// text returns the string at an offset, or "" if it is not terminated.
func text(b []byte, at uint64) string {
	b = skip(b, at)
	end := bytes.IndexByte(b[:min(len(b), maxName)], 0)
	return string(b[:max(end, 0)])
}
