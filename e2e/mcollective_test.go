//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// mcoClient is the administrator's side: Debian's mcollective-client with a separate configuration.
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

// run returns the output of one mco command and whether it exited with 0.
func (c mcoClient) run(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, "mco"), append(args, "--config", c.config)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "LANG=C.UTF-8"}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("$ mco %s\n%s", strings.Join(args, " "), out)
	return string(out), err == nil
}

// mcoImage builds an image whose MCollective uses the broker, with secrets from a file and the environment. The
// boot code host= sets a machine's name, which is MCollective's identity.
func mcoImage(t *testing.T, f fixture, b *broker, psk, more string) string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "psk")
	put(t, secret, psk+"\n")
	f.env = []string{"E2E_BROKER_PASSWORD=" + b.password}
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
	const archive = "/mcollective-{version}.tgz\n"
	return f.image(t, func(text string) string {
		if strings.Count(text, archive) != 1 {
			t.Fatalf("the mirror's mkbuild.yaml has no place for mcollective.server\n%s", text)
		}
		return strings.NewReplacer(archive, archive+server, "/e2e/probe,", "/e2e/mco,").Replace(text) +
			"client: {settings: {interval: \"5\", skew: \"0\"}}\n" + more
	})
}

// until repeats a command until it prints all of texts: mco gives a node seconds to answer, and a busy machine may
// need more.
func (c mcoClient) until(t *testing.T, vm *qemu.VM, command string, texts ...string) {
	t.Helper()
	for ctx := patient(t, func() int { return len(vm.Log()) }); ctx.Err() == nil; {
		out, ok := c.run(t, strings.Fields(command)...)
		missing := slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains("\n"+out, text) })
		if ok && !missing {
			return
		}
	}
	t.Errorf("mco %s never prints %q", command, texts)
}

// check checks that the node is the whole collective, with facts of Facter, of the hardware and of the client's
// settings, and answers nobody with another key.
func (c mcoClient) check(t *testing.T, vm *qemu.VM, name, rack string, stranger mcoClient) {
	t.Helper()
	expect(t, vm, "mcollectived started")
	c.until(t, vm, "ping --timeout 5", "\n"+name+" ", "\n1 replies")
	c.until(t, vm, "inventory "+name, "Inventory for "+name+":", "Version: 2.12.5", "rpcutil", "rack => "+rack+"\n", "kernel => Linux\n", "mk_hw_lscpu_Architecture => i686\n")
	c.until(t, vm, "facts rack", "Report for fact: rack", " "+rack+" ", "found 1 times", "1 / 1")
	c.until(t, vm, "find --with-fact rack="+rack, "\n"+name+"\n")
	if out, ok := c.run(t, "find", "--with-fact", "rack=elsewhere"); ok || strings.Contains(out, name) {
		t.Error("mco finds the node by a fact that it does not have")
	}
	if out, ok := stranger.run(t, "ping", "--timeout", "5"); ok || strings.Contains(out, name+" ") {
		t.Error("the node answers to another key")
	}
}
