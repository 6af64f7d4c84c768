package remaster

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/ui"
)

// userFiles writes a user's own files and returns the folder.
func userFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"etc/motd": 0o644, "usr/local/bin/tool": 0o755, "opt/bootsync.sh": 0o700, "usr/local/bin/bash": 0o755, "etc/secret": 0o600,
	} {
		p := filepath.Join(dir, name)
		testkit.Put(t, p, []byte("the user's "+name+"\n"))
		testkit.Must(t, os.Chmod(p, mode))
	}
	testkit.Must(t, os.Symlink("tool", filepath.Join(dir, "usr/local/bin/alias")))
	testkit.Must(t, os.Chmod(filepath.Join(dir, "usr/local/bin/tool"), 0o755|os.ModeSetuid))
	return dir
}

func TestUserOverlayWinsOverEverything(t *testing.T) {
	t.Parallel()
	dir, own := pristine, userFiles(t)
	_, s, _ := staged(t, plan(t, dir, func(c *config.Config) {
		c.Overlay = []config.UserFiles{
			{Source: own, Target: "/"},
			{Source: filepath.Join(own, "etc/motd"), Target: "/etc/issue"},
			{Source: filepath.Join(own, "etc/motd"), Target: "/home/tc/", Owner: "1001:50"},
		}
	}))
	added := s.Added()
	for p, want := range map[string]string{
		"etc/motd":            "f 0644 0:0",
		"etc/secret":          "f 0600 0:0",
		"usr/local/bin/tool":  "f 4755 0:0",
		"usr/local/bin/alias": "l -> tool",
		"opt/bootsync.sh":     "f 0700 0:0",
		"usr/local/bin/bash":  "f 0755 0:0",
		"etc/issue":           "f 0644 0:0",
		"home/tc/motd":        "f 0644 1001:50",
		"opt":                 "d 2775 0:50",
		"tmp":                 "d 1777 0:0",
		".":                   "d 0755 0:0",
	} {
		if got := describe(added.Get(p)); got != want {
			t.Errorf("/%s is %q, want %q", p, got, want)
		}
	}
	for _, p := range []string{"opt/bootsync.sh", "usr/local/bin/bash"} {
		if got := text(t, added, p); got != "the user's "+p+"\n" {
			t.Errorf("/%s: %q", p, got)
		}
	}
}

func TestUserOverlayErrors(t *testing.T) {
	t.Parallel()
	dir, own := pristine, userFiles(t)
	b, _ := builder(t, warm)
	over := func(source, target string) error {
		return try(t, b, plan(t, dir, func(c *config.Config) { c.Overlay = []config.UserFiles{{Source: source, Target: target}} }), filepath.Join(own, "x.iso"))
	}
	if err := over(filepath.Join(own, "nowhere"), "/"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a source that is not there: %v", err)
	}
	if err := over(filepath.Join(own, "etc/motd"), "/usr/local"); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), "usr/local") {
		t.Errorf("a file in the place of a folder: %v", err)
	}
	testkit.Put(t, filepath.Join(own, "shadow/etc/shadow"), []byte("root::0:0:99999:7:::\ntc:*:0:0:99999:7:::\n"))
	if err := over(filepath.Join(own, "shadow"), "/"); !errors.Is(err, profile.ErrOpen) || !strings.Contains(err.Error(), "root") {
		t.Errorf("a prod image with an open account: %v", err)
	}
	testkit.Put(t, filepath.Join(own, "ssh/usr/sbin/dropbear"), []byte("x"))
	if err := over(filepath.Join(own, "ssh"), "/"); !errors.Is(err, profile.ErrOpen) || !strings.Contains(err.Error(), "/usr/sbin/dropbear") {
		t.Errorf("a prod image with an ssh server: %v", err)
	}
	if _, err := os.Stat(filepath.Join(own, "x.iso")); err == nil {
		t.Error("an image was written")
	}
}

