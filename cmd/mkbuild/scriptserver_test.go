package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
)

// web is a script's mirror over HTTP, which can misbehave.
type web struct {
	*httptest.Server
	reached chan struct{} // gets a value for each hanging download
}

// webs finds the server of a script; scripts run in parallel.
type webs struct{ sync.Map }

// serve FAULT SUFFIX: starts the script's mirror over HTTP, sets $URL and writes http.yaml for it. Files whose
// names end in SUFFIX misbehave: FAULT is hang (half a file, then silence), cut (half of it, then the end of the
// connection), page (an HTML page with status 200) or gone; none means no fault.
func (all *webs) serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: serve FAULT SUFFIX")
	}
	dir := ts.MkAbs("mirror")
	s := &web{reached: make(chan struct{}, 100)}
	stop := make(chan struct{})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if args[0] != "none" && strings.HasSuffix(r.URL.Path, args[1]) {
			s.misbehave(w, r, args[0], filepath.Join(dir, filepath.FromSlash(r.URL.Path)), stop)
			return
		}
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	ts.Defer(func() { close(stop); s.Close() })
	all.Store(ts, s)
	ts.Setenv("URL", s.URL)
	ts.Check(os.WriteFile(ts.MkAbs("http.yaml"), []byte(tinymirror.ConfigAt(s.URL)), 0o644))
}

func (s *web) misbehave(w http.ResponseWriter, r *http.Request, fault, file string, stop chan struct{}) {
	body, err := os.ReadFile(file)
	switch {
	case err != nil || fault == "gone":
		http.NotFound(w, r)
		return
	case fault == "page":
		_, _ = w.Write([]byte("<html><body>please log in</body></html>"))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	if fault == "hang" {
		s.reached <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	}
	panic(http.ErrAbortHandler)
}

// program returns the path of mkbuild in scripts.
func program(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, "mkbuild"); isFile(p) {
			return p
		}
	}
	ts.Fatalf("no mkbuild in PATH")
	return ""
}

func isFile(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.Mode().IsRegular()
}

// interrupt ARGS...: runs mkbuild, sends it SIGINT when a download hangs, and requires exit status 130 with one
// error and one hint line.
func (all *webs) interrupt(ts *testscript.TestScript, neg bool, args []string) {
	found, ok := all.Load(ts)
	if neg || !ok {
		ts.Fatalf("usage: serve hang SUFFIX, then interrupt ARGS...")
	}
	s := found.(*web)
	var out, err strings.Builder
	cmd := exec.Command(program(ts), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &out, &err
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "PATH", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	select {
	case <-s.reached:
	case <-time.After(testkit.Patience):
		_ = cmd.Process.Kill()
		ts.Fatalf("no download began")
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	begun := time.Now()
	if got := exitText(cmd.Wait()); got != "130" {
		ts.Fatalf("exit status %s, want 130\n%s", got, err.String())
	}
	if d := time.Since(begun); d > time.Minute {
		ts.Fatalf("it went on for %v", d)
	}
	checkReport(ts, out.String(), err.String())
}
