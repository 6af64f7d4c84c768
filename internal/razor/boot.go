package razor

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// hostPattern is what may stand in a Host header that goes into a script for iPXE.
var hostPattern = regexp.MustCompile(`\A(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\z`)

// nodeID is GET /svc/nodeid: it finds or makes the node and returns its number, which is all that
// a microkernel without PXE needs to check in.
func (s *svc) nodeID(w http.ResponseWriter, r *http.Request) {
	n, err := s.nodes.lookup(queryIdentity(r.URL.Query()), "")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]uint64{"id": n.ID})
}

// boot is GET /svc/boot: the iPXE script for one machine.
func (s *svc) boot(w http.ResponseWriter, r *http.Request) {
	if !hostPattern.MatchString(r.Host) {
		empty(w, http.StatusBadRequest)
		return
	}
	n, err := s.nodes.lookup(queryIdentity(r.URL.Query()), "boot")
	switch {
	case err != nil:
		s.refuse(w, r, err)
	case bootsLocally(n):
		script(w, localScript(n))
	default:
		script(w, s.config.microkernelScript("http://"+r.Host, n.ID))
	}
}

// bootsLocally tells whether the microkernel is done with a node: it is bound, or installed and
// registered.
func bootsLocally(n *Node) bool {
	return n.Policy != "" || n.Installed != "" && n.Registered
}

func script(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain;charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = io.WriteString(w, text)
}

// microkernelScript loads the microkernel. Its command line has Razor's fixed words for its own live
// image, which others ignore, then the addresses, then microkernel.kernel_args.
func (c *Config) microkernelScript(base string, id uint64) string {
	level := c.Microkernel.DebugLevel
	if level != "quiet" && level != "debug" {
		level = ""
	}
	args := fmt.Sprintf("rootflags=loop initrd=initrd0.img root=live:/microkernel.iso rootfstype=auto ro rd.live.image %s "+
		"acpi=force rd.luks=0 rd.md=0 rd.dm=0 razor.register=%s/svc/checkin/%d razor.extend=%s/svc/mk/extension.zip %s",
		level, base, id, base, c.Microkernel.KernelArgs)
	repo := base + "/svc/repo/microkernel"
	return fmt.Sprintf(`#!ipxe
initrd %s/initrd0.img || goto error
kernel %s/vmlinuz0 %s || goto error
boot || goto error

:error
prompt --key s --timeout %d ERROR, hit 's' for the iPXE shell; reboot in %d seconds && shell || reboot
`, repo, repo, strings.Join(strings.Fields(args), " "), c.CheckinInterval*1000, c.CheckinInterval)
}

// localScript sends a bound or installed node to its disk: this server installs nothing.
func localScript(n *Node) string {
	why := "it is installed"
	if n.Policy != "" {
		why = "it is bound to a policy, and this development server installs nothing"
	}
	return fmt.Sprintf(`#!ipxe
echo Node %d boots locally: %s
sleep 3
sanboot --no-describe --drive 0x80 || exit 0
`, n.ID, why)
}

const (
	// defaultPort is where Razor listens since its version 1.1.
	defaultPort = "8150"
	defaultNICs = 4
	maxNICs     = 64 // Razor has no bound
	maxPort     = 65535
)

// bootstrap is GET /api/microkernel/bootstrap?nic_max=N&http_port=P: the script that an operator
// puts on the TFTP server.
func (s *svc) bootstrap(w http.ResponseWriter, r *http.Request) {
	nics, ok := parameter(r, "nic_max", maxNICs)
	if !ok {
		failure(w, http.StatusBadRequest, "The nic_max parameter must be an integer not starting with 0")
		return
	}
	port, ok := parameter(r, "http_port", maxPort)
	if !ok {
		failure(w, http.StatusBadRequest, "The http_port parameter must be an integer between 1 and 65535")
		return
	}
	if !hostPattern.MatchString(r.Host) {
		empty(w, http.StatusBadRequest)
		return
	}
	host, own, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, own = strings.Trim(r.Host, "[]"), "80"
	}
	switch {
	case port > 0:
		own = strconv.Itoa(port)
	case own == "":
		own = defaultPort
	}
	if nics == 0 {
		nics = defaultNICs
	}
	script(w, bootstrapScript(net.JoinHostPort(host, own), nics))
}

var positive = regexp.MustCompile(`\A[1-9][0-9]{0,4}\z`)

// parameter reads a number between 1 and limit; 0 if it is not given.
func parameter(r *http.Request, name string, limit int) (int, bool) {
	q := r.URL.Query()
	if !q.Has(name) {
		return 0, true
	}
	n, err := strconv.Atoi(last(q[name]))
	return n, err == nil && n <= limit && positive.MatchString(last(q[name]))
}

// bootstrapScript tries DHCP on each interface in turn, up to 60 times with growing pauses, and
// then asks /svc/boot with everything that iPXE knows about the machine.
func bootstrapScript(hostport string, nics int) string {
	var b, q strings.Builder
	for i := range nics {
		next := fmt.Sprintf("dhcp_net%d", i+1)
		if i == nics-1 {
			next = "chain_boot"
		}
		fmt.Fprintf(&b, ":dhcp_net%d\nisset ${net%d/mac} && dhcp net%d || goto %s\necho net%d has DHCP\nset dhcp_mac ${net%d/mac:hexhyp}\ngoto chain_boot\n\n",
			i, i, i, next, i, i)
		fmt.Fprintf(&q, "net%d=${net%d/mac:hexhyp}&", i, i)
	}
	return `#!ipxe
set tries:uint32 0
set maxtries:uint32 60

:retry
isset ${ip} || goto dhcp_net0
set dhcp_mac ${mac:hexhyp}
goto chain_boot

` + b.String() + `:chain_boot
chain http://` + hostport + `/svc/boot?` + q.String() +
		`dhcp_mac=${dhcp_mac}&serial=${serial}&asset=${asset}&uuid=${uuid}&fact_boot_type=${platform} || goto error
echo the chained script came back: booting locally
exit

:error
iseq ${tries} ${maxtries} && goto failed ||
inc tries
sleep ${tries}
goto retry

:failed
echo no DHCP after ${tries} attempts, giving up
sleep 60
reboot
`
}

// repo is GET /svc/repo/microkernel/{vmlinuz0,initrd0.img}, whatever the case of the path.
func (s *svc) repo(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	missing := "File " + clip(path, 200) + " not found"
	open := s.files[strings.ToLower(path)]
	if open == nil {
		failure(w, http.StatusNotFound, missing)
		return
	}
	f, mtime, err := open()
	if err != nil {
		s.log.Error("open boot file", "path", path, "error", err)
		failure(w, http.StatusNotFound, missing)
		return
	}
	if c, ok := f.(io.Closer); ok {
		defer c.Close() //nolint:errcheck // only read
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", mtime, f)
}