func TestProdRefusesSSHServer(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	_, err := b.Stage(t.Context(), plan(t, pristine, func(c *config.Config) { c.Extensions = append(c.Extensions, "openssh") }))
	if !errors.Is(err, profile.ErrOpen) || !strings.Contains(err.Error(), "/usr/local/sbin/sshd (openssh.tcz)") {
		t.Errorf("got %v", err)
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	dir := pristine
	b, _ := builder(t, warm)
	pick := func(files ...string) (*Staged, error) {
		return b.Stage(t.Context(), plan(t, dir, func(c *config.Config) { c.Picks[0].Files = files }))
	}
	if _, err := pick("usr/local/bin/lsusb"); err == nil || err.Error() != "pick usr/local/bin/lsusb: util-linux.tcz has no such file" || fail.ClassOf(err) != fail.Usage {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := pick("usr/local/bin/sfdisk"); err == nil || !strings.Contains(fail.HintOf(err), "usr/local/sbin/sfdisk") {
		t.Errorf("a file that is elsewhere: %v", err)
	}
	if _, err := pick("usr/local/bin"); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := pick("../etc/passwd"); !errors.Is(err, overlay.ErrPath) {
		t.Errorf("a path that leads out: %v", err)
	}
	s, err := pick("sfdisk") // a bare name that matches one file
	testkit.Must(t, err)
	if got := describe(s.Added().Get("usr/local/sbin/sfdisk")); got != "l -> /tmp/tcloop/util-linux/usr/local/sbin/sfdisk" {
		t.Errorf("by its bare name: %q", got)
	}
}

// TestPickFollowsLinks: the file is copied, like with cp, with root as owner.
func TestPickFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	real := sqfs.Reg("usr/local/lib/real", 0o4711, "real\n")
	real.UID, real.GID = 1001, 50
	publishTCZ(t, dir, "util-linux", sqfs.Symlink("usr/local/bin/lscpu", "../lib/real"), real, sqfs.Reg("usr/local/sbin/sfdisk", 0o755, "s"))
	_, s, _ := staged(t, plan(t, dir))
	if got := describe(s.Added().Get("tmp/tcloop/util-linux/usr/local/lib/real")) + describe(s.Added().Get("tmp/tcloop/util-linux/usr/local/bin/lscpu")); !strings.Contains(got, "f 4711 0:0") {
		t.Errorf("the picked file: %q", got)
	}
	target, err := s.layers.Merged().Lookup("usr/local/bin/lscpu")
	if err != nil || text(t, s.layers.Merged(), target.Path) != "real\n" {
		t.Errorf("/usr/local/bin/lscpu leads to %v, %v", target, err)
	}
}

// TestMCollective2 has the daemon in the place of 2.x archives, under GitHub's top folder.
func TestMCollective2(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	testkit.Put(t, dir+"/archives/mcollective-2.12.5.tgz", tgz(t, tinymirror.Time, "marionette-collective-2.12.5/bin/mcollectived", "marionette-collective-2.12.5/lib/mcollective.rb"))
	_, s, _ := staged(t, plan(t, dir, func(c *config.Config) {
		c.MCollective.Version, c.MCollective.URL = "2.12.5", config.URLs{dir + "/archives/mcollective-{version}.tgz"}
	}))
	for p, want := range map[string]string{
		"usr/local/tce.installed/mcollective-2.12.5/bin/mcollectived": "f 0755 0:0",
		"usr/local/tce.installed":                                     "d 0775 0:50",
		"usr/local/mcollective":                                       "l -> /usr/local/tce.installed/mcollective-2.12.5",
		"usr/local/sbin/mcollectived":                                 "l -> /usr/local/mcollective/bin/mcollectived",
	} {
		if got := describe(s.Added().Get(p)); got != want {
			t.Errorf("/%s is %q, want %q", p, got, want)
		}
	}
	daemon, err := s.layers.Merged().Lookup("usr/local/sbin/mcollectived")
	if err != nil || daemon.Perm()&0o111 == 0 {
		t.Errorf("the daemon cannot be run: %v", err)
	}
	testkit.Put(t, dir+"/archives/mcollective-3.tgz", tgz(t, tinymirror.Time, "something-else/README"))
	b, _ := builder(t, warm)
	if _, err := b.Stage(t.Context(), plan(t, dir, func(c *config.Config) {
		c.MCollective.Version, c.MCollective.URL = "3", config.URLs{dir + "/archives/mcollective-3.tgz"}
	})); !errors.Is(err, mcoconfig.ErrNotMCollective) || !strings.Contains(err.Error(), "mcollective-3") {
		t.Errorf("another archive: %v", err)
	}
}

// TestMCollectiveIsJudgedByItsVersion tests the warnings of whole builds: the archive, the gems and the server.cfg
// of the finished image count.
func TestMCollectiveIsJudgedByItsVersion(t *testing.T) {
	t.Parallel()
	dir, own := tinymirror.New(t), t.TempDir()
	testkit.Put(t, dir+"/archives/mcollective-2.12.5.tgz", tinymirror.Archive("marionette-collective-2.12.5", tinymirror.MCollective("2.12.5")))
	testkit.Put(t, own+"/usr/local/etc/mcollective/server.cfg", []byte("libdir = /usr/local/mcollective/plugins\nttl = 60\ntopicprefix = /topic/\n"+
		"plugin.psk = own\nplugin.yaml = /usr/local/etc/mcollective/facts.yaml\nplugin.stomp.host = h\nplugin.stomp.user = u\nplugin.stomp.password = own\n"))
	secrets := serverValue(t, "plugin.psk: own, plugin.stomp.password: own")
	onlyDaemons := func(c *config.Config) { c.Gems.Install = c.Gems.Install[:1] }
	two := func(c *config.Config) {
		c.MCollective.Version, c.MCollective.URL = "2.12.5", config.URLs{dir + "/archives/mcollective-{version}.tgz"}
	}
	const noStomp = "mcollective server.cfg: connector: /" + mcoHome + "/plugins/mcollective/connector/stomp.rb requires stomp, which neither Ruby nor a gem in the image has: " +
		"mcollectived ends at once; add the gem stomp to gems.install, or an extension that brings it\n"
	tests := []struct {
		name  string
		edits []func(*config.Config)
		want  string
	}{
		{"good", []func(*config.Config){secrets}, ""},
		{"gems installed while booting", []func(*config.Config){secrets, func(c *config.Config) { c.Gems.Mode = "boot" }}, ""},
		{"no gem stomp", []func(*config.Config){secrets, onlyDaemons}, noStomp},
		{"no gem stomp while booting", []func(*config.Config){secrets, onlyDaemons, func(c *config.Config) { c.Gems.Mode = "boot" }}, noStomp},
		{
			"a key of 2.x", []func(*config.Config){serverValue(t, "plugin.psk: own, plugin.stomp.password: own, direct_addressing: 1")},
			"mcollective server.cfg: direct_addressing: is unknown to MCollective 1.2.1, which then exits",
		},
		{
			"server.cfg of the user's own", []func(*config.Config){func(c *config.Config) { c.Overlay = []config.UserFiles{{Source: own, Target: "/", Owner: "0:0"}} }},
			"mcollective server.cfg: ttl: is unknown to MCollective 1.2.1, which then exits; correct its name under mcollective.server, or remove it\n",
		},
		{
			"2.x", []func(*config.Config){serverValue(t, "plugin.psk: own, connector: rabbitmq, plugin.rabbitmq.pool.size: 1, plugin.rabbitmq.pool.1.host: h, "+
				"plugin.rabbitmq.pool.1.user: u, plugin.rabbitmq.pool.1.password: own"), two},
			"mcollective server.cfg: mcollectived: /usr/local/tce.installed/mcollective-2.12.5/lib/mcollective.rb requires json, which neither Ruby nor a gem in the image has: " +
				"mcollectived ends at once; add the gem json_pure to gems.install\n",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, _, rec := staged(t, plan(t, dir, append([]func(*config.Config){few}, tc.edits...)...))
			got := rec.Texts(ui.Warning)
			if strings.HasSuffix(tc.want, "\n") || tc.want == "" {
				if got != tc.want {
					t.Errorf("got\n%s\nwant\n%s", got, tc.want)
				}
			} else if !strings.HasPrefix(got, tc.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("got\n%s\nwant one line that begins with\n%s", got, tc.want)
			}
		})
	}
}

