//go:build linux

package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// guestHost is this machine's loopback in QEMU's guests.
const guestHost = "10.0.2.2"

// server is a running `mkbuild serve`.
type server struct {
	url, rules, zip string
	log             *os.File
}

// serve starts the check-in server like a user, with Razor's own config.yaml, an image to boot machines with, and
// further kernel arguments for them.
func serve(t *testing.T, f fixture, image, args string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{rules: filepath.Join(dir, "rules.yaml"), zip: filepath.Join(dir, "mk-extension.zip")}
	var err error
	s.log, err = os.Create(filepath.Join(dir, "log"))
	testkit.Must(t, err)
	config := filepath.Join(dir, "config.yaml")
	put(t, config, "all:\n  microkernel:\n    extension-zip: "+s.zip+"\n    kernel_args: "+bootArgs+" razor.fact.site=lab "+args+"\n")
	put(t, s.rules, "tags: []\npolicies: []\n")
	cmd := exec.CommandContext(t.Context(), f.mkbuild, "serve", "--razor-config", config, "--rules", s.rules, "--image", image,
		"--listen", "127.0.0.1:0", "--host", guestHost, "--data", filepath.Join(dir, "data"))
	cmd.Stderr = s.log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait(); s.log.Close() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("mkbuild serve said nothing: %v\n%s", err, contents(t, s.log.Name()))
	}
	s.url = strings.TrimSpace(line)
	return s
}

func put(t *testing.T, name, text string) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	testkit.Must(t, os.WriteFile(name, []byte(text), 0o644))
}

// node is the server's record of the one machine that checks in.
type node struct {
	Facts map[string]any `json:"facts"`
}

func (s *server) get(t *testing.T, path string, into any) bool {
	t.Helper()
	resp, err := http.Get(s.url + path)
	testkit.Must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, b)
	}
	return true
}

// node fetches the first node; nil means that none has checked in yet.
func (s *server) node(t *testing.T) *node {
	t.Helper()
	var n node
	if !s.get(t, "api/collections/nodes/node1", &n) || n.Facts == nil {
		return nil
	}
	return &n
}

// heard is the amount of output of the machine and its server.
func (s *server) heard(t *testing.T, vm *qemu.VM) func() int {
	return func() int {
		b, err := os.ReadFile(s.log.Name())
		if err != nil {
			t.Error(err)
		}
		return len(vm.Log()) + len(b)
	}
}

// await polls until the node's facts satisfy ok.
func (s *server) await(t *testing.T, vm *qemu.VM, what string, ok func(facts map[string]any) bool) *node {
	t.Helper()
	ctx := patient(t, s.heard(t, vm))
	for ctx.Err() == nil {
		if n := s.node(t); n != nil && ok(n.Facts) {
			return n
		}
		select {
		case <-vm.Ended():
			t.Fatalf("the machine ended before %s\n%s", what, vm.Log())
		case <-time.After(500 * time.Millisecond):
		}
	}
	facts := "no check-in"
	if n := s.node(t); n != nil {
		b, _ := json.MarshalIndent(n.Facts, "", " ")
		facts = string(b)
	}
	t.Fatalf("%v, and not %s\nfacts: %s\nserver:\n%s\nconsole:\n%s", context.Cause(ctx), what, facts, contents(t, s.log.Name()), vm.Log())
	return nil
}

// publish puts an archive into the server's place in one rename.
func (s *server) publish(t *testing.T, zip []byte) {
	t.Helper()
	put(t, s.zip+".part", string(zip))
	testkit.Must(t, os.Rename(s.zip+".part", s.zip))
}

// refused publishes an archive that the machine must refuse: the check-in of that cycle has the reason and the
// facts of the last good archive.
func (s *server) refused(t *testing.T, vm *qemu.VM, zip []byte, why string, keeps map[string]string) {
	t.Helper()
	s.publish(t, zip)
	n := s.await(t, vm, "the report: "+why, func(facts map[string]any) bool {
		return strings.Contains(fmt.Sprint(facts["mk_extension_error"]), why)
	})
	if !has(n.Facts, keeps) {
		t.Errorf("%s: the last good extension is not in force: %v", why, n.Facts)
	}
	t.Logf("%v: %v", n.Facts["mk_extension_status"], n.Facts["mk_extension_error"])
}

