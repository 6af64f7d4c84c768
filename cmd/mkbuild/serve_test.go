package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

// logBuffer is a stderr for two concurrent goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serving runs `mkbuild serve` and returns its URL, its stderr, and a stop function.
func serving(t *testing.T, args ...string) (url string, log *logBuffer, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	log = &logBuffer{}
	c := rootCommand(&world{stdout: in, stderr: log, getenv: func(string) string { return "" }})
	c.SetArgs(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...))
	done := make(chan error, 1)
	go func() {
		err := c.ExecuteContext(ctx)
		_ = in.CloseWithError(io.EOF)
		done <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no address: %v\n%s", <-done, log)
	}
	return strings.TrimSuffix(line, "/\n"), log, func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(testkit.Patience):
			t.Fatal("serve does not stop")
			return nil
		}
	}
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	testkit.Must(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	testkit.Must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	testkit.Must(t, err)
	return res.StatusCode, string(b)
}

func put(t *testing.T, name, content string) string {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	testkit.Must(t, os.WriteFile(name, []byte(content), 0o755))
	return name
}

func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "ext", "facts.d", "rack.txt"), "rack=b4\n")
	config := put(t, filepath.Join(dir, "config.yaml"), "all:\n  microkernel:\n    kernel_args: razor.skew=0\n  match_nodes_on: [mac, uuid]\n")
	rules := put(t, filepath.Join(dir, "rules.yaml"), `tags: [{name: racked, rule: ["=", ["fact", "rack", null], "b4"]}]`)
	url, log, stop := serving(t, "--razor-config", config, "--rules", rules, "--data", filepath.Join(dir, "data"), "--extension", filepath.Join(dir, "ext"),
		"--kernel", put(t, filepath.Join(dir, "k"), "kernel"), "--initrd", put(t, filepath.Join(dir, "i"), "initrd"), "--dry-run")
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/svc/mk/extension.zip", "", "facts.d/rack.txt"},
		{"GET", "/svc/nodeid?uuid=U1", "", `{"id":1}`},
		{"GET", "/svc/boot?uuid=U1", "", "razor.skew=0"},
		{"POST", "/svc/checkin/1", `{"facts":{"uuid":"U1","rack":"b4"}}`, `{"action":"none"}`},
		{"GET", "/api/collections/nodes/node1", "", `"racked"`},
		{"GET", "/nodes/node1", "", "Dry run"},
		{"GET", "/svc/repo/microkernel/initrd0.img", "", "initrd"},
	} {
		if status, body := ask(t, c.method, url+c.path, c.body); status != http.StatusOK || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s, want %q", c.method, c.path, status, body, c.want)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	if !strings.Contains(log.String(), "mkbuild: token: ") || strings.Count(log.String(), "level=WARN") != 0 {
		t.Errorf("stderr:\n%s", log)
	}
	for _, want := range []string{"msg=serving address=" + strings.TrimPrefix(url, "http://") + " data=" + filepath.Join(dir, "data"), `msg=stopping why="context canceled"`} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("stderr has no line, or several, with %s:\n%s", want, log)
		}
	}
	// The node still exists after a restart, now with the user's own token.
	token := put(t, filepath.Join(dir, "token"), "a-long-enough-token\n")
	url, log, stop = serving(t, "--data", filepath.Join(dir, "data"), "--token-file", token, "--log-format", "json", "-v")
	if status, body := ask(t, "GET", url+"/api/collections/nodes/node1", ""); status != http.StatusOK || !strings.Contains(body, `"rack":"b4"`) {
		t.Errorf("after the restart: %d %s", status, body)
	}
	if status, _ := ask(t, "GET", url+"/svc/mk/extension.zip", ""); status != http.StatusNotFound {
		t.Errorf("no extension: %d", status)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	if strings.Contains(log.String(), "a-long-enough-token") || !strings.Contains(log.String(), `"msg":"request"`) {
		t.Errorf("stderr:\n%s", log)
	}
}

// The rules of docs/rules.md are valid, and work as described there.
func TestDocumentedRules(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "```yaml\n")
	text, _, _ := strings.Cut(after, "```")
	dir := t.TempDir()
	url, log, stop := serving(t, "--rules", put(t, filepath.Join(dir, "rules.yaml"), text), "--data", filepath.Join(dir, "data"))
	ask(t, "GET", url+"/svc/nodeid?mac=m", "")
	if status, body := ask(t, "POST", url+"/svc/checkin/1", `{"facts":{"macaddress":"m","processorcount":"16","rack":"b4"}}`); status != http.StatusOK || body != `{"action":"reboot"}` {
		t.Errorf("%d %s", status, body)
	}
	if _, body := ask(t, "GET", url+"/api/collections/nodes/node1", ""); !strings.Contains(body, `"tags":["big","rack-b","spare"]`) || !strings.Contains(body, `"hostname":"db1.example.com"`) {
		t.Errorf("node: %s", body)
	}
	if err := stop(); err != nil || strings.Contains(log.String(), "WARN") {
		t.Errorf("%v\n%s", err, log)
	}
}

func TestServeUsageErrors(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "bad.db", "razor.db"), strings.Repeat("no database", 1000))
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no such config", []string{"--razor-config", filepath.Join(dir, "gone.yaml")}, "gone.yaml"},
		{"bad config", []string{"--razor-config", put(t, filepath.Join(dir, "c.yaml"), "all:\n  match_nodes_on: [x]\n")}, "c.yaml:2:"},
		{"bad rules", []string{"--rules", put(t, filepath.Join(dir, "r.yaml"), "tags:\n- {name: a, rule: [fact, x]}\n")}, "r.yaml:2:"},
		{"bad log format", []string{"--log-format", "xml"}, "xml"},
		{"short token", []string{"--token-file", put(t, filepath.Join(dir, "short"), "x")}, "token"},
		{"no token file", []string{"--token-file", filepath.Join(dir, "none")}, "none"},
		{"kernel alone", []string{"--kernel", "k"}, "--initrd"},
		{"image and kernel", []string{"--image", "i", "--kernel", "k", "--initrd", "i"}, "--image"},
		{"no such image", []string{"--image", filepath.Join(dir, "gone.iso")}, "gone.iso"},
		{"damaged database", []string{"--data", filepath.Join(dir, "bad.db")}, "razor.db"},
		{"bad address", []string{"--listen", "nowhere"}, "nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			cmd := rootCommand(&world{stdout: &out, stderr: &errs})
			cmd.SetArgs(append([]string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")}, c.args...))
			err := cmd.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage {
				t.Errorf("got %v (exit %d), want %q", err, exitCode(err), c.want)
			}
			if out.Len() > 0 {
				t.Errorf("stdout: %s", out.String())
			}
		})
	}
}

// TestServeWarnsOfItsExtension: a file may come later, so an unusable extension is a warning.
func TestServeWarnsOfItsExtension(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.zip")
	testkit.Put(t, broken, []byte("no zip"))
	for name, want := range map[string]string{filepath.Join(dir, "none.zip"): "no such file", broken: "not a zip archive", dir: ""} {
		var out strings.Builder
		(&serveOptions{extension: name}).checkExtension(slog.New(slog.NewTextHandler(&out, nil)))
		if got := out.String(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
