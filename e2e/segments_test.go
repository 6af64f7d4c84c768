package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// segments writes an image as a PXE folder in segments.
func (f fixture) segments(t *testing.T, dir, folder string, edit func(string) string, args ...string) {
	t.Helper()
	args = append([]string{"iso", "--config", f.config(t, dir, edit), "--cache-dir", filepath.Join(f.dir, "cache"), "--progress", "quiet", "--format", "pxe", "--layout", "segments", "-o", folder}, args...)
	if _, stderr, err := f.run(t, args...); err != nil {
		t.Fatalf("mkbuild %q: %v\n%s", args, err, stderr)
	}
}

// TestNightliesBehindACache simulates a month at a site. Each night has another value of server.cfg and another
// time. All go into one folder that nginx serves, with the site's nginx as a cache in front. The second night's
// node boots with the BIOS's iPXE and checks in, and the origin sends the site less than 100 kB for it. All nights
// together are smaller than two ISOs.
func TestNightliesBehindACache(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.quick = true
	dir, boot := t.TempDir(), t.TempDir()
	folder := filepath.Join(boot, "microkernel")
	night := func(n int) {
		t.Helper()
		server := fmt.Sprintf("\nmcollective:\n  server: {plugin.stomp.host: broker%d.example}\n", n)
		f.segments(t, dir, folder, func(text string) string { return strings.Replace(text, "\nmcollective:\n", server, 1) },
			"--source-date-epoch", fmt.Sprint(1700000000+n*86400))
	}
	night(0)
	s := serve(t, f, folder, "")
	f.args = " razor.server=" + strings.Trim(strings.Replace(s.url, "http://127.0.0.1", guestHost, 1), "/")
	night(0)
	n := testkit.StartNginx(t, filepath.Join(root(t), "examples"), boot)
	fetchAsNode(t, n.Site+"/microkernel/")
	_, first := n.Sent(t)
	night(1)
	time.Sleep(2100 * time.Millisecond) // a site refreshes a boot file after a second, and nginx counts whole seconds
	site := strings.Replace(n.Site, "127.0.0.1", guestHost, 1)
	vm := start(t, qemu.Machine{MemoryMiB: 768, NetBoot: site + "/microkernel/boot.ipxe"}, "MK loaded: v")
	s.await(t, vm, "checked in", func(facts map[string]any) bool { return facts["mk_version"] != nil })
	requests, second := n.Sent(t)
	t.Logf("the origin sent %d bytes for the first night, and %d for the second: %q", first, second, requests)
	if second >= 100_000 || second == 0 || first < 20_000_000 {
		t.Errorf("the origin sent %d bytes, and then %d", first, second)
	}
	vm.Stop()
	for n := 2; n < 30; n++ {
		night(n)
	}
	iso, err := os.Stat(f.image(t, with("")))
	testkit.Must(t, err)
	if size := sizeOf(t, folder); size >= 2*iso.Size() {
		t.Errorf("30 nights have %d bytes, an ISO %d", size, iso.Size())
	} else {
		t.Logf("30 nights have %d bytes, an ISO %d", size, iso.Size())
	}
	if out, stderr, err := f.run(t, "verify", folder); err != nil {
		t.Errorf("%v\n%s%s", err, out, stderr)
	}
}

// fetchAsNode fetches the files of a booting node.
func fetchAsNode(t *testing.T, base string) {
	t.Helper()
	get := func(name string) string {
		resp, err := http.Get(base + name)
		testkit.Must(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", name, resp.StatusCode, err)
		}
		return string(b)
	}
	for _, name := range regexp.MustCompile(`blobs/\S+`).FindAllString(get("boot.ipxe"), -1) {
		get(name)
	}
}

func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	testkit.Must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		return err
	}))
	return size
}

// TestSegmentsByUEFI boots the 64-bit series with UEFI's iPXE from mkbuild serve, which names every segment.
func TestSegmentsByUEFI(t *testing.T) {
	testkit.Tool(t, "qemu-system-x86_64")
	t.Parallel()
	f := setup(t)
	f.configName, f.quick = "mkbuild-x86_64.yaml", true
	dir := t.TempDir()
	folder := filepath.Join(dir, "pxe")
	f.segments(t, dir, folder, with(""))
	s := serve(t, f, folder, "")
	script := strings.Replace(s.url, "127.0.0.1", guestHost, 1) + "svc/boot?net0=52-54-00-12-34-56"
	vm := start(t, qemu.Machine{Program: "qemu-system-x86_64", MemoryMiB: 1024, Firmware: firmware, NetBoot: script}, "PROBE firmware UEFI")
	s.await(t, vm, "checked in", func(facts map[string]any) bool { return facts["mk_version"] != nil })
}