// keys makes key pairs, and returns the paths of their files without the endings.
func keys(t *testing.T, f fixture, names ...string) (out []string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		out = append(out, filepath.Join(dir, name))
		if _, stderr, err := f.run(t, "key", "new", filepath.Join(dir, name), "--no-password"); err != nil {
			t.Fatalf("key new: %v\n%s", err, stderr)
		}
	}
	return out
}

// signed packs a folder, signed with a key and a sequence number; without a key it is unsigned.
func signed(t *testing.T, f fixture, dir, key string, sequence int64) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.zip")
	args := []string{"extension", "pack", dir, "-o", name}
	if key != "" {
		args = append(args, "--sign", key+".key", "--sequence", fmt.Sprint(sequence))
	}
	if _, stderr, err := f.run(t, args...); err != nil {
		t.Fatalf("extension pack: %v\n%s", err, stderr)
	}
	return testkit.Read(t, name)
}

// trusting is the configuration line for an image that accepts only extensions of these keys.
func trusting(keys ...string) string {
	return "extension_keys: [" + strings.Join(keys, ".pub, ") + ".pub]\n"
}

// netBoot boots a machine over the network from the server.
func (s *server) netBoot(t *testing.T) *qemu.VM {
	t.Helper()
	port := s.url[strings.LastIndex(strings.TrimSuffix(s.url, "/"), ":")+1 : len(s.url)-1]
	vm, err := qemu.Start(t.Context(), qemu.Machine{NetBoot: "http://" + guestHost + ":" + port + "/api/microkernel/bootstrap", MemoryMiB: 768})
	testkit.Must(t, err)
	t.Cleanup(vm.Stop)
	return vm
}

// siteExtension is an extension with one of each kind: a program, a shared library, a Ruby fact that uses both, and
// external facts of all four kinds.
func siteExtension(t *testing.T, f fixture) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "bin", "site-tool"), "#!/bin/sh\necho \"tool in $(dirname \"$0\" | sed 's/.*\\///')\"\n")
	put(t, filepath.Join(dir, "facts.d", "a.txt"), "ext_txt=from txt\n")
	put(t, filepath.Join(dir, "facts.d", "b.yaml"), "---\next_yaml: from yaml\n")
	put(t, filepath.Join(dir, "facts.d", "c.json"), `{"ext_json": "from json"}`+"\n")
	put(t, filepath.Join(dir, "facts.d", "d.sh"), "#!/bin/sh\necho \"ext_exec=uid $(id -u)\"\n")
	put(t, filepath.Join(dir, "lib", "ruby", "facter", "site.rb"), `Facter.add(:ext_ruby) do
  setcode { Facter::Core::Execution.execute('site-tool') }
end
Facter.add(:ext_library) do
  setcode do
    require 'fiddle'
    md = Fiddle.dlopen('libmd.so.0')
    hex = Fiddle::Function.new(md['MD5Data'], [Fiddle::TYPE_VOIDP, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_VOIDP], Fiddle::TYPE_VOIDP)
    buffer = Fiddle::Pointer.malloc(33, Fiddle::RUBY_FREE)
    hex.call('abc', 3, buffer).to_s
  end
end
`)
	for _, x := range []string{"bin/site-tool", "facts.d/d.sh"} {
		testkit.Must(t, os.Chmod(filepath.Join(dir, x), 0o755))
	}
	libmd(t, f, filepath.Join(dir, "lib"))
	return dir
}

// libmd extracts a real i386 library, which no prod image has, from the mirror's libedit.tcz.
func libmd(t *testing.T, f fixture, to string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "x")
	testkit.Run(t, "unsquashfs", "-q", "-n", "-no-xattrs", "-d", out, filepath.Join(f.mirror, "4.x/x86/tcz/libedit.tcz"))
	var found string
	err := filepath.WalkDir(out, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasPrefix(d.Name(), "libmd.so.0") {
			found = p
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("libedit.tcz has no libmd: %v", err)
	}
	b, err := os.ReadFile(found)
	testkit.Must(t, err)
	put(t, filepath.Join(to, "libmd.so.0"), string(b))
}

