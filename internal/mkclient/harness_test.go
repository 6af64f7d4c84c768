package mkclient

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

// TestMain lets more tests wait at once than there are processors: most of them wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}

// member is one file of a test extension; mode 0 means 0755.
type member struct {
	name, body string
	mode       uint32
}

// pack makes a zip with Unix modes.
func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var list []ext.Member
	for _, m := range members {
		if m.mode == 0 {
			m.mode = 0o755
		}
		if m.mode&0o170000 == 0 {
			m.mode |= ext.File
		}
		list = append(list, ext.Item(m.name, m.body, m.mode))
	}
	return ext.Zip(t, list...)
}

// textFact packs an extension whose only content is one external fact.
func textFact(t testing.TB, name, value string) []byte {
	return pack(t, member{"facts.d/" + name + ".txt", name + "=" + value + "\n", 0o644})
}

// serverKind is how a server answers conditional requests.
type serverKind string

const (
	razorKind serverKind = "razor" // 200 with an empty body on exact match, never 304
	nginxKind serverKind = "nginx" // 304 on exact match, with an ETag
	rfcKind   serverKind = "rfc"   // 304 when not modified since
)

var serverKinds = []serverKind{razorKind, nginxKind, rfcKind}

// post is one check-in that a server received.
type post struct {
	Path, ContentType, Agent string
	HWID                     string      `json:"hw_id"`
	Facts                    facts.Facts `json:"facts"`
}

// respond makes a handler that answers with a header and a body.
func respond(status int, header map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// razor is a server for the tests, with the quirks of the kind it is.
type razor struct {
	*httptest.Server
	t    testing.TB
	kind serverKind

	mu       sync.Mutex
	zip      []byte // nil: not configured
	mtime    time.Time
	fault    http.HandlerFunc // answers extension requests in its place
	answer   func(post) string
	nodes    map[string]bool
	events   []string
	requests []*http.Request
	posts    []post
	logs     []string
	nodeids  int
	status   int // of the next check-ins; 0 is 200
}

func newRazor(t testing.TB, kind serverKind) *razor {
	r := &razor{t: t, kind: kind, nodes: map[string]bool{"7": true}}
	mux := http.NewServeMux()
	mux.HandleFunc("/svc/mk/extension.zip", r.extension)
	mux.HandleFunc("POST /svc/checkin/{id}", r.checkin)
	mux.HandleFunc("GET /svc/nodeid", r.nodeid)
	mux.HandleFunc("GET /svc/log/{id}", func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logs = append(r.logs, q.FormValue("severity")+": "+q.FormValue("msg"))
		w.WriteHeader(204)
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *razor) publish(b []byte, mtime time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zip, r.mtime = b, mtime
}

func (r *razor) setFault(h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = h
}

func (r *razor) extension(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.events = append(r.events, "GET")
	r.requests = append(r.requests, q.Clone(context.Background()))
	fault, b, mtime := r.fault, r.zip, r.mtime
	r.mu.Unlock()
	if fault != nil {
		fault(w, q)
		return
	}
	if b == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(404)
		io.WriteString(w, `{"error":"No extension file configured"}`)
		return
	}
	r.conditional(w, q, b, mtime.UTC().Format(http.TimeFormat))
}

func (r *razor) conditional(w http.ResponseWriter, q *http.Request, b []byte, modified string) {
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	since := q.Header.Get("If-Modified-Since")
	switch r.kind {
	case razorKind:
		if since == modified {
			h.Set("Content-Length", "0")
			return
		}
	case nginxKind:
		etag := fmt.Sprintf(`"%x-%x"`, modified, len(b))
		h.Set("ETag", etag)
		if match := q.Header.Get("If-None-Match"); match == etag || match == "" && since == modified {
			w.WriteHeader(304)
			return
		}
	case rfcKind:
		s, err1 := http.ParseTime(since)
		m, err2 := http.ParseTime(modified)
		if err1 == nil && err2 == nil && !m.After(s) {
			w.WriteHeader(304)
			return
		}
	}
	h.Set("Last-Modified", modified)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

func (r *razor) checkin(w http.ResponseWriter, q *http.Request) {
	p := post{Path: q.URL.Path, ContentType: q.Header.Get("Content-Type"), Agent: q.UserAgent()}
	dec := json.NewDecoder(q.Body)
	dec.UseNumber()
	err := dec.Decode(&p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, "POST")
	switch {
	case p.ContentType != "application/json" || err != nil || p.Facts == nil:
		w.WriteHeader(400)
		return
	case !r.nodes[q.PathValue("id")]:
		w.WriteHeader(404)
		return
	case r.status != 0:
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(r.status)
		return
	}
	for name, v := range p.Facts {
		if _, ok := v.(string); !ok && (name == "serialnumber" || name == "uuid" || strings.HasPrefix(name, "macaddress")) {
			w.WriteHeader(500) // as the real one: it calls string methods on them
			return
		}
	}
	r.posts = append(r.posts, p)
	action := "none"
	if r.answer != nil {
		action = r.answer(p)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"action":%q}`, action)
}

func (r *razor) nodeid(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodeids++
	if q.FormValue("net0") == "" {
		w.WriteHeader(400)
		return
	}
	id := strconv.Itoa(40 + r.nodeids)
	r.nodes[id] = true
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"id":`+id+`}`)
}

// last is the newest check-in.
func (r *razor) last() post {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.posts) == 0 {
		r.t.Fatal("no check-in arrived")
	}
	return r.posts[len(r.posts)-1]
}

