package razor

import (
	"fmt"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestIdentity(t *testing.T) {
	var id identity
	for _, p := range [][2]string{
		{"net1", "52:54:00:00:00:02"}, {"net0", " 52:54:00:AA:00:01 "}, {"NET2", "x"}, {"mac", "52-54-00-00-00-02"},
		{"serial", "  "}, {"UUID", "ABC:d"}, {"asset", "Tag 7"}, {"fact_boot_type", "EFI"}, {"other", "x"}, {"hostname", "y"},
	} {
		id.add(p[0], p[1])
	}
	want := "asset=tag 7,fact_boot_type=efi,mac=52-54-00-00-00-02,mac=52-54-00-aa-00-01,uuid=abc-d"
	if got := strings.Join(id.sorted(), ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	merged := identity{"mac=1", "mac=2", "serial=s", "fact_boot_type=efi"}.merge(identity{"mac=3", "uuid=u"})
	if got := strings.Join(merged, ","); got != "fact_boot_type=efi,mac=3,serial=s,uuid=u" {
		t.Errorf("merged %s", got)
	}
}

func TestRegisterTakesAllInterfaces(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Config.Facts.MatchOn, _ = newNameSet([]string{"/disk.*/"}) })
	id := r.Node(mac1)
	r.CheckIn(id, map[string]any{
		"macaddress": mac1, "macaddress_eth1": "52:54:00:00:00:0B", "macaddress_docker0": "02:42:00:00:00:01",
		"serialnumber": "SN:1", "uuid": "U", "diskid": "WWN:5", "hostname": "h",
	})
	want := "fact_diskid=wwn-5 mac=02-42-00-00-00-01 mac=52-54-00-00-00-01 mac=52-54-00-00-00-0b serial=sn-1 uuid=u"
	if got := strings.Join(r.load(id).HWInfo, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// The mainboard was swapped: the disk still identifies the node.
	a := r.Get("/svc/nodeid?net0=52:54:00:99:99:99&fact_diskid=WWN:5")
	if a.Body != fmt.Sprintf(`{"id":%d}`, id) {
		t.Errorf("by fact: %s", a.Body)
	}
}

// Booted through two interfaces, the machine had two nodes; its facts identify them as one.
func TestRegisterMergesDoubles(t *testing.T) {
	r := newRig(t, nil)
	one, two := r.Node("52:54:00:00:00:01"), r.Node("52:54:00:00:00:02")
	r.Get(fmt.Sprintf("/svc/log/%d?msg=from+two", two))
	both := map[string]any{"macaddress_a": "52:54:00:00:00:01", "macaddress_b": "52:54:00:00:00:02"}
	if a := r.CheckIn(two, both); a.Status != 200 {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
	if n := r.load(one); !n.Registered || len(n.HWInfo) != 2 {
		t.Errorf("kept node: %+v", n)
	}
	if a := r.CheckIn(two, both); a.Status != 404 {
		t.Errorf("the double is still there: %d", a.Status)
	}
	testkit.Contains(t, fmt.Sprint(r.logOf(one)), "from two")
	if again := r.Node("52:54:00:00:00:02"); again != one {
		t.Errorf("second interface leads to node %d, want %d", again, one)
	}
}

func TestRegisterRefusesTwoRegisteredNodes(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.Node("52:54:00:00:00:01"), r.Node("52:54:00:00:00:02")
	r.CheckIn(a, map[string]any{"macaddress": "52:54:00:00:00:01"})
	r.CheckIn(b, map[string]any{"macaddress": "52:54:00:00:00:02"})
	c := r.Node("52:54:00:00:00:03")
	got := r.CheckIn(c, map[string]any{"macaddress": "52:54:00:00:00:03", "macaddress_a": "52:54:00:00:00:01", "macaddress_b": "52:54:00:00:00:02"})
	if got.Status != 400 || got.Body != "" {
		t.Errorf("got %d %q, want an empty 400", got.Status, got.Body)
	}
	for _, id := range []uint64{a, b, c} {
		if l := r.logOf(id); len(l) == 0 || l[0].Event != "duplicate_node" {
			t.Errorf("log of %d: %+v", id, l)
		}
	}
}
