package rubygems

import (
	"fmt"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// Where an image stores the gems that it installs at boot.
const (
	repositoryDir  = "opt/gems"
	repositoryList = "install.list"
)

// Repository returns the directory from which a booting image installs gems: /opt/gems with the original .gem
// files, and install.list with their names, one a line, dependencies first. It makes the same checks as [Install],
// so that the installation at boot succeeds, and one more: RubyGems before 1.8.2 does not install a gem that lacks
// one of its executables.
func Repository(ruby *Ruby, gems []*Gem) (*overlay.Tree, error) {
	if err := check(ruby, gems); err != nil {
		return nil, err
	}
	v, err := ParseVersion(ruby.RubyGems)
	old := err == nil && before(v, "1.8.2")
	out := &overlay.Tree{}
	var list strings.Builder
	for _, g := range inOrder(gems) {
		if missing := g.MissingExecutables(); old && len(missing) > 0 {
			return nil, fail.New(fail.Usage, fmt.Sprintf("install %s while booting: the gem lacks its executable %s, which RubyGems %s needs", g.File, missing[0], v),
				"set gems.mode to baked, or rubygems.version to 1.8.2 or later")
		}
		list.WriteString(g.String() + ".gem\n")
		e := overlay.File(repositoryDir+"/"+g.String()+".gem", 0o644, g.raw)
		e.MTime, e.Origin = g.MTime, g.File
		if err := out.PutBelow(repositoryDir, e); err != nil {
			return nil, err
		}
	}
	e := overlay.File(repositoryDir+"/"+repositoryList, 0o644, []byte(list.String()))
	e.Origin = "mkbuild"
	if err := out.PutBelow(repositoryDir, e); err != nil {
		return nil, err
	}
	return out, nil
}

// BootInstallScript returns the lines of a POSIX shell script that install the gems of [Repository] as root.
// rubygems is the version of RubyGems in the image: from 2.0 on the script passes --no-document, before that
// --no-ri and --no-rdoc. Without gems it returns no lines.
//
// One command installs all gems, because each start of gem takes a second on a small machine. After a failure it
// continues with the next gem; its exit status is not zero if any gem failed. --local prevents network access.
// --ignore-dependencies is right because [Repository] checked the dependencies and orders the files by them;
// without it RubyGems 1.8 would search only the current directory. Standard input is /dev/null, so that no question
// stops a boot.
func BootInstallScript(gems []*Gem, rubygems string) string {
	if len(gems) == 0 {
		return ""
	}
	noDocs := "--no-document"
	if v, err := ParseVersion(rubygems); err == nil && before(v, "2.0") {
		noDocs = "--no-ri --no-rdoc"
	}
	var b strings.Builder
	b.WriteString("HOME=\"${HOME:-/root}\" /" + binDir + "/gem install --local --ignore-dependencies " + noDocs +
		" --bindir /" + binDir)
	for _, g := range inOrder(gems) {
		b.WriteString(" \\\n  /" + repositoryDir + "/" + g.String() + ".gem")
	}
	b.WriteString(" </dev/null\n")
	return b.String()
}
