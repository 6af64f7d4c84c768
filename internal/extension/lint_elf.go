package extension

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"
)

const elfMagic = "\x7fELF"

// target is what programs for one architecture look like.
type target struct {
	class   elf.Class
	machine elf.Machine
	loaders []string // dynamic loaders of glibc
}

// targetOf knows the architectures of Tiny Core that a microkernel is built for.
func targetOf(arch string) (target, bool) {
	switch arch {
	case "x86":
		return target{elf.ELFCLASS32, elf.EM_386, []string{"/lib/ld-linux.so.2"}}, true
	case "x86_64":
		return target{elf.ELFCLASS64, elf.EM_X86_64, []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-x86-64.so.2"}}, true
	}
	return target{}, false
}

// KnownArch reports whether [LintOptions.Arch] can have that value.
func KnownArch(arch string) bool {
	_, ok := targetOf(arch)
	return ok
}

// glibc reports whether a library belongs to the C library itself, which every Tiny Core has.
func glibc(soname string) bool {
	stem, _, _ := strings.Cut(soname, ".so")
	return slices.Contains([]string{"libc", "libm", "libpthread", "libdl", "librt", "libresolv", "libnsl", "libutil", "libcrypt", "libanl", "ld-linux", "ld-linux-x86-64"}, stem)
}

// elfFile checks that a program or library fits the machine that it is sent to.
func (l *linter) elfFile(it *piece) {
	if it.elf == nil {
		return
	}
	f, err := readELF(it.elf)
	if err != nil {
		l.add(Error, "elf-damaged", it.Path, 0, "it begins like an ELF file but is none: "+err.Error(), "build or copy it again")
		return
	}
	want, _ := targetOf(l.opt.Arch)
	if f.class != want.class || f.machine != want.machine {
		l.add(Error, "elf-arch", it.Path, 0, fmt.Sprintf("it is built for %s, the image runs %s", archName(f.class, f.machine), l.opt.Arch),
			"build it for "+buildFor(l.opt.Arch)+", or lint for another image with --arch")
		return
	}
	l.loader(it, f, want)
	for _, lib := range f.needed {
		l.library(it, lib)
	}
}

// loader checks the program that the kernel starts to load shared libraries.
func (l *linter) loader(it *piece, f *elfInfo, want target) {
	if f.interp == "" {
		return
	}
	has, whose := slices.Contains(want.loaders, f.interp), "a microkernel"
	if l.opt.Image != nil {
		has, whose = l.opt.Image.has(f.interp), l.opt.Image.Name
	}
	if !has {
		l.add(Error, "elf-loader", it.Path, 0, fmt.Sprintf("it is started through %s, which %s does not have: the error will read \"not found\"", f.interp, whose),
			"link it statically, or against the glibc of the image")
	}
}

// library checks one DT_NEEDED entry: lib/ of the extension comes before the image.
func (l *linter) library(it *piece, lib elfNeed) {
	if strings.Contains(lib.name, "/") {
		l.add(Warning, "elf-library", it.Path, 0, fmt.Sprintf("it needs %q by its path", lib.name), "link it with -soname, and put the library into lib/")
		return
	}
	if l.exists(path.Join("lib", lib.name)) {
		return
	}
	im := l.opt.Image
	if im == nil {
		if !glibc(lib.name) {
			l.add(Warning, "elf-library", it.Path, 0, fmt.Sprintf("it needs %s, which is neither in lib/ nor part of glibc", lib.name), "put it into lib/, or check your image with --image FILE.iso")
		}
		return
	}
	versions, ok := im.library(lib.name)
	if !ok {
		l.add(Error, "elf-library", it.Path, 0, fmt.Sprintf("it needs %s, which is neither in lib/ nor in %s", lib.name, im.Name), "put it into lib/, or add its extension to mkbuild.yaml")
		return
	}
	for _, v := range lib.versions {
		if len(versions) > 0 && !slices.Contains(versions, v) {
			l.add(Error, "elf-version", it.Path, 0, fmt.Sprintf("it needs %s of %s, and that of %s has no such version", v, lib.name, im.Name), "build it on a system as old as the image, or link it statically")
			return
		}
	}
}

// elfInfo is what the checks need of an ELF file.
type elfInfo struct {
	class   elf.Class
	machine elf.Machine
	interp  string
	needed  []elfNeed
	defines []string // symbol versions that a library has
}

// elfNeed is one library with the symbol versions that are asked of it.
type elfNeed struct {
	name     string
	versions []string
}

// readELF parses hostile bytes: what makes debug/elf panic is an error too.
func readELF(b []byte) (info *elfInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			info, err = nil, fmt.Errorf("parse ELF: %v", p)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	info = &elfInfo{class: f.Class, machine: f.Machine, interp: interp(f)}
	libs, err := f.ImportedLibraries()
	if err != nil {
		libs = nil // static, or without sections
	}
	needs, _ := f.DynamicVersionNeeds() // none is normal
	for _, lib := range libs {
		n := elfNeed{name: lib}
		for _, v := range needs {
			if v.Name == lib {
				for _, dep := range v.Needs {
					n.versions = append(n.versions, dep.Dep)
				}
			}
		}
		info.needed = append(info.needed, n)
	}
	defined, _ := f.DynamicVersions() // none is normal
	for _, v := range defined {
		info.defines = append(info.defines, v.Name)
	}
	return info, nil
}

func interp(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > maxPath {
			continue
		}
		b := make([]byte, p.Filesz)
		if n, err := p.ReadAt(b, 0); err == nil || n == len(b) {
			return strings.TrimRight(string(b), "\x00")
		}
	}
	return ""
}

func archName(c elf.Class, m elf.Machine) string {
	for _, arch := range []string{"x86", "x86_64"} {
		if t, _ := targetOf(arch); t.class == c && t.machine == m {
			return arch
		}
	}
	return fmt.Sprintf("%s (%s)", m, c)
}

func buildFor(arch string) string {
	if arch == "x86" {
		return "32-bit x86 (gcc -m32, GOARCH=386)"
	}
	return "64-bit x86 (GOARCH=amd64)"
}
