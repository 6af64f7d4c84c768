package lint

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/needed"
)

// binFile checks a file below bin/.
func (f *file) binFile() {
	switch inside := f.dir() == "bin"; {
	case !inside && f.Executable():
		f.report(Warning, "bin-subdirectory", 0, "PATH has bin/ only, not the directories below it", "move it to bin/"+path.Base(f.Path))
	case inside && !f.Executable() && !f.l.src.NoModes:
		f.report(Error, "bin-not-executable", 0, "it is in bin/ but not executable: commands do not find it", "chmod +x, or move data to share/")
	}
}

// script checks text that the kernel starts through its first line.
func (f *file) script() {
	first, _, _ := bytes.Cut(f.body, []byte{'\n'})
	line, ok := bytes.CutPrefix(first, []byte("#!"))
	dir := f.dir()
	switch {
	case !ok && f.Executable() && (dir == "bin" || dir == "facts.d" && !isData(f.Path)):
		f.report(Warning, "no-shebang", 1, "it is executable text without a #! line: some callers cannot start it", "begin it with #!/bin/sh")
	case !ok:
	case bytes.HasSuffix(line, []byte{'\r'}):
		f.report(Error, "crlf", 1, "it has Windows line ends: the kernel looks for an interpreter whose name ends in \\r, and the script does nothing, silently",
			"dos2unix, or sed -i 's/\\r$//'")
	case bytes.ContainsRune(line, '\r'):
		f.report(Error, "crlf", 1, "its lines end in a lone \\r: for the kernel all of it is the #! line", "tr '\\r' '\\n'")
	case f.Executable():
		f.interpreter(strings.Fields(string(line)))
	}
}

// interpreter checks that the image has the programs of a #! line.
func (f *file) interpreter(words []string) {
	im := f.l.opt.Image
	switch {
	case len(words) == 0:
		f.report(Error, "interpreter", 1, "its #! line names no interpreter", "write #!/bin/sh")
	case !path.IsAbs(words[0]):
		f.report(Error, "interpreter", 1, fmt.Sprintf("its #! line names %q, which is relative to the caller's directory", words[0]), "name an absolute path such as /bin/sh")
	case path.Base(words[0]) == "env" && len(words) > 1 && !strings.HasPrefix(words[1], "-"):
		if own := f.l.files["bin/"+words[1]]; own == nil || !own.Executable() {
			f.missing(words[0], im.hasFile(words[0]))
			f.missing(words[1], im.hasCommand(words[1]))
		}
	default:
		f.missing(words[0], im.hasFile(words[0]))
	}
}

func (f *file) missing(name string, has bool) {
	switch {
	case has:
	case f.l.opt.Image != nil:
		f.report(Error, "interpreter", 1, fmt.Sprintf("%s has no %s", f.l.opt.Image.Name, name), "write it for /bin/sh or Ruby, or add the interpreter's extension to mkbuild.yaml")
	default:
		f.report(Warning, "interpreter", 1, fmt.Sprintf("a plain microkernel has no %s", name), "write it for /bin/sh or Ruby, or check your image with --image FILE.iso")
	}
}

// hasFile reports whether the image has a file; without an image, whether mkbuild's default
// image has it: busybox, and the extensions ruby and bash.
func (im *Image) hasFile(name string) bool {
	if im != nil {
		return im.loader.Has(name)
	}
	return slices.Contains([]string{"/bin/sh", "/bin/ash", "/usr/bin/env", "/usr/bin/awk", "/bin/sed", "/usr/local/bin/ruby", "/usr/local/bin/bash"}, name)
}

// hasCommand looks for a program in the default PATH.
func (im *Image) hasCommand(name string) bool {
	if im == nil {
		return slices.Contains([]string{"sh", "ash", "awk", "sed", "ruby", "bash"}, name)
	}
	return slices.ContainsFunc([]string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"},
		func(dir string) bool { return im.hasFile(path.Join(dir, name)) })
}

// target describes programs for one architecture.
type target struct {
	arch    string
	class   elf.Class
	machine elf.Machine
	loaders []string // dynamic loaders of glibc
	build   string   // how to build for it
}

// targets are the architectures of microkernels.
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

