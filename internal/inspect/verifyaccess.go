package inspect

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/extension"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
)

// checkAccess looks for ways into a machine that boots the image.
func checkAccess(m *Image, f findings) error {
	t := m.Tree
	for _, name := range []string{"etc/shadow", "etc/shadow-", "etc/gshadow"} {
		if e := t.Get(name); e != nil && e.IsRegular() && e.Perm()&0o004 != 0 {
			f.add(ruleShadowMode, name, "its mode is %04o", e.Perm())
		}
	}
	for _, e := range t.Entries() {
		if isHostKey(e) {
			f.add(ruleHostKey, e.Path, "it is a private key")
		}
	}
	checkSecrets(t, f)
	if m.isProd() {
		return nil
	}
	for _, a := range accounts(t) {
		if a.Password == "none" {
			f.add(ruleOpenAccount, "etc/shadow", "%s needs none", a.Name)
		}
	}
	return nil
}

// isHostKey tells the private half of an ssh host key by its name.
func isHostKey(e *overlay.Entry) bool {
	base := path.Base(e.Path)
	ssh := strings.HasPrefix(base, "ssh_host_") && strings.HasSuffix(base, "key")
	dropbear := strings.HasPrefix(base, "dropbear_") && strings.HasSuffix(base, "_host_key")
	return e.IsRegular() && e.Size > 0 && (ssh || dropbear)
}

// checkSecrets reads the values of server.cfg: "key = value" lines, as MCollective reads them.
func checkSecrets(t *overlay.Tree, f findings) {
	for _, name := range []string{mcoconfig.ServerCfg, "etc/mcollective/server.cfg"} {
		values := map[string]string{}
		for _, l := range lines(t, name) {
			if key, value, ok := strings.Cut(l, "="); ok {
				values[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		if mcoconfig.IsSample(values) {
			f.add(ruleSampleSecret, name, "anybody can know it")
		}
	}
}

// checkUnsigned looks at what mk-client takes from the network.
func checkUnsigned(t *overlay.Tree, f findings) {
	off := slices.ContainsFunc(lines(t, profile.ClientConfig), func(l string) bool { return extendOff.MatchString(l) })
	if t.Get(profile.ClientPath) != nil && t.Get(extension.KeysFile) == nil && !off {
		f.add(ruleUnsigned, profile.ClientPath, "the image has no extension keys: it runs what its server, or anybody in the server's place, hands out")
	}
}

// extendOff matches the setting that turns extensions off.
var extendOff = regexp.MustCompile(`^\s*"extend":\s*"(?i:off)",?\s*$`)

func (m *Image) isProd() bool { return m.Manifest != nil && m.Manifest.Profile == "prod" }

// config is what a prod image was made with; nil for other images.
func (m *Image) config() (*config.Config, error) {
	if !m.isProd() {
		return nil, nil //nolint:nilnil // no prod image is a normal answer
	}
	c, err := config.Parse("the manifest", m.Manifest.Config)
	return &c, err
}

// checkProd holds a prod image to the promise of its profile.
func checkProd(m *Image, f findings) error {
	c, err := m.config()
	if err != nil || c == nil {
		return err
	}
	for _, way := range profile.WaysIn(m.Tree, profile.Allow{Inittab: c.Boot.AllowInittab, Services: c.Services.Allow}) {
		rule := ruleProdOpen
		if way.Server {
			rule = ruleProdServer
		}
		f.add(rule, way.Path, "%s", way.What)
	}
	checkUnsigned(m.Tree, f)
	return nil
}

// checkMenus looks at what a prod image boots.
func checkMenus(m *Image, f findings) error {
	c, err := m.config()
	if err != nil || c == nil || m.Medium == nil {
		return err
	}
	for _, d := range m.Medium.WaysIn(c.Boot.Allow) {
		f.add(ruleProdOpen, mediumPrefix+d.Menu, "%s", d.InMenu())
	}
	return nil
}
