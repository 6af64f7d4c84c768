//go:build linux

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

// broker is a RabbitMQ node for this test only: its state, ports and port mapper are separate, and it listens on
// the loopback only.
type broker struct {
	dir, program         string
	password             string
	stomp, dist, mapping int // ports: STOMP, Erlang's distribution, epmd
	out                  *os.File
}

const (
	brokerUser  = "mcollective"
	brokerVhost = "/mcollective"
)

// startBroker starts RabbitMQ and returns when it serves STOMP.
func startBroker(t *testing.T) *broker {
	t.Helper()
	program, err := filepath.EvalSymlinks(testkit.Tool(t, "rabbitmq-server"))
	testkit.Must(t, err)
	ports := testkit.FreePorts(t, 3)
	b := &broker{
		dir: t.TempDir(), password: rand.Text(),
		// Debian's command in PATH must run as root and becomes the user rabbitmq with the state in /var/lib; the
		// program next to it runs as the current user.
		program: filepath.Join(filepath.Dir(program), "rabbitmq-server"),
		stomp:   ports[0], dist: ports[1], mapping: ports[2],
	}
	b.configure(t)
	if b.out, err = os.Create(filepath.Join(b.dir, "out")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.out.Close() })
	// Otherwise the node would start epmd as a daemon that outlives it.
	b.start(t, testkit.Tool(t, "epmd"), "-port", fmt.Sprint(b.mapping), "-address", "127.0.0.1")
	ended := b.start(t, b.program)
	b.await(t, ended)
	return b
}

// configure writes the node's files. The definitions create the objects that MCollective needs and does not create
// itself: a virtual host, a user and the two exchanges.
func (b *broker) configure(t *testing.T) {
	t.Helper()
	put(t, filepath.Join(b.dir, "enabled_plugins"), "[rabbitmq_stomp].\n")
	put(t, filepath.Join(b.dir, "rabbitmq.conf"), fmt.Sprintf(`listeners.tcp = none
stomp.listeners.tcp.1 = 127.0.0.1:%d
load_definitions = %s
log.console = true
log.file = false
`, b.stomp, filepath.Join(b.dir, "definitions.json")))
	type object = map[string]any
	exchange := func(name, kind string) object {
		return object{"name": name, "vhost": brokerVhost, "type": kind, "durable": true, "auto_delete": false, "internal": false, "arguments": object{}}
	}
	text, err := json.Marshal(object{
		"vhosts":      []object{{"name": brokerVhost}},
		"users":       []object{{"name": brokerUser, "password": b.password, "tags": ""}},
		"permissions": []object{{"user": brokerUser, "vhost": brokerVhost, "configure": ".*", "write": ".*", "read": ".*"}},
		"exchanges":   []object{exchange("mcollective_broadcast", "topic"), exchange("mcollective_directed", "direct")},
	})
	testkit.Must(t, err)
	put(t, filepath.Join(b.dir, "definitions.json"), string(text))
}

// environment separates the node from the machine's own RabbitMQ.
func (b *broker) environment() []string {
	in := func(name string) string { return filepath.Join(b.dir, name) }
	return []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8",
		"HOME=" + b.dir, // Erlang keeps its cookie there
		"ERL_EPMD_PORT=" + fmt.Sprint(b.mapping), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=mkbuild@localhost", "RABBITMQ_DIST_PORT=" + fmt.Sprint(b.dist),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_CONF_ENV_FILE=" + in("none"), "RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"), "RABBITMQ_GENERATED_CONFIG_DIR=" + in("generated"),
		"RABBITMQ_MNESIA_BASE=" + in("mnesia"), "RABBITMQ_LOG_BASE=" + in("log"),
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the node and does not wait for it
	}
}

// start runs a program of the broker in a process group and ends the group with the test. If the test itself is
// killed, the program's first process ends too.
func (b *broker) start(t *testing.T, program string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, b.environment(), b.out, b.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	testkit.Must(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait() // its output has the reason
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	})
	return done
}

// await waits for the line that follows the definitions and the listeners.
func (b *broker) await(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	ctx := patient(t, func() int { return len(b.log(t)) })
	for !strings.Contains(b.log(t), "Server startup complete") {
		select {
		case <-time.After(200 * time.Millisecond):
			continue
		case <-ended:
			t.Fatalf("RabbitMQ has ended\n%s", b.log(t))
		case <-ctx.Done():
			t.Fatalf("RabbitMQ does not start: %v\n%s", context.Cause(ctx), b.log(t))
		}
	}
}

func (b *broker) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(b.out.Name())
	testkit.Must(t, err)
	return string(text)
}
