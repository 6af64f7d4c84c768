package inputs

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

// cell is a public mirror's listing of one series and architecture, reduced to a microkernel's needs.
type cell struct {
	release, arch string
	kernel        string // of the ISO
	names         string
	ruby          string // its version, or "" if there is none
	want          string // the chosen Ruby and modules, and other choices
}

// cells returns the listings of public mirrors. 17.x x86 was read when it was new.
func cells() []cell {
	const firmware = " firmware-broadcom_bnx2 firmware-broadcom_bnx2x"
	const old86 = "ruby-1.9 ruby-2.0 ruby-2.1 ruby-2.2 bash dmidecode lshw util-linux openssh openssl" + firmware
	const old64 = "ruby bash dmidecode util-linux openssh openssl" + firmware
	const newer = "ruby bash dmidecode lshw util-linux openssh" + firmware
	const facter2, facter4 = "facter-2.5.7", "facter-4.10.0"
	return []cell{
		{"4.5.2", "x86", "3.0.21-tinycore", "ruby bash dmidecode lshw scsi-3.0.21-tinycore libssl-0.9.8 firmware-bnx2 openssl-1.0.0 openssh util-linux", "1.8.7", "ruby lshw libssl-0.9.8 firmware-bnx2 facter-1.7.6 mcollective-1.2.1"},
		{"4.7.7", "x86_64", "3.0.21-tinycore64", "bash openssh openssl-1.0.0 scsi-3.0.21-tinycore64 util-linux grub2-efi", "", "bash util-linux"},
		{"5.2", "x86", "3.8.13-tinycore", "ruby-1.9 ruby-2.0 ruby-2.1 bash dmidecode lshw util-linux openssl-1.0.0 openssh scsi-3.8.10-tinycore scsi-3.8.10-tinycore64 scsi-3.8.13-tinycore scsi-3.8.13-tinycore64" + firmware, "2.1.5", "ruby-2.1 lshw " + facter2},
		{"5.0", "x86_64", "3.8.10-tinycore64", "bash dmidecode util-linux openssl-1.0.0 openssh grub2-efi scsi-3.8.10-tinycore64 scsi-3.8.13-tinycore64" + firmware, "", "dmidecode firmware-broadcom_bnx2x"},
		{"6.4", "x86", "3.16.6-tinycore", old86 + " scsi-3.16.6-tinycore", "2.2.0", "ruby-2.2 lshw " + facter2},
		{"6.4", "x86_64", "3.16.6-tinycore64", old64 + " scsi-3.16.6-tinycore64", "2.2.0", "ruby " + facter2},
		{"7.2", "x86", "4.2.9-tinycore", old86 + " scsi-4.2.7-tinycore scsi-4.2.9-tinycore", "2.2.0", "ruby-2.2 lshw " + facter2},
		{"7.0", "x86_64", "4.2.7-tinycore64", old64 + " scsi-4.2.7-tinycore64 scsi-4.2.9-tinycore64", "2.2.0", "ruby " + facter2},
		{"8.2.1", "x86", "4.8.17-tinycore", old86 + " scsi-4.8.17-tinycore scsi-4.8.17-tinycore64", "2.2.0", "ruby-2.2 lshw " + facter2},
		{"8.2.1", "x86_64", "4.8.17-tinycore64", old64 + " scsi-4.8.17-tinycore64", "2.3.0", "ruby " + facter2},
		{"9.0", "x86", "4.14.10-tinycore", old86 + " scsi-4.14.10-tinycore scsi-4.14.10-tinycore64", "2.2.0", "ruby-2.2 lshw " + facter2},
		{"9.0", "x86_64", "4.14.10-tinycore64", old64 + " scsi-4.14.10-tinycore64", "2.4.0", "ruby " + facter2},
		{"10.1", "x86", "4.19.10-tinycore", newer + " openssl openssl-1.1.1 scsi-4.19.10-tinycore", "2.5.3", "ruby lshw " + facter4},
		{"10.1", "x86_64", "4.19.10-tinycore64", newer + " openssl openssl-1.1.1 scsi-4.19.10-tinycore64", "2.5.3", "ruby lshw " + facter4},
		{"11.1", "x86", "5.4.3-tinycore", newer + " openssl-1.1.1 scsi-5.4.3-tinycore", "2.5.7", "ruby " + facter4},
		{"11.1", "x86_64", "5.4.3-tinycore64", newer + " openssl-1.1.1 scsi-5.4.3-tinycore64", "2.5.7", "ruby lshw " + facter4},
		{"12.0", "x86", "5.10.3-tinycore", newer + " openssl-1.1.1 scsi-5.10.3-tinycore", "2.7.2", "ruby lshw " + facter4},
		{"12.0", "x86_64", "5.10.3-tinycore64", newer + " openssl-1.1.1 scsi-5.10.3-tinycore64", "2.7.2", "ruby lshw " + facter4},
		{"13.1", "x86", "5.15.10-tinycore", newer + " openssl-1.1.1 scsi-5.15.10-tinycore", "2.7.2", "ruby lshw " + facter4},
		{"13.1", "x86_64", "5.15.10-tinycore64", newer + " openssl-1.1.1 scsi-5.15.10-tinycore64", "2.7.2", "ruby lshw " + facter4},
		{"14.0", "x86", "6.1.2-tinycore", newer + " openssl openssl-1.1.1 scsi-6.1.2-tinycore scsi-6.1.2-tinycore64", "2.7.2", "ruby " + facter4},
		{"14.0", "x86_64", "6.1.2-tinycore64", newer + " openssl-1.1.1 scsi-6.1.2-tinycore64", "2.7.2", "ruby " + facter4},
		{"15.0", "x86", "6.6.8-tinycore", newer + " openssl openssl-1.1.1 scsi-6.6.8-tinycore scsi-6.6.8-tinycore64", "3.3.1", "ruby " + facter4},
		{"15.0", "x86_64", "6.6.8-tinycore64", newer + " openssl openssl-1.1.1 scsi-6.6.8-tinycore64", "3.3.1", "ruby " + facter4},
		{"16.2", "x86", "6.12.11-tinycore", newer + " openssl openssl-1.1.1 scsi-6.12.11-tinycore", "3.3.1", "ruby lshw " + facter4},
		{"16.2", "x86_64", "6.12.11-tinycore64", newer + " openssl openssl-1.1.1 scsi-6.12.11-tinycore64", "3.3.1", "ruby lshw " + facter4},
		{"17.0", "x86", "6.18.2-tinycore", "bash util-linux openssl scsi-6.18.2-tinycore scsi-6.18.2-tinycore64", "", "bash util-linux"},
		{"17.1", "x86_64", "6.18.35-tinycore64", newer + " openssl openssl-1.1.1 grub2-multi scsi-6.18.2-tinycore64 scsi-6.18.35-tinycore64", "3.3.1", "ruby lshw " + facter4},
	}
}

