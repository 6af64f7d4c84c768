package mkclient

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/facters"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/program"
)

// The content of check-ins despite faults of Facter, of the tools and of their children.

func TestFacterWithoutJSONSpeaksYAML(t *testing.T) {
	srv, m := boot(t, `case "$1" in --version) echo 1.5.8 ;; --yaml) printf '%s\n' '--- ' '  kernel: Linux' ;; *) exit 12 ;; esac`)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.wants(srv, facts.Facts{"kernel": "Linux", "ext_x": "1"})
}

// TestFacterWithABrokenJSON: json_pure 1.8.3 ends Facter 1.7 because of one byte that is not UTF-8; --yaml works.
func TestFacterWithABrokenJSON(t *testing.T) {
	srv, m := boot(t, `case "$1" in --version) echo 1.7.6 ;; --yaml) printf '%s\n' '--- ' '  kernel: Linux' '  odd: "M\xFCller"' ;;
*) [ "$2" = facterversion ] && echo '{"facterversion": "1.7.6"}' && exit; echo 'source sequence is illegal/malformed utf-8' >&2; exit 12 ;; esac`)
	srv.Publish(textFact(t, "ext_x", "1"), t0)
	m.wants(srv, facts.Facts{"kernel": "Linux", "odd": "M\u00fcller", "mk_extension_status": "active"})
}

// TestExternalJSONWithoutALibrary: Facter 1.7 without a JSON library ignores facts.d/*.json.
func TestExternalJSONWithoutALibrary(t *testing.T) {
	srv, m := boot(t, `case "$1" in --version) echo 1.7.6 ;; --yaml) printf '%s\n' '--- ' '  kernel: Linux' '  ext_txt: of facter' ;; *) exit 12 ;; esac`)
	srv.Publish(pack(t, member{"facts.d/a.json", `{"ext_json": "M\u00fcller"}`, 0o644}, member{"facts.d/b.txt", "ext_txt=read twice\n", 0o644}), t0)
	m.wants(srv, facts.Facts{"kernel": "Linux", "ext_json": "M\u00fcller", "ext_txt": "of facter", "mk_extension_status": "active"})
}

// TestExternalFilesAreContained has one bad file of each kind next to a good one.
func TestExternalFilesAreContained(t *testing.T) {
	srv, m := boot(t, "")
	m.factTimeout(5 * time.Second)
	var big strings.Builder
	for i := range 200000 {
		fmt.Fprintf(&big, "x%d=1\n", i)
	}
	srv.Publish(pack(t, member{"facts.d/a.json", "[1]", 0o644}, member{"facts.d/b.yaml", "a: [", 0o644},
		member{"facts.d/c.sh", "#!/bin/sh\nsleep 60\n", 0o755}, member{"facts.d/d", "#!/no/such/shell\n", 0o755},
		member{"facts.d/e", "#!/bin/sh\necho ext_e=partial\nexit 1\n", 0o755}, member{"facts.d/f.txt", big.String(), 0o644},
		member{"facts.d/z.txt", "Ext_Z=1\n", 0o644}, member{"facts.d/zz.txt", "ext_z=second\n", 0o644}), t0)
	m.wants(srv, facts.Facts{"ext_z": "1", "ext_e": "partial", "mk_extension_status": "active"})
}

// TestWhatFacterSays: Facter's lines that name a file of the extension are logged once; others are not.
func TestWhatFacterSays(t *testing.T) {
	srv, m := boot(t, `case "$1" in --version) echo 4.3.0 ;; *)
for d; do :; done
[ -e "$d/a.yaml" ] && printf '[2026-01-01 %s ] \033[31mERROR Facter - Failed to handle %s/a.yaml as facts\033[0m\nERROR: /proc\n' "$$" "$d" >&2
echo '{"facterversion":"4.3.0"}' ;; esac`)
	srv.Publish(pack(t, member{"facts.d/a.yaml", "a: !b c\n", 0o644}), t0)
	m.cycle(srv)
	m.cycle(srv)
	if said := strings.Count(m.log.String(), "facter says: ERROR Facter - Failed to handle facts.d/a.yaml as facts\n"); said != 1 || strings.Contains(m.log.String(), "/proc") {
		t.Errorf("said %d times:\n%s", said, m.log)
	}
}

