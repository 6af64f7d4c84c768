package remaster

import (
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/ui"
)

const mcoHome = "usr/local/tce.installed/mcollective-1.2.1"

// prodEntries are the additions of a prod image of the miniature mirror to its base: every entry except the
// directories above it, and the changes to the base's own entries.
func prodEntries() map[string]string {
	return map[string]string{
		// The base's directories keep their modes and owners if entries below them are added.
		".":                       "d 0755 0:0",
		"tmp":                     "d 1777 0:0",
		"opt":                     "d 2775 0:50",
		"usr/local/tce.installed": "d 0775 0:50",
		// Extensions: the first one wins, with the TCZ's modes and owners.
		"usr/local/bin/ruby":                            "f 0755 0:0",
		"usr/local/lib/ruby/1.8/i486-linux/rbconfig.rb": "f 0644 0:0",
		"usr/local/bin/bash":                            "f 0755 0:0",
		"usr/local/bin/rbash":                           "f 0755 0:0",
		"usr/local/lib/libncurses.so.5":                 "f 0755 0:0",
		"usr/local/share/terminfo/l/linux":              "f 0644 0:0",
		"usr/local/sbin/dmidecode":                      "f 0755 0:0",
		"usr/local/bin/lshw":                            "f 0755 0:0",
		"usr/local/bin/suid":                            "f 4755 0:0",
		"usr/local/lib/libssl.so.0.9.8":                 "f 0755 0:0",
		"usr/local/lib/modules/3.0.21-tinycore/kernel/drivers/scsi/x.ko.gz": "f 0644 0:0",
		"usr/local/lib/firmware/bnx2/x.fw":                                  "f 0644 0:0",
		// The files of tce-load.
		"usr/local/tce.installed/ruby":                 "f 0644 1001:50",
		"usr/local/tce.installed/ncurses":              "f 0644 1001:50",
		"usr/local/tce.installed/ncurses-common":       "f 0644 1001:50",
		"usr/local/tce.installed/bash":                 "f 0755 1001:50",
		"usr/local/tce.installed/dmidecode":            "f 0644 1001:50",
		"usr/local/tce.installed/lshw":                 "f 0644 1001:50",
		"usr/local/tce.installed/libssl-0.9.8":         "f 0644 1001:50",
		"usr/local/tce.installed/scsi-3.0.21-tinycore": "f 0644 1001:50",
		"usr/local/tce.installed/firmware-bnx2":        "f 0755 1001:50",
		"tmp/setup.lst":                                "f 0664 1001:50",
		"etc/sysconfig/newmodules":                     "f 0644 0:0",
		// Picked files, in the layout of a mounted extension.
		"tmp/tcloop":            "d 0775 0:50",
		"tmp/tcloop/util-linux": "d 0755 0:0",
		"tmp/tcloop/util-linux/usr/local/bin/lscpu":   "f 0755 0:0",
		"tmp/tcloop/util-linux/usr/local/sbin/sfdisk": "f 0755 0:0",
		"usr/local/bin/lscpu":                         "l -> /tmp/tcloop/util-linux/usr/local/bin/lscpu",
		"usr/local/sbin/sfdisk":                       "l -> /tmp/tcloop/util-linux/usr/local/sbin/sfdisk",
		// MCollective, all owned by root.
		mcoHome:                                "d 0755 0:0",
		mcoHome + "/mcollectived.rb":           "f 0755 0:0",
		"usr/local/mcollective":                "l -> /" + mcoHome,
		"usr/local/sbin/mcollectived":          "l -> /usr/local/mcollective/mcollectived.rb",
		"usr/local/etc/mcollective":            "d 0755 0:0",
		"usr/local/etc/mcollective/server.cfg": "f 0640 0:0",
		// RubyGems and the gems.
		"usr/local/lib/ruby/site_ruby/1.8/rubygems.rb":         "f 0644 0:0",
		"usr/local/lib/ruby/site_ruby/1.8/rubygems/version.rb": "f 0644 0:0",
		"usr/local/bin/gem": "f 0755 0:0",
		"usr/local/lib/ruby/gems/1.8/gems/daemons-1.1.8/lib/daemons.rb":    "f 0644 0:0",
		"usr/local/lib/ruby/gems/1.8/specifications/daemons-1.1.8.gemspec": "f 0644 0:0",
		"usr/local/lib/ruby/gems/1.8/gems/stomp-1.2.0/lib/stomp.rb":        "f 0644 0:0",
		"usr/local/lib/ruby/gems/1.8/gems/stomp-1.2.0/bin/stompcat":        "f 0755 0:0",
		"usr/local/lib/ruby/gems/1.8/specifications/stomp-1.2.0.gemspec":   "f 0644 0:0",
		"usr/local/lib/ruby/gems/1.8/cache":                                "d 0755 0:0",
		"usr/local/lib/ruby/gems/1.8/doc":                                  "d 0755 0:0",
		"usr/local/bin/stompcat":                                           "f 0755 0:0",
		// The changed files of the base, and the additions of the profile.
		"etc/shadow":                       "f 0640 0:0",
		"etc/inittab":                      "f 0644 0:0",
		"opt/bootsync.sh":                  "f 0755 0:50",
		"usr/local/etc/init.d/microkernel": "f 0755 0:0",
		"tmp/mk-version.yaml":              "f 0644 0:0",
		"usr/sbin/dmidecode":               "l -> /usr/local/sbin/dmidecode",
		"usr/local/sbin/mk-client":         "f 0755 0:0",
		"etc/razor-mk-client.conf":         "f 0644 0:0",
		"usr/lib/razor/reboot":             "l -> /sbin/reboot",
	}
}

