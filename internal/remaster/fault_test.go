package remaster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/initrd"
	"mkbuild/internal/inputs"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/medium"
	"mkbuild/internal/squashfs"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

func TestBadBase(t *testing.T) {
	t.Parallel()
	files := isoFiles(t)
	core := files["boot/core.gz"]
	flipped := bytes.Clone(core)
	flipped[len(flipped)/2] ^= 0x40
	whole, err := tinymirror.ISO()
	testkit.Must(t, err)
	with := func(name string, b []byte) []byte {
		changed := map[string][]byte{}
		for n, c := range files {
			changed[n] = c
		}
		changed[name] = b
		if b == nil {
			delete(changed, name)
		}
		iso, err := tinymirror.ISOWith(changed)
		testkit.Must(t, err)
		return iso
	}
	const isoName = "Core-4.5.2.iso"
	tests := []struct {
		name  string
		iso   []byte
		class func(error) bool
		names []string
	}{
		{"text", []byte("hello"), is(iso9660.ErrNotISO), []string{isoName}},
		{"empty", nil, is(iso9660.ErrNotISO), []string{isoName}},
		{"cut off", whole[:len(whole)-4096], is(iso9660.ErrTruncated), []string{isoName, "truncated"}},
		{"cut off in its descriptors", whole[:17*2048+100], is(iso9660.ErrTruncated), []string{isoName}},
		{"no isolinux", with("boot/isolinux/isolinux.cfg", nil), is(medium.ErrNoMenu), []string{isoName}},
		{"no label", with("boot/isolinux/isolinux.cfg", []byte("timeout 3\n")), is(medium.ErrNoMenu), []string{isoName}},
		{"label of a file that is not there", with("boot/isolinux/isolinux.cfg", []byte("label a\nkernel /boot/nowhere\nappend initrd=/boot/core.gz\n")), ofClass(fail.Verification), []string{isoName, "isolinux.cfg:", "not on the medium"}},
		{"no kernel", with("boot/vmlinuz", nil), ofClass(fail.Verification), []string{isoName, "isolinux.cfg:", "not on the medium"}},
		{"no initrd", with("boot/core.gz", nil), ofClass(fail.Verification), []string{isoName, "isolinux.cfg:", "not on the medium"}},
		{"kernel without a header", with("boot/vmlinuz", make([]byte, 8192)), is(tcz.ErrNotKernel), []string{isoName, "boot/vmlinuz"}},
		{"kernel too short", with("boot/vmlinuz", []byte("MZ")), is(tcz.ErrNotKernel), []string{isoName, "boot/vmlinuz"}},
		{"initrd of text", with("boot/core.gz", []byte("hello, world\n")), is(initrd.ErrNotInitrd), []string{isoName, "boot/core.gz"}},
		{"initrd of nothing", with("boot/core.gz", []byte{}), is(initrd.ErrNotInitrd), []string{isoName, "boot/core.gz"}},
		{"initrd cut off", with("boot/core.gz", core[:len(core)/2]), is(initrd.ErrCorrupt), []string{isoName, "boot/core.gz"}},
		{"initrd with a wrong bit", with("boot/core.gz", flipped), is(initrd.ErrCorrupt), []string{isoName, "boot/core.gz"}},
		{"initrd with a wrong tail", with("boot/core.gz", append(bytes.Clone(core), "tail"...)), is(initrd.ErrCorrupt), []string{isoName, "boot/core.gz"}},
		{"initrd without accounts", with("boot/core.gz", baseWithout(t, "etc/shadow")), ofClass(fail.Verification), []string{"/etc/shadow"}},
		{"initrd without bootsync", with("boot/core.gz", baseWithout(t, "opt/bootsync.sh")), ofClass(fail.Verification), []string{"/opt/bootsync.sh"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := tinymirror.New(t)
			tinymirror.Publish(t, dir, isoPath, tc.iso)
			failCleanly(t, plan(t, dir), tc.class, tc.names...)
		})
	}
}