// publish puts the cell into a mirror on disk.
func (c *cell) publish(t *testing.T, dir string) {
	t.Helper()
	folder := majorOf(c.release) + ".x/" + c.arch
	edition := map[string]string{"x86": "Core", "x86_64": "CorePure64"}[c.arch]
	var core bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&core, tinymirror.Base(), initrd.SegmentOptions{ModTime: tinymirror.Time}))
	iso, err := tinymirror.ISOWith(map[string][]byte{
		"boot/vmlinuz": tinymirror.VMLinuz(c.kernel), "boot/core.gz": core.Bytes(), "boot/isolinux/isolinux.cfg": []byte(tinymirror.ISOLinuxCfg),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512),
	})
	testkit.Must(t, err)
	tinymirror.Publish(t, dir, folder+"/release/"+edition+"-"+c.release+".iso", iso)
	for _, name := range strings.Fields(c.names) {
		files := []sqfs.File{sqfs.Reg("usr/local/share/"+name, 0o644, name)}
		if kernel, ok := strings.CutPrefix(name, "scsi-"); ok {
			files = []sqfs.File{sqfs.Reg("usr/local/lib/modules/"+kernel+"/kernel/x.ko.gz", 0o644, "ko\n")}
		}
		if strings.HasPrefix(name, "ruby") {
			files = tinymirror.Ruby(c.ruby)
		}
		tinymirror.Publish(t, dir, folder+"/tcz/"+name+".tcz", sqfs.Image(files))
	}
}

// TestEverySeries resolves mkbuild's defaults on a mirror with the real names and without listings.
func TestEverySeries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string][]byte{
		"facter-2.5.7.gem": tinymirror.Gem("facter", "2.5.7", nil), "facter-1.7.6.gem": tinymirror.Gem("facter", "1.7.6", nil),
		"json_pure-1.6.5.gem": tinymirror.Gem("json_pure", "1.6.5", nil),
	} {
		testkit.Put(t, filepath.Join(dir, "archives", name), text)
	}
	for _, name := range []string{"facter-4.10.0.gem", "hocon-1.3.1.gem", "thor-1.2.1.gem", "stomp-1.2.0.gem", "daemons-1.1.8.gem", "rubygems-1.8.15.tgz", "mcollective-1.2.1.tgz"} {
		testkit.Put(t, filepath.Join(dir, "archives", name), testkit.Read(t, filepath.Join(pristine, "archives", name)))
	}
	url := testkit.ServeMirror(t, dir, false)
	archives := filepath.Join(dir, "archives")
	seen := map[string]bool{}
	for _, c := range cells() {
		series := majorOf(c.release) + ".x " + c.arch
		seen[series] = true
		t.Run(series, func(t *testing.T) {
			c.publish(t, dir)
			conf := config.Default()
			conf.Release, conf.Arch, conf.Profile, conf.Mirrors = c.release, c.arch, "prod", config.URLs{url}
			p, err := NewPlan(conf)
			testkit.Must(t, err)
			p.Mirrors = append(p.Mirrors, Mirror{Release: dir, Archived: dir, TCZ: dir, Archives: archives}) // archives are on no public mirror
			o, said := options(t.TempDir())
			r := gathered(t, p, o)
			var names []string
			for _, in := range r.Lock.Inputs {
				names = append(names, strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(in.Name, ".tcz"), ".gem"), ".tgz"))
			}
			for _, want := range append(strings.Fields(c.want), "bash", "scsi-"+c.kernel) {
				if !slices.Contains(names, want) {
					t.Errorf("no %s among %s", want, names)
				}
			}
			scsi := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, "scsi-") })
			rubies := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n != "ruby" && !strings.HasPrefix(n, "ruby-") })
			if len(scsi) != 1 || len(rubies) > 1 || (len(rubies) == 0) != (c.ruby == "") {
				t.Errorf("modules %s, Ruby %s", scsi, rubies)
			}
			got := said.Texts(ui.Warning)
			if c.ruby != "" && got != "" || c.ruby == "" && (strings.Count(got, "\n") != 1 || !strings.Contains(got, ".iso: the image has no Ruby: no RubyGems, no gems, no MCollective; ")) {
				t.Errorf("warnings:\n%s", got)
			}
			if c.ruby == "" && slices.ContainsFunc(r.Lock.Inputs, func(in lock.Input) bool { return in.Kind != lock.ISO && in.Kind != lock.TCZ }) {
				t.Errorf("without a Ruby: %s", names)
			}
		})
	}
	if len(seen) != 28 {
		t.Errorf("%d series, want those of 4.x to 17.x on two architectures", len(seen))
	}
}
