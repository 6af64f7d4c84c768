package testkit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx runs the configurations of examples/nginx: an origin and a site's cache in front of it.
type Nginx struct {
	// Origin and Site are their URLs.
	Origin, Site string
	log          string
	origin       *exec.Cmd
}

// StartNginx starts both with the folder root; examples is the project's folder of that name.
func StartNginx(t testing.TB, examples, root string) *Nginx {
	t.Helper()
	program, dir := Tool(t, "nginx"), t.TempDir()
	ports := FreePorts(t, 2)
	origin, site := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	n := &Nginx{Origin: "http://" + origin, Site: "http://" + site, log: filepath.Join(dir, "origin.log")}
	start := func(name string, edit ...string) *exec.Cmd {
		conf := strings.NewReplacer(edit...).Replace(string(Read(t, filepath.Join(examples, "nginx", name))))
		user := ""
		if os.Getuid() == 0 {
			user = "user root;\n"
		}
		conf = fmt.Sprintf(`%sdaemon off; pid %s.pid; error_log %s.errors;
events {}
http { client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; access_log off;
log_format bytes "$uri $status $bytes_sent";
%s}
`, user, filepath.Join(dir, name), filepath.Join(dir, name), conf)
		Put(t, filepath.Join(dir, name), []byte(conf))
		c := exec.Command(program, "-p", dir, "-e", filepath.Join(dir, name+".errors"), "-c", filepath.Join(dir, name))
		c.Stderr = os.Stderr
		Must(t, c.Start())
		t.Cleanup(func() { stop(c) })
		return c
	}
	n.origin = start("origin.conf", "listen 8080;", "listen "+origin+"; access_log "+n.log+" bytes;", "/srv/boot", root)
	start("site.conf", "listen 80;", "listen "+site+";", "/var/cache/nginx/boot", filepath.Join(dir, "cache"), "origin.example:8080", origin)
	for _, address := range []string{origin, site} {
		for range 100 {
			if c, err := net.Dial("tcp", address); err == nil {
				c.Close()
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return n
}

func stop(c *exec.Cmd) {
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()
}

// StopOrigin makes the origin unavailable.
func (n *Nginx) StopOrigin() { stop(n.origin) }

// Sent returns the origin's answers since the last call, as "PATH STATUS BYTES", and the sum of their bytes.
func (n *Nginx) Sent(t testing.TB) (requests []string, bytes int64) {
	t.Helper()
	time.Sleep(200 * time.Millisecond) // nginx writes its log after the answer
	for _, line := range strings.Split(strings.TrimSpace(string(Read(t, n.log))), "\n") {
		var path string
		var status int
		var sent int64
		if _, err := fmt.Sscan(line, &path, &status, &sent); err == nil {
			requests, bytes = append(requests, line), bytes+sent
		}
	}
	Must(t, os.Truncate(n.log, 0))
	return requests, bytes
}
