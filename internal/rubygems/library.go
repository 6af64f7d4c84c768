package rubygems

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// binDir is the directory for commands of an image's additions: TCL's /usr/local/bin, which is also the bindir of
// its ruby.tcz.
const binDir = "usr/local/bin"

// ErrNotRubyGems is returned for a tree that is not the source of the requested RubyGems.
var ErrNotRubyGems = fail.New(fail.Verification, "not the source of RubyGems", "")

// maxLibraryFile bounds a file of RubyGems' own library; the largest is about 100 KiB.
const maxLibraryFile = 8 << 20

// libraryVersion finds the library's own version, which has three forms:
//
//	RubyGemsVersion = '1.3.1'              in lib/rubygems/rubygems_version.rb, to 1.3.4
//	RubyGemsVersion = VERSION = '1.3.7'    in lib/rubygems.rb, 1.3.5 to 1.5.3
//	VERSION = '1.8.15'                     in lib/rubygems.rb, from 1.6.0
var libraryVersion = regexp.MustCompile(`(?m)^[ \t]*(?:VERSION|RubyGemsVersion|RubyGemsVersion\s*=\s*VERSION)\s*=\s*['"]([0-9A-Za-z.]+)['"]`)

// StageRubyGems returns the result of `ruby setup.rb --no-rdoc --no-ri` on the system of ruby. src is RubyGems'
// source archive without its top folder. All files are owned by root.
//
// setup.rb installs (setup.rb or lib/rubygems/commands/setup_command.rb of the tags v1.2.0 to v3.7.0):
//
//	version            from lib/ to sitelibdir, 0644             to bindir, 0755
//	to 1.8.23          every *rb, none in hidden directories     bin/* without update_rubygems: gem
//	1.8.24 to 1.8.30   *rb and *pem (ssl_certs)                  gem
//	2.0.0, 2.0.1       *rb                                       gem
//	2.0.2 to 3.1.x     *rb and *pem                              gem
//	3.2.0 to 3.4.17    every file, hidden ones too               gem
//	from 3.4.18        every file, hidden ones too               exe/gem, as gem
//
// The first line of gem is replaced by "#!" and the interpreter. Three things differ on purpose. The program is
// always called gem, even next to a ruby3.1, whose format_executable would make it gem3.1. It goes to
// /usr/local/bin. Bundler, which setup.rb installs from 2.7.0 on, is omitted: gem does not need it and it would
// enlarge the initrd. A new image needs neither the clean-up of older installations nor the release notes.
func StageRubyGems(ruby *Ruby, src *overlay.Tree, version string) (*overlay.Tree, error) {
	wanted, err := ParseVersion(version)
	if err != nil {
		return nil, fmt.Errorf("stage rubygems: %w", err)
	}
	if err := checkLibrary(src, wanted); err != nil {
		return nil, fmt.Errorf("stage rubygems %s: %s: %w", version, origins(src), err)
	}
	out := &overlay.Tree{}
	if err := stageLibrary(out, src, ruby.SiteLib, installs(wanted)); err != nil {
		return nil, fmt.Errorf("stage rubygems %s: %w", version, err)
	}
	if err := stageGemCommand(out, src, ruby.Bin); err != nil {
		return nil, fmt.Errorf("stage rubygems %s: %s: %w", version, origins(src), err)
	}
	return out, nil
}

// checkLibrary returns an error unless src is RubyGems of that version.
func checkLibrary(src *overlay.Tree, wanted Version) error {
	if _, err := readSource(src, "lib/rubygems.rb"); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRubyGems, err)
	}
	for _, name := range []string{"lib/rubygems.rb", "lib/rubygems/rubygems_version.rb"} {
		b, err := readSource(src, name)
		m := libraryVersion.FindSubmatch(b)
		if err != nil || m == nil {
			continue
		}
		if string(m[1]) != wanted.String() {
			return fmt.Errorf("%w: %s is version %.32q", ErrNotRubyGems, name, m[1])
		}
		return nil
	}
	return fmt.Errorf("%w: neither lib/rubygems.rb nor lib/rubygems/rubygems_version.rb gives a VERSION", ErrNotRubyGems)
}

// installs returns the files of lib/ that setup.rb of that version installs: see [StageRubyGems].
func installs(v Version) func(name string) bool {
	if !before(v, "3.2.0") {
		return func(string) bool { return true }
	}
	pem := !before(v, "1.8.24") && (before(v, "2.0.0") || !before(v, "2.0.2"))
	return func(name string) bool {
		if strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
			return false
		}
		return strings.HasSuffix(name, "rb") || pem && strings.HasSuffix(name, "pem")
	}
}

// before reports whether v, or its release if v is a prerelease, precedes version.
func before(v Version, version string) bool { return v.release().Compare(newVersion(version)) < 0 }

// stageLibrary copies the files of src's lib/ that keep accepts to siteLib.
func stageLibrary(out, src *overlay.Tree, siteLib string, keep func(string) bool) error {
	for _, e := range src.Entries() {
		name, inLib := strings.CutPrefix(e.Path, "lib/")
		if !inLib || e.IsDir() || !keep(name) {
			continue
		}
		file, err := src.Lookup(e.Path)
		if err != nil || !file.IsRegular() {
			return fmt.Errorf("%s: %s is no regular file", e.Origin, e.Path)
		}
		copied := overlay.Entry{
			Path: path.Join(siteLib, name), Mode: overlay.TypeRegular | 0o644,
			MTime: file.MTime, Size: file.Size, Open: file.Open, ID: file.ID, Origin: file.Origin,
		}
		if err := out.PutBelow(siteLib, copied); err != nil {
			return err
		}
	}
	return nil
}

// stageGemCommand installs the gem command for interpreter bin.
func stageGemCommand(out, src *overlay.Tree, bin string) error {
	name := "bin/gem"
	if src.Get(name) == nil {
		name = "exe/gem"
	}
	b, err := readSource(src, name)
	if err != nil {
		return fmt.Errorf("%w: neither bin/gem nor exe/gem", ErrNotRubyGems)
	}
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	e := overlay.File(binDir+"/gem", 0o755, append([]byte("#!"+bin+"\n"), rest...))
	from, err := src.Lookup(name)
	if err != nil {
		return err
	}
	e.MTime, e.Origin = from.MTime, from.Origin
	return out.Put(e)
}

func readSource(src *overlay.Tree, name string) ([]byte, error) {
	e, err := src.Lookup(name)
	if err != nil {
		return nil, err
	}
	return e.Content(maxLibraryFile)
}