// failCleanly builds a plan, which must fail with a class of error that names its object, and checks that nothing
// is left behind.
func failCleanly(t *testing.T, p *inputs.Plan, class func(error) bool, names ...string) {
	t.Helper()
	out, cache := t.TempDir(), t.TempDir()
	b, _ := builder(t, cache)
	err := try(t, b, p, filepath.Join(out, "x.iso"))
	if err == nil || !class(err) {
		t.Fatalf("got %T: %v", err, err)
	}
	for _, n := range names {
		if !strings.Contains(err.Error(), n) {
			t.Errorf("%q is not named in: %v", n, err)
		}
	}
	checkEmpty(t, out)
	testkit.CheckCache(t, cache)
}

func baseWithout(t *testing.T, name string) []byte {
	t.Helper()
	tree := tinymirror.Base()
	tree.Remove(name)
	var out bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&out, tree, initrd.SegmentOptions{}))
	return out.Bytes()
}

func TestBadExtensions(t *testing.T) {
	t.Parallel()
	good := sqfs.Image([]sqfs.File{sqfs.Reg("usr/local/sbin/dmidecode", 0o755, strings.Repeat("dmidecode", 5000))})
	// The tables follow the data blocks: super.inode_table_start is at byte 64.
	broken := bytes.Clone(good)
	for i := range 96 {
		broken[len(broken)-4096+i] ^= 0xff
	}
	data := bytes.Clone(good)
	data[100] ^= 0xff
	for _, tc := range []struct {
		name  string
		file  []byte
		class func(error) bool
	}{
		{"text", []byte("hello"), is(squashfs.ErrNotSquashfs)},
		{"empty", nil, is(squashfs.ErrNotSquashfs)},
		{"cut off", good[:200], is(squashfs.ErrCorrupt)},
		{"data with a wrong byte", data, is(squashfs.ErrCorrupt)},
		{"tables with wrong bytes", broken, func(err error) bool { return err != nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := tinymirror.New(t)
			tinymirror.Publish(t, dir, tczDir+"/dmidecode.tcz", tc.file)
			failCleanly(t, plan(t, dir), tc.class, "dmidecode.tcz")
		})
	}
}

func TestGemsNeedRuby(t *testing.T) {
	t.Parallel()
	usage := func(err error) bool { return fail.ClassOf(err) == fail.Usage }
	failCleanly(t, plan(t, pristine, func(c *config.Config) { c.Extensions, c.MCollective, c.RubyGems = []string{"bash"}, nil, nil }), usage, "gems need Ruby")
}

