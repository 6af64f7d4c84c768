//go:build linux

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// mcoTime bounds all that the test waits for: the broker, the boot and the commands.
const mcoTime = 5 * time.Minute

// mcoClient is an administrator's side: Debian's mcollective-client with a configuration of
// its own.
type mcoClient struct{ dir, config string }

// newClient writes a client.cfg for the broker.
func (b *broker) newClient(t *testing.T, psk string) mcoClient {
	t.Helper()
	c := mcoClient{dir: t.TempDir()}
	c.config = filepath.Join(c.dir, "client.cfg")
	put(t, c.config, fmt.Sprintf(`main_collective = mcollective
collectives = mcollective
libdir = %s
logger_type = console
loglevel = warn
color = 0
direct_addressing = 1
securityprovider = psk
plugin.psk = %s
connector = rabbitmq
plugin.rabbitmq.vhost = %s
plugin.rabbitmq.pool.size = 1
plugin.rabbitmq.pool.1.host = 127.0.0.1
plugin.rabbitmq.pool.1.port = %d
plugin.rabbitmq.pool.1.user = %s
plugin.rabbitmq.pool.1.password = %s
`, c.dir, psk, brokerVhost, b.stomp, brokerUser, b.password))
	return c
}

// run returns what one mco command printed and whether it exited with 0.
func (c mcoClient) run(ctx context.Context, t *testing.T, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, testkit.Tool(t, "mco"), append(args, "--config", c.config)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "LANG=C.UTF-8"}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("$ mco %s\n%s", strings.Join(args, " "), out)
	return string(out), err == nil
}

// mcoImage builds an image whose MCollective is for the broker, with secrets out of a file and
// the environment, and whose mk-client has no server to check in with. The boot code
// host= gives the machine its name, which is MCollective's identity.
func mcoImage(t *testing.T, f fixture, b *broker, psk, rack, name string) string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "psk")
	put(t, secret, psk+"\n")
	t.Setenv("E2E_BROKER_PASSWORD", b.password)
	server := fmt.Sprintf(`  server:
    topicprefix: null
    connector: rabbitmq
    direct_addressing: "1"
    plugin.psk: {file: %s}
    plugin.rabbitmq.vhost: %s
    plugin.rabbitmq.pool.size: "1"
    plugin.rabbitmq.pool.1.host: 10.0.2.2
    plugin.rabbitmq.pool.1.port: "%d"
    plugin.rabbitmq.pool.1.user: %s
    plugin.rabbitmq.pool.1.password: {env: E2E_BROKER_PASSWORD}
`, secret, brokerVhost, b.stomp, brokerUser)
	client := fmt.Sprintf("client: {settings: {server: \"10.0.2.2:%d\", interval: \"5\", skew: \"0\", fact.rack: %s}}\n", testkit.FreePort(t), rack)
	const archive = "/mcollective-{version}.tgz\n"
	return f.image(t, func(text string) string {
		if strings.Count(text, archive) != 1 {
			t.Fatalf("the mirror's mkbuild.yaml has no place for mcollective.server\n%s", text)
		}
		return strings.NewReplacer(archive, archive+server, "/e2e/probe,", "/e2e/mco,", "console=ttyS0 ", "console=ttyS0 host="+name+" ").Replace(text) + client
	})
}

// TestMCollectiveRealBroker boots an image that mk-client makes a member of a collective: its
// broker is RabbitMQ, and Debian's mco finds the node and its facts. That mk-client refuses to
// do so with the published secrets is tested in internal/mkclient, without a boot.
func TestMCollectiveRealBroker(t *testing.T) {
	f := setup(t)
	testkit.Tool(t, "mco")
	ctx, cancel := context.WithTimeout(t.Context(), mcoTime)
	defer cancel()
	b := startBroker(ctx, t)
	psk, rack, name := rand.Text(), strings.ToLower(rand.Text()), "mk-"+strings.ToLower(rand.Text())
	iso := mcoImage(t, f, b, psk, rack, name)
	vm, err := qemu.Start(ctx, qemu.Machine{CDROM: iso, Network: true, MemoryMiB: 768})
	testkit.Must(t, err)
	t.Cleanup(vm.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s\nRabbitMQ:\n%s", vm.Log(), b.log(t))
		}
	})
	c := b.newClient(t, psk)
	c.await(ctx, t, vm, name)
	c.checkFacts(ctx, t, name, rack)

	out, ok := b.newClient(t, "not the key").run(ctx, t, "ping", "--timeout", "5")
	if ok || strings.Contains(out, name+" ") {
		t.Errorf("the node answers to another key")
	}
	if log := vm.Log(); !strings.Contains(log, "connection refused") {
		t.Errorf("mk-client did not say that there is no server to check in with")
	}
}

// await pings until the node answers, and wants to hear from it alone.
func (c mcoClient) await(ctx context.Context, t *testing.T, vm *qemu.VM, name string) {
	t.Helper()
	testkit.Must(t, vm.Expect(ctx, regexp.MustCompile("mcollectived started")))
	for ctx.Err() == nil {
		out, ok := c.run(ctx, t, "ping", "--timeout", "5")
		if !ok {
			continue
		}
		if !strings.HasPrefix(out, name+" ") || !strings.Contains(out, "\n1 replies") {
			t.Fatalf("want a reply of %s alone", name)
		}
		return
	}
	t.Fatalf("no node answers: %v", ctx.Err())
}

// checkFacts wants facts of Facter, of the hardware and of the client's settings.
func (c mcoClient) checkFacts(ctx context.Context, t *testing.T, name, rack string) {
	t.Helper()
	wants := []struct {
		args  string
		ok    bool
		texts []string
	}{
		{"inventory " + name, true, []string{
			"Inventory for " + name + ":", "Version: 2.12.5", "rpcutil", "rack => " + rack + "\n", "kernel => Linux\n", "mk_hw_lscpu_Architecture => i686\n",
		}},
		{"facts rack", true, []string{"Report for fact: rack", " " + rack + " ", "found 1 times", "1 / 1"}},
		{"facts kernel", true, []string{" Linux ", "found 1 times"}},
		{"find --with-fact rack=" + rack, true, []string{name + "\n"}},
		{"find --with-fact rack=elsewhere", false, nil},
	}
	for _, w := range wants {
		out, ok := c.run(ctx, t, strings.Fields(w.args)...)
		if ok != w.ok {
			t.Errorf("mco %s: success is %v", w.args, ok)
		}
		for _, text := range w.texts {
			if !strings.Contains(out, text) {
				t.Errorf("mco %s does not print %q", w.args, text)
			}
		}
		if !w.ok && strings.Contains(out, name) {
			t.Errorf("mco %s finds the node", w.args)
		}
	}
}
