package inspect

import (
	"path"
	"strings"

	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
)

// checkAccess looks for ways into a machine that boots the image.
func checkAccess(j *judge) error {
	if j.Tree == nil {
		return nil
	}
	for _, name := range []string{"etc/shadow", "etc/shadow-", "etc/gshadow"} {
		if e := j.Tree.Get(name); e != nil && e.IsRegular() && e.Perm()&0o004 != 0 {
			j.add(ruleShadowMode, name, "its mode is %04o", e.Perm())
		}
	}
	for _, e := range j.Tree.Entries() {
		if isHostKey(e) {
			j.add(ruleHostKey, e.Path, "it is a private key")
		}
	}
	j.checkSecrets()
	if j.Manifest != nil && j.Manifest.Profile == "prod" {
		return j.checkProd()
	}
	for _, a := range j.accounts() {
		if a.Password == "none" {
			j.add(ruleOpenAccount, "etc/shadow", "%s needs none", a.Name)
		}
	}
	return nil
}

// isHostKey tells the private half of an ssh host key by its name and its text. dropbear's have
// a format of their own.
func isHostKey(e *overlay.Entry) bool {
	base := path.Base(e.Path)
	ssh := strings.HasPrefix(base, "ssh_host_") && strings.HasSuffix(base, "key")
	dropbear := strings.HasPrefix(base, "dropbear_") && strings.HasSuffix(base, "_host_key")
	if !e.IsRegular() || !ssh && !dropbear {
		return false
	}
	return e.Size > 0
}

// checkSecrets reads the values of server.cfg: "key = value" lines, as MCollective reads them.
func (j *judge) checkSecrets() {
	for _, name := range []string{mcoconfig.ServerCfg, "etc/mcollective/server.cfg"} {
		values := map[string]string{}
		for _, l := range j.lines(name) {
			if key, value, ok := strings.Cut(l, "="); ok {
				values[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		if mcoconfig.IsSample(values) {
			j.add(ruleSampleSecret, name, "anybody can know it")
		}
	}
}

// checkProd holds a prod image to the promise of its profile.
func (j *judge) checkProd() error {
	for _, s := range profile.ServerPaths(j.Tree) {
		name, _, _ := strings.Cut(s, " (")
		j.add(ruleProdServer, strings.TrimPrefix(name, "/"), "it lets people in")
	}
	j.checkArguments()
	open, err := profile.WaysIn(j.Tree)
	for _, way := range open {
		j.add(ruleProdOpen, "", "%s", way)
	}
	return err
}

// checkArguments looks at the kernel arguments of all menus.
func (j *judge) checkArguments() {
	if j.Medium == nil {
		return
	}
	for _, e := range j.Medium.Entries {
		for _, way := range profile.OpenArguments(e.Append) {
			j.add(ruleProdOpen, isoPrefix+e.Menu, "%s of the entry %s", way, named(e.Name, "(no name)"))
		}
	}
}
