package razor

import (
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// peakMemory returns the peak of this process's resident memory since its reset, in MiB.
func peakMemory(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	testkit.Must(t, err)
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	testkit.Must(t, err)
	return kb >> 10
}

// 64 check-ins of 4 MiB at a time fit in 400 MiB, including the clients: few are read at once. Small ones do not
// wait for them. The first answers prove as much as all 64.
func TestBigCheckinsFitInMemory(t *testing.T) {
	const atOnce, enough = 64, 12
	r := newRig(t, nil)
	var paths, bodies []string
	for i := range 8 {
		mac := fmt.Sprintf("52:54:00:00:01:%02x", i)
		id := r.Node(mac)
		r.CheckIn(id, map[string]any{"macaddress": mac})
		paths = append(paths, fmt.Sprintf("/svc/checkin/%d", id))
		var facts strings.Builder
		for k := range 20000 {
			fmt.Fprintf(&facts, `"fact_%06d":"%d%s",`, k, i, strings.Repeat("x", 185))
		}
		bodies = append(bodies, `{"facts":{`+facts.String()+`"last":1}}`)
	}
	small := r.Node("52:54:00:00:02:00")
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("only Linux forgets a process's peak of memory")
	}
	answers := make(chan testkit.Answer, atOnce)
	for i := range atOnce { // the facts of a node change with each check-in
		go func() {
			answers <- r.Do(http.MethodPost, paths[i%8], bodies[(i+i/8)%8], "Content-Type: application/json")
		}()
	}
	if a := r.CheckIn(small, map[string]any{"macaddress": "52:54:00:00:02:00"}); a.Status != http.StatusOK || len(answers) == atOnce {
		t.Errorf("a small check-in after %d big ones: %+v", len(answers), a)
	}
	for range enough {
		if a := <-answers; a.Status != http.StatusOK {
			t.Errorf("%d %s, %v", a.Status, a.Body, a.Err)
		}
	}
	if got := peakMemory(t); got > 400 {
		t.Errorf("%d MiB resident, want at most 400", got)
	} else {
		t.Logf("%d MiB resident", got)
	}
}
