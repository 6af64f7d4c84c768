package razor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mkbuild/internal/mkclient"
)

// The bench answers what a laboratory asks of the server: 2,000 nodes that check in every 15 s,
// and what happens when all of them boot at once. The server runs in a process of its own, so
// that its memory can be told from that of the 2,000 simulated clients; both share the machine.
//
//	go test -run '^$' -bench Storm ./internal/razor
//	go test -run '^$' -bench Storm/steady -benchtime 4000x ./internal/razor   (two intervals)

const (
	stormNodes     = 2000
	stormInterval  = 15 * time.Second
	outageInterval = 3 * time.Second
	stormDir       = "MKBUILD_STORM_DIR" // set in the server process alone
)

const stormRules = `
tags:
- {name: kvm, rule: ["=", ["fact", "virtual", ""], "kvm"]}
- {name: big, rule: [">=", ["num", ["fact", "processorcount", 0]], 16]}
- {name: rack b, rule: ["like", ["str", ["fact", "rack", ""]], "^b\\d+$"]}
- {name: lab, rule: ["has_macaddress_like", "^52:54:"]}
- {name: both, rule: ["and", ["=", ["tag", "kvm"], true], ["not", ["=", ["tag", "big"], true]]]}
- {name: site, rule: ["in", ["fact", "site", null], "a", "b", "c"]}
policies:
- {name: metal, tags: [big], max_count: 10}
- {name: nobody, tags: [site, big]}
`

