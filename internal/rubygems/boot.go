package rubygems

import (
	"fmt"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// Where an image keeps the gems that it installs while booting.
const (
	repositoryDir  = "opt/gems"
	repositoryList = "install.list"
)

// Repository returns the directory from which a booting image installs gems by itself: /opt/gems with
// the .gem files as they were read, and install.list, which names them one a line, dependencies first.
// It makes the same checks as [Install], so that what is installed at boot is known to fit, and one more:
// RubyGems before 1.8.2 does not install a gem that lacks one of its executables.
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

// BootInstallScript returns the lines of a POSIX shell script that install the gems of [Repository],
// to be run as root. rubygems is the version of RubyGems in the image: from 2.0 on it takes
// --no-document, before that --no-ri and --no-rdoc. No gems give no lines.
//
// One command installs them all, since each start of gem costs a second on a small machine; its
// exit status is not zero when any gem failed, and it goes on with the next one after a failure.
// --local keeps it off the network. --ignore-dependencies is right because [Repository] checked them
// and the files are named in the order of their dependencies; without it RubyGems 1.8 would look for
// dependencies in the current directory alone. Standard input is /dev/null, so that no question stops
// a boot.
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