func (r *razor) count(event string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e == event {
			n++
		}
	}
	return n
}

// machine is a microkernel for the tests: a root with /sys, a facter and a client.
type machine struct {
	*Client
	t    testing.TB
	base string // everything that belongs to it
	bin  string // first directory of the base path
	log  *bytes.Buffer
}

// t0 is when the first extension of most tests was published.
var t0 = time.Date(2014, 5, 1, 12, 0, 0, 0, time.UTC)

// newMachine boots a client against srv; facter is a program text for /bin/sh, "" for none.
func newMachine(t testing.TB, srv *razor, facter string, change ...func(*Options, *settings.Settings)) *machine {
	t.Helper()
	m := &machine{t: t, base: t.TempDir(), log: &bytes.Buffer{}}
	m.bin = filepath.Join(m.base, "bin")
	root := filepath.Join(m.base, "root")
	m.write("bin/.keep", "")
	m.write("root/usr/lib/razor/.keep", "")
	for name, mac := range map[string]string{"eth0": "52:54:00:00:00:01", "dummy0": "1e:00:00:00:00:99", "lo": "00:00:00:00:00:00"} {
		m.write("root/sys/class/net/"+name+"/address", mac+"\n")
		m.write("root/sys/class/net/"+name+"/type", map[bool]string{true: "772", false: "1"}[name == "lo"])
	}
	m.write("root/sys/class/net/eth0/device/uevent", "")
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	if facter != "" {
		m.program("facter", facter)
	}
	opt := DefaultOptions("9.9", []string{"PATH=/usr/bin:/bin"})
	opt.Facts.Path, opt.Facts.Root, opt.ExtensionDir = m.bin, facts.Root(root), filepath.Join(m.base, "ext")
	opt.Facts.ToolTimeout, opt.ActionTimeout = 5*time.Second, 2*time.Second
	opt.Random = func() float64 { return 0.5 }
	opt.Log = &clientlog.Logger{W: m.log, Min: clientlog.Info}
	opt.Timeouts = web.Timeouts{
		Connect: 20 * time.Second, Header: 20 * time.Second, Request: 30 * time.Second, Stall: 20 * time.Second, Download: 30 * time.Second,
	}
	opt.Limits.Compressed = 1 << 20
	set, warnings := settings.Load(settings.Inputs{CommandLine: "razor.register=" + srv.URL + "/svc/checkin/7 razor.commands=" + filepath.Join(root, "usr/lib/razor")})
	if warnings != nil {
		t.Fatal(warnings)
	}
	set.FactTimeout = time.Minute
	for _, f := range change {
		f(&opt, &set)
	}
	m.Client = New(opt, set)
	return m
}

// boot starts a test that runs next to others with a Razor server and a machine.
func boot(t *testing.T, facter string, change ...func(*Options, *settings.Settings)) (*razor, *machine) {
	t.Helper()
	t.Parallel()
	return bootOn(t, razorKind, facter, change...)
}

// bootOn makes a server of a kind and a machine.
func bootOn(t *testing.T, kind serverKind, facter string, change ...func(*Options, *settings.Settings)) (*razor, *machine) {
	t.Helper()
	srv := newRazor(t, kind)
	return srv, newMachine(t, srv, facter, change...)
}

// write puts a file below the machine's base.
func (m *machine) write(name, body string) string {
	m.t.Helper()
	p := filepath.Join(m.base, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		m.t.Fatal(err)
	}
	testkit.WriteFile(m.t, p, body, 0o644)
	return p
}