// TestRepeatedKeys: of a repeated key in YAML the client keeps the last value, like Facter.
func TestRepeatedKeys(t *testing.T) {
	srv, m := boot(t, `exit 12`)
	srv.Publish(pack(t, member{"facts.d/a.YAML", "ext_a: 1\next_b: {c: 1, c: 2}\next_a: 2\n", 0o644}), t0)
	m.wants(srv, facts.Facts{"ext_a": json.Number("2")})
}

// TestCardThatComesUpMeanwhile brings a card up while Facter runs: the same check-in has it.
func TestCardThatComesUpMeanwhile(t *testing.T) {
	srv, m := boot(t, "")
	card := filepath.Join(m.base, "root/sys/class/net/eth1")
	m.program("facter", "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\nPATH=/usr/bin:/bin\nmkdir -p "+card+"/device\n"+
		"echo 52:54:00:00:00:02 >"+card+"/address; echo 1 >"+card+"/type\necho '{\"facterversion\":\"2.5.7\"}'")
	m.cycle(srv)
	if got, want := srv.Last().HWID, "525400000001_525400000002"; got != want {
		t.Errorf("hw_id = %s, want %s", got, want)
	}
}

// TestBondSlavesKeepTheirOwnAddress enslaves two cards: a bond gives both the same address.
func TestBondSlavesKeepTheirOwnAddress(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	for i, name := range []string{"eth0", "eth1"} {
		dir := "root/sys/class/net/" + name
		m.write(dir+"/address", "52:54:00:00:00:01\n")
		m.write(dir+"/type", "1")
		m.write(dir+"/device/uevent", "")
		m.write(dir+"/bonding_slave/perm_hwaddr", fmt.Sprintf("52:54:00:00:00:A%d\n", i))
	}
	m.cycle(srv)
	if got, want := srv.Last().HWID, "5254000000a0_5254000000a1"; got != want {
		t.Errorf("hw_id = %s, want %s", got, want)
	}
}

func TestHardwareSourcesAreContained(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	m.program("lscpu", "echo Architecture: i686; exit 1")
	m.program("lshw", "sleep 60")
	m.program("dmidecode", "echo garbage; exit 1")
	if got := m.wants(srv, facts.Facts{"mk_hw_lscpu_Architecture": "i686"}); got["mk_hw_boot_mode"] == nil {
		t.Error("sysfs gave nothing")
	}
	for _, name := range []string{"lshw", "dmidecode"} {
		if !strings.Contains(m.log.String(), "hardware facts of "+name) {
			t.Errorf("the failure of %s is not in the log", name)
		}
	}
	m.program("lshw", `echo '<node id="core" class="bus"><node id="network" class="network"><businfo>x</businfo></node></node>'`)
	m.wants(srv, facts.Facts{"mk_hw_nic_count": nil})                 // a failed tool is not run again at once
	m.write("root/sys/class/net/eth9/address", "52:54:00:00:00:09\n") // a card is plugged in
	m.wants(srv, facts.Facts{"mk_hw_nic_count": "1"})
}

