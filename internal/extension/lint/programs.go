package lint

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/needed"
)

// binFile checks a file below bin/.
func (l *linter) binFile(it *piece) {
	switch inside := path.Dir(it.Path) == "bin"; {
	case !inside && it.Executable():
		l.add(Warning, "bin-subdirectory", it.Path, 0, "PATH has bin/ only, not the directories below it", "move it to bin/"+path.Base(it.Path))
	case inside && !it.Executable() && !l.src.NoModes:
		l.add(Error, "bin-not-executable", it.Path, 0, "it is in bin/ but not executable: commands do not find it", "chmod +x, or move data to share/")
	}
}

// script checks text that the kernel starts through its first line.
func (l *linter) script(it *piece) {
	first, _, _ := bytes.Cut(it.body, []byte{'\n'})
	line, ok := bytes.CutPrefix(first, []byte("#!"))
	dir := path.Dir(it.Path)
	switch {
	case !ok && it.Executable() && (dir == "bin" || dir == "facts.d" && !isData(it.Path)):
		l.add(Warning, "no-shebang", it.Path, 1, "it is executable text without a #! line: whether it runs depends on who starts it", "begin it with #!/bin/sh")
	case !ok:
	case bytes.HasSuffix(line, []byte{'\r'}):
		l.add(Error, "crlf", it.Path, 1, "it has Windows line ends: the kernel looks for an interpreter whose name ends in \\r, and the script does nothing, silently",
			"dos2unix, or sed -i 's/\\r$//'")
	case it.Executable():
		l.interpreter(it, strings.Fields(string(line)))
	}
}

// interpreter checks that the image has what the words of a #! line name.
func (l *linter) interpreter(it *piece, words []string) {
	switch {
	case len(words) == 0:
		l.add(Error, "interpreter", it.Path, 1, "its #! line names no interpreter", "write #!/bin/sh")
	case !path.IsAbs(words[0]):
		l.add(Error, "interpreter", it.Path, 1, fmt.Sprintf("its #! line names %q, which is looked for from the caller's directory", words[0]), "name an absolute path such as /bin/sh")
	case path.Base(words[0]) == "env" && len(words) > 1 && !strings.HasPrefix(words[1], "-"):
		if f := l.files["bin/"+words[1]]; f == nil || !f.Executable() {
			l.missing(it, words[0], l.hasFile(words[0]))
			l.missing(it, words[1], l.hasCommand(words[1]))
		}
	default:
		l.missing(it, words[0], l.hasFile(words[0]))
	}
}

func (l *linter) missing(it *piece, name string, has bool) {
	switch {
	case has:
	case l.opt.Image != nil:
		l.add(Error, "interpreter", it.Path, 1, fmt.Sprintf("%s has no %s", l.opt.Image.Name, name), "write it for /bin/sh or Ruby, or add the interpreter's extension to mkbuild.yaml")
	default:
		l.add(Warning, "interpreter", it.Path, 1, fmt.Sprintf("a plain microkernel has no %s", name), "write it for /bin/sh or Ruby, or check your image with --image FILE.iso")
	}
}

// hasFile reports whether the image has a file; without an image, whether mkbuild's default
// image has it: busybox, and the extensions ruby and bash.
func (l *linter) hasFile(name string) bool {
	if l.opt.Image != nil {
		return l.opt.Image.loader.Has(name)
	}
	return slices.Contains([]string{"/bin/sh", "/bin/ash", "/usr/bin/env", "/usr/bin/awk", "/bin/sed", "/usr/local/bin/ruby", "/usr/local/bin/bash"}, name)
}

// hasCommand looks for a program in the default PATH.
func (l *linter) hasCommand(name string) bool {
	if l.opt.Image == nil {
		return slices.Contains([]string{"sh", "ash", "awk", "sed", "ruby", "bash"}, name)
	}
	return slices.ContainsFunc([]string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"},
		func(dir string) bool { return l.hasFile(path.Join(dir, name)) })
}