// elfFile checks that a program or library fits the machine.
func (f *file) elfFile() {
	o, err := needed.Read(f.body)
	if err != nil {
		f.report(Error, "elf-damaged", 0, "it begins like an ELF file, but is not readable as one: "+err.Error(), "build or copy it again")
		return
	}
	var want target
	built := fmt.Sprintf("%s (%s)", o.Machine, o.Class)
	for _, t := range targets() {
		if t.arch == f.l.opt.Arch {
			want = t
		}
		if t.class == o.Class && t.machine == o.Machine {
			built = t.arch
		}
	}
	if built != f.l.opt.Arch {
		f.report(Error, "elf-arch", 0, fmt.Sprintf("it is built for %s, the image runs %s", built, f.l.opt.Arch),
			"build it for "+want.build+", or lint for another image with --arch")
		return
	}
	has, whose := slices.Contains(want.loaders, o.Interp), "a microkernel"
	if im := f.l.opt.Image; im != nil {
		has, whose = im.loader.Has(o.Interp), im.Name
	}
	if o.Interp != "" && !has {
		f.report(Error, "elf-loader", 0, fmt.Sprintf("it is started through %s, which %s does not have: the error will read \"not found\"", o.Interp, whose),
			"link it statically, or against the glibc of the image")
	}
	for _, name := range o.Needs {
		f.library(o, name)
	}
}

// library looks for a needed library, first in lib/ of the extension, then in the image.
func (f *file) library(o *needed.Object, name string) {
	im := f.l.opt.Image
	switch {
	case strings.Contains(name, "/"):
		f.report(Warning, "elf-library", 0, fmt.Sprintf("it needs %q by its path", name), "link it with -soname, and put the library into lib/")
	case f.l.exists(path.Join("lib", name)):
	case im == nil && !glibc(name):
		f.report(Warning, "elf-library", 0, fmt.Sprintf("it needs %s, which is neither in lib/ nor part of glibc", name), "put it into lib/, or check your image with --image FILE.iso")
	case im == nil:
	default:
		lib := im.loader.Library(f.Path, o, name)
		if lib == nil {
			f.report(Error, "elf-library", 0, fmt.Sprintf("it needs %s, which is neither in lib/ nor in %s", name, im.Name), "put it into lib/, or add its extension to mkbuild.yaml")
			return
		}
		for _, v := range o.Versions[name] {
			if len(lib.Defines) > 0 && !slices.Contains(lib.Defines, v) {
				f.report(Error, "elf-version", 0, fmt.Sprintf("it needs %s of %s, and the one of %s has no such version", v, name, im.Name), "build it on a system as old as the image, or link it statically")
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

// newRuby is syntax that Ruby 1.8 cannot read, outside strings and comments.
var newRuby = []struct {
	match *regexp.Regexp
	what  string
	fix   string
}{
	{regexp.MustCompile(`[{(,|]\s*[a-z_]\w*:([\s,)|]|$)`), "a name followed by a colon", "write {:name => value}"},
	{regexp.MustCompile(`->\s*(\(|\{|do\b|[a-z_]\w*\s*(\{|do\b))`), "->", "write lambda { |x| … }"},
	{regexp.MustCompile(`[\w)\]]&\.[a-z_]`), "&.", "compare with nil"},
	{regexp.MustCompile(`[\w)\]]\.\(`), ".()", "write .call()"},
	{regexp.MustCompile(`<<~["'A-Z]`), "<<~", "write <<-"},
	{regexp.MustCompile(`(^|[^\w.])require_relative\b`), "require_relative", "write require: lib/ruby is in RUBYLIB"},
}

// quoted matches strings and comments of one line, which are ignored, along with a #{…} inside.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"|'(\\.|[^'\\])*'|(^|\s)#.*`)

// rubyFile looks for syntax newer than the image's Ruby, which silently skips such a file. An unknown image may
// have Ruby 1.8.
func (f *file) rubyFile() {
	sev, whose := Warning, "Ruby 1.8 of Tiny Core 4.x"
	im := f.l.opt.Image
	if !im.oldRuby() || f.marked() {
		return
	}
	if im != nil {
		sev, whose = Error, "Ruby 1.8 of "+im.Name
	}
	hidden, before := false, "" // inside =begin and =end; last character of the line before
	for i, line := range strings.Split(string(f.body), "\n") {
		switch {
		case line == "__END__":
			return
		case strings.HasPrefix(line, "=begin"), strings.HasPrefix(line, "=end"):
			hidden = strings.HasPrefix(line, "=begin")
		}
		code := before + quoted.ReplaceAllString(line, `""`)
		if before = strings.TrimSpace(code); before != "" {
			before = before[len(before)-1:]
		}
		for _, s := range newRuby {
			if !hidden && s.match.MatchString(code) {
				f.report(sev, "ruby-syntax", i+1, fmt.Sprintf("%s cannot read %s, and skips the file", whose, s.what), s.fix)
				return
			}
		}
	}
}