func TestSysfsStandsInForLshw(t *testing.T) {
	srv, m := boot(t, "")
	dev := m.write("root/sys/devices/virtio1/vendor", "0x1af4\n")
	disk := filepath.Join(m.base, "root/sys/block/vda")
	m.write("root/sys/block/vda/size", "976773168\n")
	m.write("root/sys/block/loop0/size", "0\n")
	testkit.Must(t, os.Symlink(filepath.Dir(dev), filepath.Join(disk, "device")))
	got := m.wants(srv, facts.Facts{
		"mk_hw_disk_count": "1", "mk_hw_disk0_logical_name": "/dev/vda", "mk_hw_disk0_size": "465GiB (500GB)",
		"mk_hw_nic_count": "1", "mk_hw_nic0_logical_name": "eth0", "blockdevices": "vda", "blockdevice_vda_size": "500107862016",
		"macaddress": "52:54:00:00:00:01", "macaddress_eth0": "52:54:00:00:00:01", "macaddress_dummy0": nil, "interfaces": "dummy0,eth0,lo",
		"kernel": "Linux", "blockdevice_vda_vendor": "0x1af4",
	})
	if n, _ := got["processorcount"].(string); n == "" || n == "0" {
		t.Errorf("processorcount = %v", got["processorcount"])
	}
}

// TestChildrenOfFactsDoNotPileUp leaves one background child in every cycle, and one daemon.
func TestChildrenOfFactsDoNotPileUp(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	dir := filepath.Dir(m.write("pids/.keep", ""))
	script := "#!/bin/sh\nsleep 60 >/dev/null 2>&1 &\necho $! > " + dir + "/$$\necho ext_x=1\n"
	daemon := "#!/bin/sh\n[ -f " + dir + "/daemon ] || setsid sh -c 'echo $$ > " + dir + "/daemon; exec sleep 60' >/dev/null 2>&1 &\necho ext_d=1\n"
	srv.Publish(pack(t, member{"facts.d/x", script, 0o755}, member{"facts.d/d", daemon, 0o755}), t0)
	m.cycle(srv)
	demon := testkit.ReadPID(t, filepath.Join(dir, "daemon"))
	t.Cleanup(func() { syscall.Kill(demon, syscall.SIGKILL) })
	for range 3 {
		m.cycle(srv)
	}
	running := func() (n int) {
		files, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
		for _, f := range files {
			if testkit.Alive(testkit.ReadPID(t, f)) {
				n++
			}
		}
		return n
	}
	testkit.WaitFor(t, func() bool { return running() == 1 }) // only the last cycle's child is left
	if !testkit.Alive(demon) {
		t.Error("the daemon was killed too")
	}
	srv.Publish(textFact(t, "ext_x", "1"), t0.Add(time.Minute))
	m.cycle(srv)
	testkit.WaitFor(t, func() bool { return running() == 0 })
}

// TestHangLeavesNoProcess kills the whole group of a hanging Facter, not only its first process.
func TestHangLeavesNoProcess(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	srv, m := boot(t, "[ \"$1\" = --version ] && echo 2.5.7 && exit 0\nsleep 60 &\necho $! > "+pidFile+"\nwait")
	m.factTimeout(1500 * time.Millisecond)
	hangs(t, func() { m.cycle(srv) }, pidFile)
}

// hangs runs a function that must not wait for a hanging program, and must kill its child.
func hangs(t *testing.T, run func(), pidFile string) {
	t.Helper()
	start := time.Now()
	run()
	if d := time.Since(start); d > 50*time.Second {
		t.Errorf("took %s", d)
	}
	pid := testkit.ReadPID(t, pidFile)
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	testkit.WaitFor(t, func() bool { return !testkit.Alive(pid) })
}

// TestHangingToolIsContained has an lshw that hangs with a child: the check-in does not wait for it, and the next
// check-in does not run it again.
func TestHangingToolIsContained(t *testing.T) {
	srv, m := boot(t, facters.Shell)
	pidFile := filepath.Join(m.base, "pid")
	m.program("lshw", "PATH=/usr/bin:/bin\nsleep 60 &\necho $! > "+pidFile+"\nwait")
	hangs(t, func() {
		for range 3 {
			m.cycle(srv)
		}
	}, pidFile)
	if !strings.Contains(m.log.String(), "lshw "+program.ErrTimeout.Error()) || strings.Count(m.log.String(), "lshw") > 2 {
		t.Errorf("log:\n%s", m.log)
	}
}