// editGem returns the gem with its metadata changed.
func editGem(t *testing.T, gem []byte, old, now string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, r := tar.NewWriter(&out), tar.NewReader(bytes.NewReader(gem))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		b, rerr := io.ReadAll(r)
		if err = errors.Join(err, rerr); err != nil {
			t.Fatal(err)
		}
		if h.Name == "metadata.gz" {
			b = rezip(t, b, old, now)
			h.Size = int64(len(b))
		}
		if _, werr := w, w.WriteHeader(h); werr != nil {
			t.Fatal(werr)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Must(t, w.Close())
	return out.Bytes()
}

func rezip(t *testing.T, b []byte, old, now string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	testkit.Must(t, err)
	plain, err := io.ReadAll(z)
	if err != nil || !bytes.Contains(plain, []byte(old)) {
		t.Fatalf("%v, or no %q in\n%s", err, old, plain)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err = w.Write(bytes.ReplaceAll(plain, []byte(old), []byte(now)))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBadGems(t *testing.T) {
	t.Parallel()
	const dependency = "dependencies:\n- !ruby/object:Gem::Dependency\n  name: absent\n  requirement: !ruby/object:Gem::Requirement\n    requirements:\n    - - '>='\n      - !ruby/object:Gem::Version\n        version: '2'\n  type: :runtime\n  prerelease: false\n"
	for _, tc := range []struct {
		name, old, now string
		class          func(error) bool
		names          []string
	}{
		{"native extension", "extensions: []", "extensions:\n- ext/extconf.rb", ofClass(fail.Usage), []string{"stomp"}},
		{"another platform", "platform: ruby", "platform: x86-mswin32", ofClass(fail.Usage), []string{"stomp", "mswin"}},
		{"a platform in parts", "platform: ruby", "platform: !ruby/object:Gem::Platform\n  cpu:\n  os: java\n  version:", ofClass(fail.Usage), []string{"stomp", "java"}},
		{"missing dependency", "dependencies: []\n", dependency, ofClass(fail.Usage), []string{"stomp", "absent"}},
		{"another version", "version: 1.2.0", "version: 1.2.1", nil, []string{"stomp", "1.2.1"}},
		{"another name", "name: stomp", "name: other", nil, []string{"stomp", "other"}},
		{"not YAML", "platform: ruby", "platform: [", nil, []string{"stomp"}},
	} {
		for _, mode := range []string{"baked", "boot"} {
			t.Run(tc.name+" "+mode, func(t *testing.T) {
				t.Parallel()
				dir := tinymirror.New(t)
				testkit.Put(t, dir+"/archives/stomp-1.2.0.gem", editGem(t, tinymirror.Gem("stomp", "1.2.0", nil), tc.old, tc.now))
				class := tc.class
				if class == nil {
					class = func(err error) bool { return err != nil }
				}
				failCleanly(t, plan(t, dir, few, func(c *config.Config) { c.Gems.Mode = mode }), class, tc.names...)
			})
		}
	}
}

// TestGemWithoutItsExecutable builds, and warns, like `gem install`.
func TestGemWithoutItsExecutable(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	testkit.Put(t, dir+"/archives/stomp-1.2.0.gem", editGem(t, tinymirror.Gem("stomp", "1.2.0", nil), "executables: []", "executables: [gone]"))
	for _, mode := range []string{"baked", "boot"} {
		_, s, rec := staged(t, plan(t, dir, few, func(c *config.Config) { c.Gems.Mode = mode }))
		if got := rec.Texts(ui.Warning); strings.Count(got, "bin/gone") != 1 || !strings.Contains(got, "stomp-1.2.0.gem") {
			t.Errorf("%s: warned %q", mode, got)
		}
		if s.Added().Get("usr/local/bin/gone") != nil {
			t.Errorf("%s: the image has the command", mode)
		}
	}
}

// TestPinnedArchives compares a user's sha256 with the download.
func TestPinnedArchives(t *testing.T) {
	t.Parallel()
	dir, zeros := pristine, strings.Repeat("0", 64)
	for name, pin := range map[string]func(*config.Config){
		"rubygems-1.8.15":   func(c *config.Config) { c.RubyGems.SHA256 = zeros },
		"mcollective-1.2.1": func(c *config.Config) { c.MCollective.SHA256 = zeros },
		"daemons-1.1.8.gem": func(c *config.Config) { c.Gems.Install[0].SHA256 = zeros },
	} {
		failCleanly(t, plan(t, dir, few, pin), as[*fetch.ChecksumError], name, "sha256", zeros)
	}
}

func TestServerCfgErrors(t *testing.T) {
	t.Parallel()
	dir := pristine
	var env, file config.Value
	for yaml, v := range map[string]*config.Value{"{env: NOT_SET}": &env, "{file: nowhere.txt}": &file} {
		c, err := config.Parse("x.yaml", []byte("mcollective: {server: {plugin.psk: "+yaml+"}}"))
		testkit.Must(t, err)
		*v = *c.MCollective.Server["plugin.psk"]
	}
	multi := config.Text("two\nlines")
	for name, v := range map[string]*config.Value{"NOT_SET": &env, "nowhere.txt": &file, "plugin.psk": &multi} {
		failCleanly(t, plan(t, dir, few, func(c *config.Config) { c.MCollective.Server = map[string]*config.Value{"plugin.psk": v} }), ofClass(fail.Usage), name)
	}
}