// TestRootOfExtensionIsIgnored: the root of most real extensions is tc's; some have mode 0777.
func TestRootOfExtensionIsIgnored(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	root, local := sqfs.Dir(".", 0o777), sqfs.Dir("usr/local", 0o777)
	root.UID, root.GID, local.UID, local.GID = 1001, 50, 1001, 50
	publishTCZ(t, dir, "dmidecode", root, local, sqfs.Reg("usr/local/sbin/dmidecode", 0o755, "d"), sqfs.Dir("usr/local/var", 0o2775))
	b, s, _ := staged(t, plan(t, dir))
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Must(t, b.WriteISO(t.Context(), s, name))
	_, tree := initrdOf(t, openISO(t, name))
	for p, want := range map[string]string{".": "d 0755 0:0", "usr/local": "d 0755 0:0", "usr/local/var": "d 2775 0:0", "usr/local/tce.installed": "d 0775 0:50"} {
		if got := describe(tree.Get(p)); got != want {
			t.Errorf("/%s is %q, want %q", p, got, want)
		}
	}
}

// TestExtensionBelowASymlink: a directory of an extension must not replace a symlink of the base.
func TestExtensionBelowASymlink(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	publishTCZ(t, dir, "dmidecode", sqfs.Reg("lib/modules/"+tinymirror.Kernel+"/kernel.tclocal/y.ko.gz", 0o644, "y"))
	_, s, _ := staged(t, plan(t, dir))
	added := s.Added()
	if got := describe(added.Get("usr/local/lib/modules/" + tinymirror.Kernel + "/kernel/y.ko.gz")); got != "f 0644 0:0" {
		t.Errorf("the file is not where the symlink leads: %q", got)
	}
	if e := added.Get("lib/modules/" + tinymirror.Kernel + "/kernel.tclocal"); e != nil {
		t.Errorf("the base's symlink became %q", describe(e))
	}
}

