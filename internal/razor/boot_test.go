package razor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestNodeID(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		name, query string
		status      int
	}{
		{"no parameters", "", 400},
		{"nothing to match on", "?serial=abc&uuid=x", 400},
		{"empty values", "?net0=&net1=%20", 400},
		{"unknown keys", "?foo=bar", 400},
		{"a MAC", "?net0=52-54-00-00-00-01", 200},
	} {
		if a := r.Get("/svc/nodeid" + c.query); a.Status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, a.Status, a.Body, c.status)
		}
	}
	// Spelling, order and position do not matter.
	first := r.Node("52:54:00:00:00:01")
	for _, q := range []string{"?net3=52-54-00-00-00-01", "?mac=52:54:00:00:00:01", "?net0=AA-BB-CC-00-00-01&net1=%2052:54:00:00:00:01&serial=X"} {
		if a := r.Get("/svc/nodeid" + q); a.Body != fmt.Sprintf(`{"id":%d}`, first) {
			t.Errorf("%s: got %s, want id %d", q, a.Body, first)
		}
	}
	second := r.Node("52:54:00:00:00:02")
	if second == first {
		t.Fatal("two machines, one node")
	}
	a := r.Get("/svc/nodeid?net0=52-54-00-00-00-01&net1=52-54-00-00-00-02")
	if a.Status != 400 {
		t.Errorf("two nodes match: got %d, want 400", a.Status)
	}
	for _, id := range []uint64{first, second} {
		l := r.logOf(id)
		if len(l) != 1 || l[0].Event != "duplicate_node" || l[0].Severity != "error" || !strings.Contains(l[0].Msg, "node1 (1), node2 (2)") {
			t.Errorf("log of node %d: %+v", id, l)
		}
	}
}

func TestBootScript(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Config.Microkernel = Microkernel{KernelArgs: "console=ttyS0  razor.skew=5", DebugLevel: "quiet"}
		o.Config.CheckinInterval = 20
	})
	for _, q := range []string{"", "?serial=1", "?net0="} {
		if a := r.Get("/svc/boot" + q); a.Status != 400 {
			t.Errorf("%q: got %d, want 400", q, a.Status)
		}
	}
	a := r.Get("/svc/boot?net0=52-54-00-00-00-01&dhcp_mac=52-54-00-00-00-01&serial=&asset=&uuid=U1&fact_boot_type=pcbios")
	if a.Status != 200 || a.Header.Get("Content-Type") != "text/plain;charset=utf-8" {
		t.Fatalf("got %d %s", a.Status, a.Header.Get("Content-Type"))
	}
	testkit.Contains(t, a.Body, "#!ipxe\n", "initrd "+r.URL+"/svc/repo/microkernel/initrd0.img || goto error\n",
		"kernel "+r.URL+"/svc/repo/microkernel/vmlinuz0 rootflags=loop initrd=initrd0.img ",
		" quiet acpi=force ", " razor.register="+r.URL+"/svc/checkin/1 razor.extend="+r.URL+"/svc/mk/extension.zip console=ttyS0 razor.skew=5 || goto error\n",
		"--timeout 20000 ")
	n := r.load(1)
	if got := strings.Join(n.HWInfo, " "); got != "fact_boot_type=pcbios mac=52-54-00-00-00-01 uuid=u1" {
		t.Errorf("hw_info %q", got)
	}
	// The firmware type follows each boot and is not a search key.
	r.Get("/svc/boot?net0=52-54-00-00-00-01&fact_boot_type=efi")
	if got := r.load(1).HWInfo[0]; got != "fact_boot_type=efi" {
		t.Errorf("after the second boot: %q", got)
	}
	if a := r.Get("/svc/boot?net0=52-54-00-00-00-01", "Host: evil\"name"); a.Status == 200 {
		t.Error("a hostile host name went into a script")
	}
}

func TestBootScriptOfBoundNode(t *testing.T) {
	r := newRig(t, withRules(t, "policies: [{name: all}]"))
	id := r.Node(mac1)
	r.CheckIn(id, facts1())
	a := r.Get("/svc/boot?net0=" + mac1)
	testkit.Contains(t, a.Body, "#!ipxe\n", "is bound to a policy", "sanboot")
	testkit.Lacks(t, a.Body, "vmlinuz0")
}

func TestBootstrap(t *testing.T) {
	r := newRig(t, nil)
	a := r.Get("/api/microkernel/bootstrap?nic_max=2", "Host: razor.example:8150")
	testkit.Contains(t, a.Body, "#!ipxe\n", "isset ${ip} || dhcp || goto again\n", "set maxtries:uint32 60",
		"chain http://razor.example:8150/svc/boot?net0=${net0/mac:hexhyp}&net1=${net1/mac:hexhyp}&", "&serial=${serial}&asset=${asset}&uuid=${uuid}&fact_boot_type=${platform} || goto again\n")
	if a := r.Get("/api/microkernel/bootstrap", "Host: evil\"name"); a.Status == 200 {
		t.Error("a hostile host name went into a script")
	}
}

func TestRepo(t *testing.T) {
	r := newRig(t, func(o *Options) {
		file := write(t, filepath.Join(t.TempDir(), "kernel"), "kernel")
		testkit.Must(t, os.Chtimes(file, extTime, extTime))
		o.Kernel, o.Initrd = FileBoot(file), FileBoot(file+".gone")
	})
	if a := r.Get("/svc/repo/microkernel/vmlinuz0"); a.Status != 200 || a.Body != "kernel" || a.Header.Get("Last-Modified") != extStamp {
		t.Errorf("got %d %q", a.Status, a.Body)
	}
	if a := r.Get("/svc/repo/MicroKernel/VMLINUZ0", "Range: bytes=1-2"); a.Status != 206 || a.Body != "er" {
		t.Errorf("other case, range: got %d %q", a.Status, a.Body)
	}
	for _, p := range []string{"microkernel/initrd0.img", "microkernel/other", "../../etc/passwd", "microkernel/..%2f..%2fetc/passwd"} {
		if a := r.Get("/svc/repo/" + p); a.Status == 200 {
			t.Errorf("%s: got 200 %q", p, a.Body)
		}
	}
}
