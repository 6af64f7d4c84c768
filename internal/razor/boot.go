package razor

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// bootNICs is the number of network cards in a boot request.
const bootNICs = 8

// hostPattern matches a Host header that is safe in a script for iPXE.
var hostPattern = regexp.MustCompile(`\A(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\z`)

// nodeID is GET /svc/nodeid: it finds or makes the node and returns its number, so that a microkernel without PXE
// can check in.
func (s *svc) nodeID(w http.ResponseWriter, r *http.Request) {
	n, err := s.nodes.lookup(queryIdentity(r.URL.Query()), "")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string]uint64{"id": n.ID})
}

// boot is GET /svc/boot: the iPXE script for one machine.
func (s *svc) boot(w http.ResponseWriter, r *http.Request) {
	if !hostPattern.MatchString(r.Host) {
		answer(w, http.StatusBadRequest, nil)
		return
	}
	n, err := s.nodes.lookup(queryIdentity(r.URL.Query()), "boot")
	switch {
	case err != nil:
		s.refuse(w, r, err)
	case bootsLocally(n):
		script(w, localScript(n))
	default:
		var blobs []string
		if s.opts.Segments != nil {
			blobs = s.opts.Segments()
		}
		script(w, s.opts.Config.microkernelScript("http://"+r.Host, n.ID, blobs))
	}
}

// bootsLocally reports whether a node boots from its disk: it is bound, or installed and registered.
func bootsLocally(n *Node) bool {
	return n.Policy != "" || n.Installed != "" && n.Registered
}

func script(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain;charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// microkernelScript loads the microkernel. Its command line has Razor's fixed words for its own live image, which
// others ignore, then the addresses, then microkernel.kernel_args. Blobs replace kernel and initrd, each under
// its number.
func (c *Config) microkernelScript(base string, id uint64, blobs []string) string {
	level := c.Microkernel.DebugLevel
	if level != "quiet" && level != "debug" {
		level = ""
	}
	repo := base + "/svc/repo/microkernel"
	kernel, names, initrds := repo+"/vmlinuz0", "initrd=initrd0.img", "initrd "+repo+"/initrd0.img || goto error\n"
	if len(blobs) > 0 {
		kernel, names, initrds = base+folderPath+blobs[0], "", ""
		for i, blob := range blobs[1:] {
			names += fmt.Sprintf("initrd=%d ", i+1)
			initrds += fmt.Sprintf("initrd --name %d %s%s%s || goto error\n", i+1, base, folderPath, blob)
		}
	}
	args := fmt.Sprintf("rootflags=loop %s root=live:/microkernel.iso rootfstype=auto ro rd.live.image %s "+
		"acpi=force rd.luks=0 rd.md=0 rd.dm=0 razor.register=%s/svc/checkin/%d razor.extend=%s/svc/mk/extension.zip %s",
		names, level, base, id, base, c.Microkernel.KernelArgs)
	return fmt.Sprintf(`#!ipxe
%skernel %s %s || goto error
boot || goto error

:error
prompt --key s --timeout %d ERROR, hit 's' for the iPXE shell; reboot in %d seconds && shell || reboot
`, initrds, kernel, strings.Join(strings.Fields(args), " "), c.CheckinInterval*1000, c.CheckinInterval)
}

// localScript sends a bound or installed node to its disk: this server installs nothing.
func localScript(n *Node) string {
	return fmt.Sprintf(`#!ipxe
echo Node %d is bound to a policy or installed: it boots locally
sleep 3
sanboot --no-describe --drive 0x80 || exit 0
`, n.ID)
}

// bootstrap is GET /api/microkernel/bootstrap: the script that an operator puts on the TFTP server. It
// tries DHCP up to 60 times with growing pauses, and then asks /svc/boot with everything that iPXE
// knows about the machine.
func (s *svc) bootstrap(w http.ResponseWriter, r *http.Request) {
	if !hostPattern.MatchString(r.Host) {
		answer(w, http.StatusBadRequest, nil)
		return
	}
	var q strings.Builder
	for i := range bootNICs {
		fmt.Fprintf(&q, "net%d=${net%d/mac:hexhyp}&", i, i)
	}
	script(w, `#!ipxe
set tries:uint32 0
set maxtries:uint32 60

:retry
isset ${ip} || dhcp || goto again
chain http://`+r.Host+`/svc/boot?`+q.String()+`serial=${serial}&asset=${asset}&uuid=${uuid}&fact_boot_type=${platform} || goto again
echo the chained script came back: booting locally
exit

:again
iseq ${tries} ${maxtries} && goto failed ||
inc tries
sleep ${tries}
goto retry

:failed
echo no DHCP after ${tries} attempts, giving up
sleep 60
reboot
`)
}

// repo is GET /svc/repo/microkernel/{vmlinuz0,initrd0.img}, whatever the case of the path.
func (s *svc) repo(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	file := s.files[strings.ToLower(path)]
	if file == nil {
		failure(w, http.StatusNotFound, "File "+clip(path, 200)+" not found")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	file.ServeHTTP(w, r)
}