func has(facts map[string]any, want map[string]string) bool {
	for k, v := range want {
		if fmt.Sprint(facts[k]) != v {
			return false
		}
	}
	return true
}

// TestCheckIn boots an image over the network from the development server and tests the promises of the runtime
// document: facts; a membership in a collective, with RabbitMQ as broker and Debian's mco as administrator; an
// extension that appears while the machine runs, signed with the old one of the image's two keys; a stranger's
// extension, which is refused; an extension of the new key; and a policy that reboots the machine. There is no
// probe: it would compete with the client for the processor. internal/mkclient tests the other refusals (broken,
// changed, older, unsigned, another's key), and that mk-client joins no collective with the published secrets.
func TestCheckIn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	b := startBroker(t)
	psk, rack, name := rand.Text(), strings.ToLower(rand.Text()), "mk-"+strings.ToLower(rand.Text())
	k := keys(t, f, "old", "new", "stranger")
	s := serve(t, f, mcoImage(t, f, b, psk, trusting(k[:2]...)), "host="+name+" razor.fact.rack="+rack)
	vm := s.netBoot(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s\nRabbitMQ:\n%s", vm.Log(), b.log(t))
		}
	})

	n := s.await(t, vm, "the first check-in", func(facts map[string]any) bool { return facts["facterversion"] != nil })
	t.Logf("first check-in: %v after the kernel's start", uptime(n.Facts))
	checkFirstFacts(t, n.Facts, rack)
	site, now := siteExtension(t, f), time.Now().Unix()
	s.publish(t, signed(t, f, site, k[0], now))

	b.newClient(t, psk).check(t, vm, name, rack, b.newClient(t, "not the key"))

	want := map[string]string{
		"ext_txt": "from txt", "ext_yaml": "from yaml", "ext_json": "from json", "ext_exec": "uid 0",
		"ext_ruby": "tool in bin", "ext_library": "900150983cd24fb0d6963f7d28e17f72",
	}
	s.await(t, vm, "the extension's facts", func(facts map[string]any) bool { return has(facts, want) })

	put(t, filepath.Join(site, "facts.d", "a.txt"), "ext_txt=newer\n")
	newer := signed(t, f, site, k[1], now+1)
	s.refused(t, vm, signed(t, f, site, k[2], now+2), "signed by key ", want)
	s.publish(t, newer)
	want["ext_txt"], want["mk_extension_error"] = "newer", ""
	s.await(t, vm, "the newer extension", func(facts map[string]any) bool { return has(facts, want) })

	put(t, s.rules, `tags:
  - {name: site, rule: ["=", ["fact", "ext_txt", ""], "newer"]}
policies:
  - {name: install, tags: [site]}
`)
	ctx := patient(t, s.heard(t, vm))
	select { // the next check-in
	case <-vm.Ended():
	case <-ctx.Done():
		t.Fatalf("the policy did not make the machine reboot: %v\nserver:\n%s", context.Cause(ctx), contents(t, s.log.Name()))
	}
}

// uptime is the machine's uptime in its Facter: seconds since the kernel's start.
func uptime(facts map[string]any) any {
	if m, ok := facts["system_uptime"].(map[string]any); ok {
		return fmt.Sprint(m["seconds"], " s")
	}
	return "an unknown time"
}

// checkFirstFacts checks that the first check-in has facts of every source, and none of an extension.
func checkFirstFacts(t *testing.T, facts map[string]any, rack string) {
	t.Helper()
	for _, name := range []string{"macaddress", "processorcount", "facterversion", "mk_hw_lscpu_Architecture", "mk_hw_nic_count"} {
		if facts[name] == nil {
			t.Errorf("no fact %s", name)
		}
	}
	if !has(facts, map[string]string{"rack": rack, "site": "lab"}) {
		t.Errorf("facts of the kernel's arguments: rack %v, site %v", facts["rack"], facts["site"])
	}
	for name := range facts {
		if strings.HasPrefix(name, "ext_") {
			t.Errorf("fact %s before the extension was published", name)
		}
	}
	if t.Failed() {
		b, _ := json.MarshalIndent(facts, "", " ")
		t.Logf("%s", b)
	}
}
