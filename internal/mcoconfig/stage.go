package mcoconfig

import (
	"fmt"
	"path"
	"regexp"
	"slices"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// Places of MCollective in an image, as in the build document.
const (
	installedDir = "usr/local/tce.installed"
	linkPath     = "usr/local/mcollective"
	daemonLink   = "usr/local/sbin/mcollectived"
	configDir    = "usr/local/etc/mcollective"
)

// ServerCfg is the path of server.cfg in an image.
const ServerCfg = configDir + "/server.cfg"

// ErrNotMCollective is returned for a source archive without MCollective's daemon.
var ErrNotMCollective = fail.New(fail.Verification, "not the source of MCollective", "")

// versionForm is a text that may be part of a directory's name, up to maxVersion characters of it.
var versionForm = regexp.MustCompile(`^[0-9][0-9A-Za-z._+-]*$`)

const maxVersion = 64

// Stage returns MCollective's files for an image from its source archive src without its top folder. All are owned
// by root:
//
//	/usr/local/tce.installed/mcollective-<version>/**   the archive, directories 0755, files 0644 or 0755
//	/usr/local/mcollective                              a link to it
//	/usr/local/sbin/mcollectived                        a link to the daemon, which is made executable
//	/usr/local/etc/mcollective/server.cfg               cfg, 0640
//
// The daemon is mcollectived.rb in 1.x and bin/mcollectived in 2.x; without either Stage fails with
// [ErrNotMCollective]. Plugins are in plugins/mcollective, so that the libdir /usr/local/mcollective/plugins fits.
// From 2.8 on they are in lib, and the folder is made for the user's plugins. facts.yaml is not made: the client
// writes it.
func Stage(src *overlay.Tree, version string, cfg []byte) (*overlay.Tree, error) {
	if len(version) > maxVersion || !versionForm.MatchString(version) {
		return nil, fmt.Errorf("stage mcollective: version %.64q cannot name a directory", version)
	}
	daemon, err := findDaemon(src)
	if err != nil {
		return nil, fmt.Errorf("stage mcollective %s: %w", version, err)
	}
	home := installedDir + "/mcollective-" + version
	out := &overlay.Tree{}
	if err := copySource(out, src, home, daemon); err != nil {
		return nil, fmt.Errorf("stage mcollective %s: %w", version, err)
	}
	own := []overlay.Entry{
		overlay.Symlink(linkPath, "/"+home),
		overlay.Symlink(daemonLink, "/"+linkPath+"/"+daemon),
		overlay.Dir(configDir, 0o755),
		overlay.File(ServerCfg, 0o640, slices.Clone(cfg)),
	}
	if src.Get("plugins") == nil {
		own = append(own, overlay.Dir(home+"/plugins", 0o755), overlay.Dir(home+"/plugins/mcollective", 0o755))
	}
	for _, e := range own {
		e.Origin = "mkbuild"
		if err := out.Put(e); err != nil {
			return nil, fmt.Errorf("stage mcollective %s: %w", version, err)
		}
	}
	return out, nil
}

// findDaemon returns the path of mcollectived inside the archive.
func findDaemon(src *overlay.Tree) (string, error) {
	for _, name := range []string{"mcollectived.rb", "bin/mcollectived"} {
		if e, err := src.Lookup(name); err == nil && e.IsRegular() {
			return name, nil
		}
	}
	origin := "the archive"
	for _, e := range src.Entries() {
		if e.Origin != "" {
			origin = e.Origin
			break
		}
	}
	return "", fmt.Errorf("%w: %s has neither mcollectived.rb nor bin/mcollectived", ErrNotMCollective, origin)
}

// copySource copies src below home with an installer's permissions.
func copySource(out, src *overlay.Tree, home, daemon string) error {
	target, err := src.Resolve(daemon)
	if err != nil {
		return err
	}
	installed, err := src.Installed()
	if err != nil {
		return err
	}
	if err := out.Put(overlay.Dir(home, 0o755)); err != nil {
		return err
	}
	for _, e := range installed.Entries() {
		if e.Path == target {
			e.Mode |= 0o111
		}
		e.Path = path.Join(home, e.Path)
		if err := out.PutBelow(home, *e); err != nil {
			return err
		}
	}
	return nil
}