// TestProdImageHoldsThisAndNothingElse compares the table of an image's required entries with the staged tree and
// with the kernel's tree of the written image.
func TestProdImageHoldsThisAndNothingElse(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine))
	name := t.TempDir() + "/x.iso"
	testkit.Must(t, b.WriteISO(t.Context(), s, name))
	_, written := initrdOf(t, openISO(t, name))
	want := prodEntries()
	for name := range tinymirror.MCollective("1.2.1") {
		if name := mcoHome + "/" + name; want[name] == "" {
			want[name] = "f 0644 0:0"
		}
	}
	for _, tree := range []struct {
		name string
		*overlay.Tree
	}{{"staged", s.Added()}, {"written", written}} {
		for p, w := range want {
			if got := describe(tree.Get(p)); got != w {
				t.Errorf("%s: /%s is %q, want %q", tree.name, p, got, w)
			}
		}
	}
	for _, e := range s.Added().Entries() {
		if _, ok := want[e.Path]; ok {
			continue
		}
		if !e.IsDir() {
			t.Errorf("/%s of %s was not asked for", e.Path, e.Origin)
		} else if base := tinymirror.Base().Get(e.Path); base == nil && describe(e) != "d 0755 0:0" || base != nil && describe(e) != describe(base) {
			t.Errorf("/%s is %q, in the base it is %q", e.Path, describe(e), describe(base))
		}
	}
	for _, e := range tinymirror.Base().Entries() {
		w, changed := want[e.Path]
		if !changed {
			w = describe(e)
		}
		if got := describe(written.Get(e.Path)); got != w {
			t.Errorf("of the base: /%s is %q, want %q", e.Path, got, w)
		}
	}
}