func TestMissingModulesAreWarnedOf(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	files := isoFiles(t)
	files["boot/vmlinuz"] = tinymirror.VMLinuz("9.9.9-tinycore")
	publishISO(t, dir, files)
	_, s, rec := staged(t, plan(t, dir, func(c *config.Config) { c.Extensions = []string{"ruby"} }))
	if s.Kernel != "9.9.9-tinycore" || !strings.Contains(rec.Texts(ui.Warning), "nozswap") {
		t.Errorf("kernel %q, warnings:\n%s", s.Kernel, rec.Texts(ui.Warning))
	}
	if s.Added().Get("etc/sysconfig/newmodules") != nil {
		t.Error("newmodules without new modules")
	}
}

func TestClientMissing(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	missing := errors.New("built without mk-client")
	b.Client = func(string) (*io.SectionReader, error) { return nil, missing }
	nowhere := plan(t, filepath.Join(t.TempDir(), "no mirror"))
	if _, err := b.Stage(t.Context(), nowhere); !errors.Is(err, missing) {
		t.Errorf("an image that never checks in: %v, want to hear of it before the first request", err)
	}
	s, err := b.Stage(t.Context(), plan(t, pristine, func(c *config.Config) { c.Client.Disabled = true }))
	testkit.Must(t, err)
	if strings.Contains(text(t, s.layers.Merged(), "etc/inittab"), "mk-client") {
		t.Error("init would respawn a program that is not there")
	}
}

func TestClientCA(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	const cert = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"
	ca := filepath.Join(dir, "ca.pem")
	testkit.Put(t, ca, []byte(cert))
	withCA := func(c *config.Config) { c.Client.CA = ca }
	_, s, _ := staged(t, plan(t, dir, withCA))
	if text(t, s.Added(), clientCA) != cert || !strings.Contains(text(t, s.Added(), profile.ClientConfig), `"ca": "/etc/mkbuild/ca.pem"`) {
		t.Errorf("configuration:\n%s", text(t, s.Added(), profile.ClientConfig))
	}
	b, _ := builder(t, warm)
	for name, pem := range map[string]string{
		"no PEM": "hello\n", "a private key": cert + "-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----\n",
	} {
		testkit.Put(t, ca, []byte(pem))
		if _, err := b.Stage(t.Context(), plan(t, dir, withCA)); fail.ClassOf(err) != fail.Usage || strings.Contains(err.Error(), "MAo") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