// TestStormServer is the server process of the bench, and nothing otherwise.
func TestStormServer(t *testing.T) {
	dir := os.Getenv(stormDir)
	if dir == "" {
		t.Skip("the server process of BenchmarkStorm")
	}
	o := Options{Config: DefaultConfig(), DataDir: filepath.Join(dir, "data"), Token: testToken}
	o.Config.ExtensionZip = write(t, filepath.Join(dir, "ext.zip"), strings.Repeat("x", 200<<10))
	o.RulesFile = write(t, filepath.Join(dir, "rules.yaml"), stormRules)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // the bench closes our standard input
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Printf("address http://%s\n", l.Addr())
	if err := s.Serve(ctx, l); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// storm is a server process and its simulated nodes.
type storm struct {
	b      *testing.B
	url    string
	pid    int
	client *http.Client
	bodies [][]byte // the facts of each node without the last brace, ready to be sent
	ids    []string // the number that the server gave each node

	requests atomic.Int64
	failures atomic.Int64
	mu       sync.Mutex
	times    []time.Duration
	arrivals map[int64]int // requests per 100 ms since begin
	begin    time.Time
}

func newStorm(b *testing.B) *storm {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestStormServer$", "-test.timeout=10m")
	cmd.Env = append(cmd.Environ(), stormDir+"="+b.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	st := &storm{b: b, pid: cmd.Process.Pid, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	out := bufio.NewReader(stdout)
	for st.url == "" {
		line, err := out.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		st.url, _ = strings.CutPrefix(strings.TrimSpace(line), "address ")
		if !strings.HasPrefix(line, "address ") {
			st.url = ""
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	for i := range stormNodes {
		st.bodies = append(st.bodies, stormFacts(i))
	}
	st.ids = make([]string, stormNodes)
	st.reset()
	return st
}

func stormMAC(i int) string { return fmt.Sprintf("52:54:00:10:%02x:%02x", i>>8, i&255) }

// stormFacts are about a hundred facts, 5 kB, as Facter gives.
func stormFacts(i int) []byte {
	f := map[string]any{"macaddress": stormMAC(i), "macaddress_eth0": stormMAC(i), "virtual": "kvm", "processorcount": 4, "rack": "b" + strconv.Itoa(i%40), "uptime": "1 day"}
	for k := range 95 {
		f[fmt.Sprintf("some_fact_name_%d", k)] = fmt.Sprintf("value %d of node %d, of usual length", k, i)
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return b[:len(b)-1]
}

func (st *storm) reset() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.times, st.arrivals, st.begin = nil, map[int64]int{}, time.Now()
	st.requests.Store(0)
	st.failures.Store(0)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", st.pid), []byte("5"), 0) // forget the peak of before
}

// do sends one request and notes how long it took, counted from when it was due.
func (st *storm) do(due time.Time, method, path string, body []byte) (string, bool) {
	req, err := http.NewRequestWithContext(st.b.Context(), method, st.url+path, bytes.NewReader(body))
	if err != nil {
		return "", false
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	st.requests.Add(1)
	sent := time.Now()
	res, err := st.client.Do(req)
	ok := err == nil
	var b []byte
	if ok {
		b, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		ok = err == nil && res.StatusCode == http.StatusOK
	}
	if !ok {
		st.failures.Add(1)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.times = append(st.times, time.Since(due))
	st.arrivals[sent.Sub(st.begin).Milliseconds()/100]++
	return string(b), ok
}

// boot is what iPXE and the client do first: find the node, fetch the extension, check in.
func (st *storm) boot(i int, due time.Time) bool {
	script, ok := st.do(due, http.MethodGet, "/svc/boot?net0="+strings.ReplaceAll(stormMAC(i), ":", "-"), nil)
	_, rest, found := strings.Cut(script, "/svc/checkin/")
	if !ok || !found {
		return false
	}
	st.ids[i], _, _ = strings.Cut(rest, " ")
	if _, ok := st.do(time.Now(), http.MethodGet, "/svc/mk/extension.zip", nil); !ok {
		return false
	}
	return st.checkin(i, 0, time.Now())
}

// checkin sends the facts with one that differs each time.
func (st *storm) checkin(i, round int, due time.Time) bool {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"hw_id":"x","facts":%s,"load":"%d"}}`, st.bodies[i], round)
	answer, ok := st.do(due, http.MethodPost, "/svc/checkin/"+st.ids[i], b.Bytes())
	return ok && strings.Contains(answer, `"action"`)
}

// report gives the figures of the requests since reset and the server's memory; the peak is
// looked for after so many tenths of a second.
func (st *storm) report(b *testing.B, took time.Duration, from int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	slices.Sort(st.times)
	at := func(q float64) float64 {
		if len(st.times) == 0 {
			return 0
		}
		return float64(st.times[int(q*float64(len(st.times)-1))].Microseconds()) / 1000
	}
	peak := 0
	for at, n := range st.arrivals {
		if at >= from {
			peak = max(peak, n)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(st.requests.Load())/took.Seconds(), "req/s")
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(float64(peak), "peak-req/100ms")
	b.ReportMetric(float64(st.failures.Load()), "failed")
	b.ReportMetric(peakMemory(st.pid), "server-MB")
}

// peakMemory is the most memory a process has had resident, in MB; 0 where Linux's /proc is missing.
func peakMemory(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1024
		}
	}
	return 0
}

// register makes all nodes known, with at most 32 requests at a time.
func (st *storm) register() {
	work := make(chan int)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := range work {
				if !st.boot(i, time.Now()) {
					st.b.Error("a node did not boot")
					return
				}
			}
		})
	}
	for i := range stormNodes {
		work <- i
	}
	close(work)
	wg.Wait()
}

func BenchmarkStorm(b *testing.B) {
	known := sync.OnceValue(func() *storm {
		st := newStorm(b)
		st.register()
		return st
	})
	// One operation is one check-in, due when 2,000 nodes at a 15 s interval make it due.
	b.Run("steady", func(b *testing.B) {
		st := known()
		st.reset()
		b.ResetTimer()
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range b.N {
			due := begin.Add(time.Duration(i) * stormInterval / stormNodes)
			time.Sleep(time.Until(due))
			wg.Go(func() { st.checkin(i%stormNodes, i, due) })
		}
		wg.Wait()
		st.report(b, time.Since(begin), 0)
	})
	// One operation is one check-in, as fast as 64 nodes at a time can have it.
	b.Run("flatout", func(b *testing.B) {
		st := known()
		st.reset()
		b.ResetTimer()
		begin := time.Now()
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
					st.checkin(i%stormNodes, i, time.Now())
				}
			})
		}
		wg.Wait()
		st.report(b, time.Since(begin), 0)
	})
	// One operation is the boot of all 2,000 nodes. "at-once" starts them in the same instant;
	// "skewed" lets each wait as the client does, up to five seconds.
	b.Run("boot-at-once", func(b *testing.B) { benchBoot(b, 0) })
	b.Run("boot-skewed", func(b *testing.B) { benchBoot(b, 5*time.Second) })
	// One operation is the return of a server that had failed for three seconds. Clients in
	// lockstep try again every second; mk-client waits a half to one and a half intervals after
	// the first failure, and doubles that. The interval is 3 s here, for the sake of the bench,
	// and the peak is that of what comes after the first second.
	b.Run("outage-lockstep", func(b *testing.B) { benchOutage(b, known(), false) })
	b.Run("outage-backoff", func(b *testing.B) { benchOutage(b, known(), true) })
}

func benchBoot(b *testing.B, skew time.Duration) {
	if b.N > 1 {
		b.Skip("one storm is enough: run it with -benchtime 1x")
	}
	st := newStorm(b)
	b.ResetTimer()
	st.reset()
	var wg sync.WaitGroup
	for i := range stormNodes {
		wg.Go(func() {
			if skew > 0 {
				time.Sleep(rand.N(skew))
			}
			if !st.boot(i, time.Now()) {
				st.failures.Add(1)
			}
		})
	}
	wg.Wait()
	st.report(b, time.Since(st.begin), 0)
}

func benchOutage(b *testing.B, st *storm, backOff bool) {
	st.command("set-fault", `{"fault":"checkin=500"}`)
	b.ResetTimer()
	st.reset()
	var wg sync.WaitGroup
	for i := range stormNodes {
		wg.Go(func() {
			for try := 0; !st.checkin(i, try, time.Now()); try++ {
				if !backOff {
					time.Sleep(time.Until(st.begin.Add(time.Duration(try+1) * time.Second)))
					continue
				}
				time.Sleep(mkclient.Backoff(outageInterval, try+1, rand.Float64())) // the client's own
			}
		})
	}
	time.Sleep(3 * time.Second)
	st.command("clear-faults", "{}")
	wg.Wait()
	st.report(b, time.Since(st.begin), 10)
}

func (st *storm) command(name, body string) {
	req, err := http.NewRequestWithContext(st.b.Context(), http.MethodPost, st.url+"/api/commands/"+name, strings.NewReader(body))
	if err != nil {
		st.b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+testToken)
	res, err := st.client.Do(req)
	if err != nil {
		st.b.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		st.b.Fatalf("%s: %s", name, res.Status)
	}
}