func TestProdTexts(t *testing.T) {
	t.Parallel()
	_, s, rec := staged(t, plan(t, pristine))
	added := s.Added()
	for name, want := range map[string]string{
		"tmp/setup.lst":                               "/usr/local/tce.installed/bash\n/usr/local/tce.installed/firmware-bnx2\n",
		"etc/sysconfig/newmodules":                    "",
		"usr/local/bin/rbash":                         "a conflict with bash\n", // of ncurses, which is loaded first
		"usr/local/tce.installed/ruby":                "",
		"usr/local/etc/mcollective/server.cfg":        string(mcoconfig.Default().Render()),
		"usr/local/bin/gem":                           "#!/usr/local/bin/ruby\nrequire 'rubygems'\n",
		"tmp/mk-version.yaml":                         "---\nmk_version: \"0.1.0\"\n",
		"etc/shadow":                                  "root:*:13525:0:99999:7:::\ntc:*:13646:0:99999:7:::\n",
		"etc/inittab":                                 "::sysinit:/etc/init.d/rcS\n::respawn:/usr/local/sbin/mk-client run\n",
		"opt/bootsync.sh":                             "#!/bin/sh\n/usr/bin/sethostname box\n/usr/local/etc/init.d/microkernel start\n/opt/bootlocal.sh &\n",
		"usr/local/sbin/mk-client":                    "mk-client for x86",
		"etc/razor-mk-client.conf":                    "{}\n",
		"tmp/tcloop/util-linux/usr/local/bin/lscpu":   "lscpu\n",
		"tmp/tcloop/util-linux/usr/local/sbin/sfdisk": "sfdisk\n",
	} {
		if got := text(t, added, name); got != want {
			t.Errorf("/%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	if got := text(t, added, "usr/local/bin/stompcat"); !strings.HasPrefix(got, "#!/usr/local/bin/ruby\n") || !strings.Contains(got, "'stomp'") {
		t.Errorf("the wrapper of stompcat:\n%s", got)
	}
	if s.Epoch != tinymirror.Time {
		t.Errorf("the image's time is %d, its newest input's is %d", s.Epoch, tinymirror.Time)
	}
	conflicts := rec.Texts(ui.Info)
	for _, want := range []string{
		"conflict: /etc/passwd of Core-4.5.2.iso stays; the one of bash.tcz is left out",
		"conflict: /usr/local/bin/rbash of ncurses.tcz stays; the one of bash.tcz is left out",
	} {
		if strings.Count(conflicts, want) != 1 {
			t.Errorf("%q is not told once in:\n%s", want, conflicts)
		}
	}
	if got := strings.Count(conflicts, "conflict:"); got != 2 {
		t.Errorf("%d conflicts, want 2:\n%s", got, conflicts)
	}
	for _, want := range []string{"plugin.psk", "plugin.stomp.password"} {
		if !strings.Contains(rec.Texts(ui.Warning), want) {
			t.Errorf("no warning of the published %s:\n%s", want, rec.Texts(ui.Warning))
		}
	}
}

// TestNothingElseOfUtilLinux: the extension's other programs would shadow busybox's.
func TestNothingElseOfUtilLinux(t *testing.T) {
	t.Parallel()
	_, s, _ := staged(t, plan(t, pristine))
	var got []string
	for _, e := range s.layers.Merged().Entries() {
		if e.Origin == "util-linux.tcz" && !e.IsDir() {
			got = append(got, e.Path)
		}
		if strings.HasSuffix(e.Path, "/mount") {
			t.Errorf("/%s is in the image", e.Path)
		}
	}
	want := "tmp/tcloop/util-linux/usr/local/bin/lscpu tmp/tcloop/util-linux/usr/local/sbin/sfdisk usr/local/bin/lscpu usr/local/sbin/sfdisk"
	if strings.Join(got, " ") != want {
		t.Errorf("of util-linux: %q, want %q", got, want)
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	dir := pristine
	for _, profile := range []string{"dev", "debug"} {
		_, s, _ := staged(t, plan(t, dir, profileOf(profile)))
		added := s.Added()
		for p, want := range map[string]string{
			"usr/local/sbin/sshd":                   "f 0755 0:0",
			"usr/local/bin/ssh-keygen":              "f 0755 0:0",
			"usr/local/lib/libcrypto.so.1.0.0":      "f 0755 0:0",
			"usr/local/lib/libgcc_s.so.1":           "f 0755 0:0",
			"etc/mkbuild":                           "d 0755 0:0",
			"etc/mkbuild/authorized_keys":           "f 0644 0:0",
			"usr/local/etc/ssh/sshd_config":         "f 0644 0:0",
			"usr/local/tce.installed/openssh":       "f 0644 1001:50",
			"usr/local/tce.installed/openssl-1.0.0": "f 0644 1001:50",
			"usr/local/tce.installed/gcc_libs":      "f 0644 1001:50",
		} {
			if got := describe(added.Get(p)); got != want {
				t.Errorf("%s: /%s is %q, want %q", profile, p, got, want)
			}
		}
		if got := text(t, added, "etc/mkbuild/authorized_keys"); got != rsaKey+"\n" {
			t.Errorf("%s: authorized keys %q", profile, got)
		}
		cfg := text(t, added, "usr/local/etc/ssh/sshd_config")
		for _, want := range []string{"PasswordAuthentication no\n", "PermitEmptyPasswords no\n", "ChallengeResponseAuthentication no\n", "AuthorizedKeysFile /etc/mkbuild/authorized_keys\n"} {
			if !strings.Contains(cfg, want) {
				t.Errorf("%s: sshd_config has no %q", profile, want)
			}
		}
		if script := text(t, added, "usr/local/etc/init.d/microkernel"); !strings.Contains(script, "ssh-keygen") || !strings.Contains(script, "/usr/local/sbin/sshd") {
			t.Errorf("%s: nothing makes host keys and starts sshd:\n%s", profile, script)
		}
		for _, e := range added.Entries() {
			if strings.Contains(e.Path, "ssh_host_") {
				t.Errorf("%s: a host key is baked in: /%s", profile, e.Path)
			}
		}
		if got := text(t, added, "etc/shadow"); strings.Contains(got, "tc::") {
			t.Errorf("%s: an account without password:\n%s", profile, got)
		}
		if login := strings.Contains(text(t, added, "etc/inittab"), "\ntty1::respawn:/sbin/getty"); login != (profile == "debug") {
			t.Errorf("%s: console login is %v", profile, login)
		}
	}
}

func TestGemsAtBoot(t *testing.T) {
	t.Parallel()
	dir := pristine
	_, s, _ := staged(t, plan(t, dir, func(c *config.Config) { c.Gems.Mode = "boot" }))
	added := s.Added()
	for _, g := range []string{"daemons-1.1.8.gem", "stomp-1.2.0.gem"} {
		if got, want := text(t, added, "opt/gems/"+g), string(testkit.Read(t, dir+"/archives/"+g)); got != want {
			t.Errorf("/opt/gems/%s is not the file that was fetched", g)
		}
	}
	if got := text(t, added, "opt/gems/install.list"); got != "daemons-1.1.8.gem\nstomp-1.2.0.gem\n" {
		t.Errorf("install.list: %q", got)
	}
	if got := describe(added.Get("opt/gems")); got != "d 0755 0:0" {
		t.Errorf("/opt/gems is %q", got)
	}
	script := text(t, added, "usr/local/etc/init.d/microkernel")
	for _, want := range []string{"/usr/local/bin/gem install --local", "--no-ri --no-rdoc", "/opt/gems/daemons-1.1.8.gem", "/opt/gems/stomp-1.2.0.gem"} {
		if !strings.Contains(script, want) {
			t.Errorf("the boot script has no %q:\n%s", want, script)
		}
	}
	if added.Get("usr/local/lib/ruby/gems/1.8/specifications/stomp-1.2.0.gemspec") != nil || added.Get("usr/local/bin/stompcat") != nil {
		t.Error("the gems are baked in as well")
	}
}

func TestServerCfgIsConfigurable(t *testing.T) {
	t.Parallel()
	host, psk := config.Text("broker.example"), config.Text("secret")
	_, s, rec := staged(t, plan(t, pristine, func(c *config.Config) {
		c.MCollective.Server = map[string]*config.Value{"plugin.stomp.host": &host, "plugin.psk": &psk, "plugin.stomp.user": nil}
	}))
	want := strings.NewReplacer("ubuntu-server", "broker.example", "klot2oj2ked2tayn3hu5on7l", "secret", "plugin.stomp.user = mcollective\n", "").Replace(string(mcoconfig.Default().Render()))
	if got := text(t, s.Added(), "usr/local/etc/mcollective/server.cfg"); got != want {
		t.Errorf("server.cfg:\n%s\nwant\n%s", got, want)
	}
	if w := rec.Texts(ui.Warning); strings.Contains(w, "plugin.psk") || strings.Contains(w, "secret") {
		t.Errorf("warnings:\n%s", w)
	}
}

func TestClientConfiguration(t *testing.T) {
	t.Parallel()
	dir := pristine
	_, s, _ := staged(t, plan(t, dir, func(c *config.Config) {
		c.Client.Settings = map[string]string{"server": "razor.example:8150"}
		c.MCollective.AllowSampleSecrets = true
	}))
	want := "{\n  \"mcollective.allow_sample_secrets\": \"on\",\n  \"server\": \"razor.example:8150\"\n}\n"
	if got := text(t, s.Added(), profile.ClientConfig); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, s, _ = staged(t, plan(t, dir, func(c *config.Config) { c.Client.Disabled = true }))
	if s.Added().Get("usr/local/sbin/mk-client") != nil || strings.Contains(text(t, s.Added(), "etc/inittab"), "mk-client") {
		t.Error("a disabled client is in the image")
	}
}