// target is what programs for one architecture look like.
type target struct {
	arch    string
	class   elf.Class
	machine elf.Machine
	loaders []string // dynamic loaders of glibc
	build   string   // how to build for it
}

// targets are the architectures of Tiny Core that a microkernel is built for.
func targets() []target {
	return []target{
		{"x86", elf.ELFCLASS32, elf.EM_386, []string{"/lib/ld-linux.so.2"}, "32-bit x86 (gcc -m32, GOARCH=386)"},
		{"x86_64", elf.ELFCLASS64, elf.EM_X86_64, []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-x86-64.so.2"}, "64-bit x86 (GOARCH=amd64)"},
	}
}

// KnownArch reports whether [Options.Arch] can have that value.
func KnownArch(arch string) bool {
	return slices.ContainsFunc(targets(), func(t target) bool { return t.arch == arch })
}

// elfFile checks that a program or library fits the machine that it is sent to.
func (l *linter) elfFile(it *piece) {
	o, err := needed.Read(it.body)
	if err != nil {
		l.add(Error, "elf-damaged", it.Path, 0, "it begins like an ELF file but is none: "+err.Error(), "build or copy it again")
		return
	}
	var want target
	built := fmt.Sprintf("%s (%s)", o.Machine, o.Class)
	for _, t := range targets() {
		if t.arch == l.opt.Arch {
			want = t
		}
		if t.class == o.Class && t.machine == o.Machine {
			built = t.arch
		}
	}
	if built != l.opt.Arch {
		l.add(Error, "elf-arch", it.Path, 0, fmt.Sprintf("it is built for %s, the image runs %s", built, l.opt.Arch),
			"build it for "+want.build+", or lint for another image with --arch")
		return
	}
	has, whose := slices.Contains(want.loaders, o.Interp), "a microkernel"
	if im := l.opt.Image; im != nil {
		has, whose = im.loader.Has(o.Interp), im.Name
	}
	if o.Interp != "" && !has {
		l.add(Error, "elf-loader", it.Path, 0, fmt.Sprintf("it is started through %s, which %s does not have: the error will read \"not found\"", o.Interp, whose),
			"link it statically, or against the glibc of the image")
	}
	for _, name := range o.Needs {
		l.library(it, o, name)
	}
}

// library checks one library that a file needs: lib/ of the extension comes before the image.
func (l *linter) library(it *piece, o *needed.Object, name string) {
	im := l.opt.Image
	switch {
	case strings.Contains(name, "/"):
		l.add(Warning, "elf-library", it.Path, 0, fmt.Sprintf("it needs %q by its path", name), "link it with -soname, and put the library into lib/")
	case l.exists(path.Join("lib", name)):
	case im == nil && !glibc(name):
		l.add(Warning, "elf-library", it.Path, 0, fmt.Sprintf("it needs %s, which is neither in lib/ nor part of glibc", name), "put it into lib/, or check your image with --image FILE.iso")
	case im == nil:
	default:
		lib := im.loader.Library(it.Path, o, name)
		if lib == nil {
			l.add(Error, "elf-library", it.Path, 0, fmt.Sprintf("it needs %s, which is neither in lib/ nor in %s", name, im.Name), "put it into lib/, or add its extension to mkbuild.yaml")
			return
		}
		for _, v := range o.Versions[name] {
			if len(lib.Defines) > 0 && !slices.Contains(lib.Defines, v) {
				l.add(Error, "elf-version", it.Path, 0, fmt.Sprintf("it needs %s of %s, and that of %s has no such version", v, name, im.Name), "build it on a system as old as the image, or link it statically")
				return
			}
		}
	}
}

// glibc reports whether a library belongs to the C library itself, which every Tiny Core has.
func glibc(soname string) bool {
	stem, _, _ := strings.Cut(soname, ".so")
	return slices.Contains([]string{"libc", "libm", "libpthread", "libdl", "librt", "libresolv", "libnsl", "libutil", "libcrypt", "libanl", "ld-linux", "ld-linux-x86-64"}, stem)
}
