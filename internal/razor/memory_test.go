package razor

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// serverDir is set in the process that TestBigCheckinsFitInMemory starts, and nowhere else.
const serverDir = "MKBUILD_RAZOR_DIR"

// TestServerProcess is that process; otherwise it is nothing.
func TestServerProcess(t *testing.T) {
	dir := os.Getenv(serverDir)
	if dir == "" {
		t.Skip("the server process of TestBigCheckinsFitInMemory")
	}
	s, err := New(Options{Config: DefaultConfig(), DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := listen(t)
	fmt.Printf("address http://%s\n", l.Addr())
	_ = s.Serve(t.Context(), l, nil) // it is killed
}

// startServer returns the address of a server in a process of its own, whose memory can be told
// from that of its clients.
func startServer(t *testing.T) (url string, pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerProcess$")
	cmd.Env = append(cmd.Environ(), serverDir+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if u, ok := strings.CutPrefix(lines.Text(), "address "); ok {
			return u, cmd.Process.Pid
		}
	}
	t.Fatal("the server process gives no address")
	return "", 0
}

// peakMemory is the most memory that a process has had resident, in MiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("only Linux tells a process's peak of memory")
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}

// bigFacts is a check-in of 4 MiB.
func bigFacts(mac string, round int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"facts":{"macaddress":%q`, mac)
	for i := range maxFacts - 1 {
		fmt.Fprintf(&b, `,"fact_%06d":"%d%s"`, i, round, strings.Repeat("x", 184))
	}
	b.WriteString("}}")
	return b.Bytes()
}

// 64 check-ins of 4 MiB at a time fit in 400 MiB: few are read at once. Small ones do not wait for
// them. The first answers show as much as all 64 would.
func TestBigCheckinsFitInMemory(t *testing.T) {
	const atOnce, enough = 64, 12
	url, pid := startServer(t)
	r := &rig{Site: testkit.Site{T: t, URL: url}}
	small := r.Node("52:54:00:00:02:00")
	var paths, bodies []string
	for i := range 16 { // each node alternates between two sets of facts
		mac := fmt.Sprintf("52:54:00:00:01:%02x", i%8)
		paths, bodies = append(paths, fmt.Sprintf("/svc/checkin/%d", r.Node(mac))), append(bodies, string(bigFacts(mac, i)))
	}
	answers := make(chan testkit.Answer, atOnce)
	for i := range atOnce {
		go func() { answers <- r.Do(http.MethodPost, paths[i%16], bodies[i%16], "Content-Type: application/json") }()
	}
	if a := r.CheckIn(small, map[string]any{"macaddress": "52:54:00:00:02:00"}); a.Status != http.StatusOK || len(answers) == atOnce {
		t.Errorf("a small check-in after %d big ones: %+v", len(answers), a)
	}
	for range enough {
		if a := <-answers; a.Status != http.StatusOK {
			t.Errorf("%d %s, %v", a.Status, a.Body, a.Err)
		}
	}
	if got := peakMemory(t, pid); got > 400 {
		t.Errorf("%d MiB resident, want at most 400", got)
	}
}
