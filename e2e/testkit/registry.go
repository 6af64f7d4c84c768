package testkit

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
)

// Registry starts Debian's docker-registry with an empty folder, stops it with the test, and returns its host and
// port. more are top-level lines of its configuration.
func Registry(t testing.TB, more string) string {
	t.Helper()
	program, dir := Tool(t, "docker-registry"), t.TempDir()
	host := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	config := filepath.Join(dir, "config.yml")
	WriteFile(t, config, fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}
http: {addr: %s}
%s`, filepath.Join(dir, "data"), host, more), 0o644)
	c := exec.Command(program, "serve", config)
	c.Env = append(c.Environ(), "GOGC=800") // its heap is small
	Must(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	WaitFor(t, func() bool {
		resp, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return host
}