// program puts a shell script on the base path.
func (m *machine) program(name, script string) {
	m.t.Helper()
	p := m.write("bin/"+name, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(p, 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// cycle runs one cycle that must check in, and gives the facts that arrived.
func (m *machine) cycle(srv *razor) facts.Facts {
	m.t.Helper()
	before := srv.count("POST")
	if err := m.Cycle(m.t.Context()); err != nil {
		m.t.Fatalf("cycle: %v\nlog:\n%s", err, m.log)
	}
	if srv.count("POST") != before+1 {
		m.t.Fatalf("%d check-ins in one cycle", srv.count("POST")-before)
	}
	return srv.last().Facts
}

// wants runs one cycle and compares some of the facts that arrive; nil stands for none.
func (m *machine) wants(srv *razor, want facts.Facts) facts.Facts {
	m.t.Helper()
	got := m.cycle(srv)
	for name, v := range want {
		if got[name] != v {
			m.t.Errorf("%s = %v, want %v; mk_extension_error %q\n%s", name, got[name], v, got["mk_extension_error"], m.log)
		}
	}
	return got
}

// factTimeout makes a collector that is less patient, and has found out nothing yet.
func (m *machine) factTimeout(d time.Duration) {
	m.opt.Facts.Timeout = d
	m.collector = facts.New(m.opt.Facts)
}

// generation is the directory of the generation in force, "" without one.
func (m *machine) generation() string {
	if list := m.store.Usable(); len(list) > 0 {
		return list[0].Dir
	}
	return ""
}

// memory is what the client's state file says.
type memory struct {
	Generations []struct {
		SHA256  string
		Strikes int
	}
	Refused *struct{ Left int }
	Error   string
}

func (m *machine) memory() (s memory) {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.opt.ExtensionDir, "state.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// generations lists the directories below the extension root.
func (m *machine) generations() []string {
	dirs, _ := filepath.Glob(filepath.Join(m.opt.ExtensionDir, "g-*"))
	return dirs
}

// shFacter is a shell Facter of version 2.5 that reads external facts as NAME=VALUE text only.
const shFacter = `
dirs=; json=
while [ $# -gt 0 ]; do
  case "$1" in
  --version) echo 2.5.7; exit 0 ;;
  --json) json=1 ;;
  --external-dir) dirs=$2; shift ;;
  *) exit 12 ;;
  esac
  shift
done
out='{"macaddress_eth0":"52:54:00:00:00:01"'
for f in $dirs/*; do
  [ -f "$f" ] || continue
  case "$f" in
  *.txt) lines=$(while IFS= read -r l || [ -n "$l" ]; do printf '%s\n' "$l"; done < "$f") ;;
  *) [ -x "$f" ] || continue; lines=$("$f") ;;
  esac
  while IFS= read -r l; do
    case "$l" in *=*) out="$out,\"${l%%=*}\":\"${l#*=}\"" ;; esac
  done <<END
$lines
END
done
echo "$out}"`

// flavour is one Facter to run a test with.
type flavour struct{ name, script string }

// flavours lists the Facters at hand: the stand-ins for each version, Debian's real one, and
// real ones of any version in directories below $MKBUILD_FACTERS (lib/ and bin/facter each).
func flavours(t *testing.T) []flavour {
	t.Helper()
	ruby := testkit.Tool(t, "ruby")
	fake, err := filepath.Abs("testdata/facter.rb")
	if err != nil {
		t.Fatal(err)
	}
	var list []flavour
	for _, v := range []string{"1.6.18", "1.7.6", "2.5.7", "4.10.0"} {
		list = append(list, flavour{"stand-in " + v, fmt.Sprintf("exec %s %s %s \"$@\"", ruby, fake, v)})
	}
	if p, err := exec.LookPath("facter"); err == nil {
		list = append(list, flavour{"debian", "exec " + p + ` "$@"`})
	} else if os.Getenv("MKBUILD_REQUIRE_TOOLS") == "1" {
		t.Fatal("facter is required here (MKBUILD_REQUIRE_TOOLS=1)")
	}
	dirs, _ := filepath.Glob(filepath.Join(os.Getenv("MKBUILD_FACTERS"), "*/lib/facter.rb"))
	for _, d := range dirs {
		d = filepath.Dir(filepath.Dir(d))
		list = append(list, flavour{"real " + filepath.Base(d), fmt.Sprintf("exec %s -W0 -I %s/lib %s/bin/facter \"$@\"", ruby, d, d)})
	}
	return list
}

// eachStandIn runs a test with every Facter but Debian's, which takes its time.
func eachStandIn(t *testing.T, test func(t *testing.T, script string)) {
	eachOf(t, slices.DeleteFunc(flavours(t), func(f flavour) bool { return f.name == "debian" }), test)
}

// eachFlavour runs a test with every Facter.
func eachFlavour(t *testing.T, test func(t *testing.T, script string)) {
	eachOf(t, flavours(t), test)
}

func eachOf(t *testing.T, list []flavour, test func(t *testing.T, script string)) {
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			test(t, f.script)
		})
	}
}
